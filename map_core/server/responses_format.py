"""Format a reply as OpenAI's response, whole and as a stream of typed events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from map_core.server.errors import Refusal
from map_core.server.replies import ChosenReply, ReplyFormat, event
from map_core.server.request_parser import ReplyRequest


class ResponsesFormat(ReplyFormat):
    """``response``, whole and as events; it has one message with one part of text.

    Source: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming.
    """

    def __init__(self, request: ReplyRequest) -> None:
        super().__init__(request)
        self._id, self._item = f"resp_{uuid.uuid4().hex}", f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._sequence = 0

    def whole(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return the response, see :class:`ReplyFormat`."""
        (reply,) = replies
        complete = reply.finish == "stop"
        return self._response("completed" if complete else "incomplete") | {
            "output": [self._message(reply.text, reply)],
            "incomplete_details": None if complete else {"reason": "max_output_tokens"},
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            },
            "value_palette": self.request.in_force,
        }

    def begin(self, index: int) -> str:
        """Return the events up to the first text."""
        response = self._response("in_progress")
        item = {"type": "message", "id": self._item, "status": "in_progress", "role": "assistant", "content": []}
        return (
            self._event("response.created", response=response)
            + self._event("response.in_progress", response=response)
            + self._event("response.output_item.added", output_index=0, item=item)
            + self._event("response.content_part.added", **self._position, part=_part(""))
        )

    def piece(self, index: int, text: str) -> str:
        """Return the event with a piece of the text."""
        return self._event("response.output_text.delta", **self._position, delta=text, logprobs=[])

    def end(self, index: int, reply: ChosenReply) -> str:
        """Return the events that close text, part and message."""
        return (
            self._event("response.output_text.done", **self._position, text=reply.text, logprobs=[])
            + self._event("response.content_part.done", **self._position, part=_part(reply.text))
            + self._event("response.output_item.done", output_index=0, item=self._message(reply.text, reply))
        )

    def last(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> str:
        """Return the event with the whole response."""
        response = self.whole(replies, usage)
        return self._event(f"response.{response['status']}", response=response)

    def failed(self, refusal: Refusal) -> str:
        """Return the events of the error and of the failed response."""
        error = {"code": refusal.code or refusal.kind, "message": str(refusal)}
        return self._event("error", **error, param=refusal.param) + self._event(
            "response.failed", response=self._response("failed") | {"error": error}
        )

    @property
    def _position(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _event(self, name: str, **fields: Any) -> str:
        content = {"type": name, "sequence_number": self._sequence} | fields
        self._sequence += 1
        return event(content, name)

    def _message(self, text: str, reply: ChosenReply) -> dict[str, Any]:
        return {
            "type": "message",
            "id": self._item,
            "status": "completed" if reply.finish == "stop" else "incomplete",
            "role": "assistant",
            "content": [_part(text)],
            "value_palette": reply.certificate,
        }

    def _response(self, status: str) -> dict[str, Any]:
        settings = self.request.requests[0].settings
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": self.request.echo.get("instructions"),
            "max_output_tokens": self.request.longest,
            "metadata": self.request.echo.get("metadata", {}),
            "model": self.request.model,
            "output": [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": settings.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": settings.top_p,
            "truncation": "disabled",
            "usage": None,
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
