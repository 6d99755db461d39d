"""Format replies as OpenAI's completions of texts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from map_core.server.errors import Refusal
from map_core.server.replies import ChosenReply, ReplyFormat, event
from map_core.server.request_parser import ReplyRequest


class CompletionFormat(ReplyFormat):
    """``text_completion``, whole and in chunks of the same shape.

    Source: https://platform.openai.com/docs/api-reference/completions.
    """

    def __init__(self, request: ReplyRequest) -> None:
        super().__init__(request)
        self._id, self._created = f"cmpl-{uuid.uuid4().hex}", int(time.time())

    def whole(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return all replies at once, see :class:`ReplyFormat`."""
        choices = [
            self._choice(index, reply.text, reply.finish) | {"value_palette": reply.certificate}
            for index, reply in enumerate(replies)
        ]
        return self._envelope(choices) | {"usage": dict(usage), "value_palette": self.request.in_force}

    def begin(self, index: int) -> str:
        """Return nothing: a completion has no role to name."""
        return ""

    def piece(self, index: int, text: str) -> str:
        """Return the event with a piece of a reply's text."""
        return event(self._envelope([self._choice(index, text)]))

    def end(self, index: int, reply: ChosenReply) -> str:
        """Return the last event of a reply."""
        choice = self._choice(index, "", reply.finish) | {"value_palette": reply.certificate}
        return event(self._envelope([choice]) | {"value_palette": self.request.in_force})

    def last(self, replies: Sequence[ChosenReply], usage: Mapping[str, int]) -> str:
        """Return the token counts, if the request asks for them, and the end of the stream."""
        counted = event(self._envelope([]) | {"usage": dict(usage)})
        return (counted if self.request.usage else "") + event("[DONE]")

    def failed(self, refusal: Refusal) -> str:
        """Return the error as an event."""
        return event(refusal.as_json())

    def _choice(self, index: int, text: str, finish: str | None = None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}

    def _envelope(self, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self.request.model,
            "choices": list(choices),
        }
