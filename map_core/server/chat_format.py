"""Format replies as OpenAI's chat completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from map_core.server.errors import Refusal
from map_core.server.replies import ChosenReply, ReplyFormat, event
from map_core.server.request_parser import ReplyRequest


class ChatFormat(ReplyFormat):
    """``chat.completion``, whole and in chunks.

    Source: https://platform.openai.com/docs/api-reference/chat.
    """

    def __init__(self, request: ReplyRequest) -> None:
        super().__init__(request)
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    def whole(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return all replies at once, see :class:`ReplyFormat`."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": reply.text, "refusal": None},
                "logprobs": None,
                "finish_reason": reply.finish,
                "value_palette": reply.certificate,
            }
            for index, reply in enumerate(replies)
        ]
        own = {"choices": choices, "usage": dict(usage), "value_palette": self.request.in_force}
        return self._envelope("chat.completion") | own

    def begin(self, index: int) -> str:
        """Return the event that opens the assistant's message."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, text: str) -> str:
        """Return the event with a piece of a reply's text."""
        return self._chunk(index, {"content": text})

    def end(self, index: int, reply: ChosenReply) -> str:
        """Return the last event of a reply."""
        own = {"value_palette": self.request.in_force}
        return self._chunk(index, {}, reply.finish, {"value_palette": reply.certificate}, own)

    def last(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> str:
        """Return the token counts, if the request asks for them, and the end of the stream."""
        counted = event(self._envelope("chat.completion.chunk") | {"choices": [], "usage": dict(usage)})
        return (counted if self.request.usage else "") + event("[DONE]")

    def failed(self, refusal: Refusal) -> str:
        """Return the error as an event."""
        return event(refusal.as_json())

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, Any],
        finish: str | None = None,
        of_choice: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish} | dict(of_choice or {})
        return event(self._envelope("chat.completion.chunk") | {"choices": [choice]} | dict(own or {}))

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self.request.model}
