"""Read the body of ``/v1/responses``, OpenAI's newer interface: text in, text out, nothing stored on the server.

Constraint: requests that need a store (earlier responses, conversations, background mode) or tools are refused.

Source: https://platform.openai.com/docs/api-reference/responses/create.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from map_core.server.chat_body import Chat, read_chat
from map_core.server.errors import Refusal, RequestLimits, shortened
from map_core.server.fields import SteeredBody


class ResponsesBody(SteeredBody):
    """The body of ``/v1/responses``; null leaves a field to the server."""

    input: Any = Field(description="Text, or a list of messages with text.")
    instructions: str | None = Field(None, description="The system message.")
    max_output_tokens: int | None = Field(None, description="Longest reply; left out, replies end by themselves.")
    metadata: dict[str, Any] | None = Field(None, description="Returned unchanged.")

    @property
    def longest(self) -> int | None:
        """The longest reply that the body allows, in tokens."""
        return self.max_output_tokens


def read_input(body: ResponsesBody, limits: RequestLimits) -> Chat:
    """Return the input of a body as a chat, with the instructions as its first system message.

    Raises:
        Refusal: an item is not a message with text, or as :func:`map_core.server.chat_body.read_chat`.
    """
    if body.n not in (None, 1):
        raise Refusal(f"n is {body.n}; a response has one reply. Use /v1/chat/completions for more.", param="n")
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    if not isinstance(items, list):
        raise Refusal(f"input is {shortened(repr(body.input))}; expected text or a list of messages.", param="input")
    for index, item in enumerate(items):
        _check_item(item, index)
    instructions = [] if body.instructions is None else [{"role": "system", "content": body.instructions}]
    messages = [item for item in items if item.get("type") != "reasoning"]
    return read_chat([*instructions, *messages], limits, "input")


def _check_item(item: Any, index: int) -> None:
    """Refuse an item of the input that is neither a message nor reasoning, which is ignored."""
    kind = item.get("type", "message") if isinstance(item, Mapping) else None
    if kind == "item_reference":
        raise Refusal(
            f"Item {index + 1} of input refers to an earlier response, and this server stores none. Send the messages "
            "themselves; in Vercel's AI SDK set store to false.",
            param=f"input.{index}",
            code="unsupported_parameter",
        )
    if kind not in ("message", "reasoning"):
        raise Refusal(
            f"Item {index + 1} of input is {shortened(repr(item))}; expected a message with text.",
            param=f"input.{index}",
        )
