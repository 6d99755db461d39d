"""Read the body of ``/v1/chat/completions`` and its messages.

Constraint: independent of the model's chat template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from map_core.core.types import Turn
from map_core.server.errors import Refusal, RequestLimits, shortened
from map_core.server.fields import SteeredBody

#: Kinds of content parts that are text: those of chats, and of the Responses interface.
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")


class ChatBody(SteeredBody):
    """The body of ``/v1/chat/completions``; null leaves a field to the server."""

    messages: list[dict[str, Any]] = Field(
        description="system, developer, user and assistant messages. The last is the user's, or the assistant's with "
        "the beginning of the reply."
    )
    max_tokens: int | None = Field(None, description="Longest reply; left out, replies end by themselves.")
    max_completion_tokens: int | None = Field(None, description="The newer name of max_tokens, which takes precedence.")
    add_generation_prompt: bool | None = Field(None, description="vLLM's; only the server's own behaviour is accepted.")
    continue_final_message: bool | None = Field(
        None, description="vLLM's; only the server's own behaviour is accepted."
    )

    @property
    def longest(self) -> int | None:
        """The longest reply that the body allows, in tokens."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


@dataclass(frozen=True)
class Chat:
    """The messages of a chat.

    Args:
        system: the system message, or None.
        history: the exchanges before the prompt; the first has an empty prompt if the assistant's message comes first.
        prompt: the last message of the user.
        beginning: the beginning of the reply, if the last message is the assistant's.
        notes: how messages were changed, a sentence each.
    """

    system: str | None
    history: tuple[Turn, ...]
    prompt: str
    beginning: str = ""
    notes: tuple[str, ...] = ()


def read_chat(messages: Sequence[Mapping[str, Any]], limits: RequestLimits, field: str = "messages") -> Chat:
    """Read the messages of a chat.

    Consecutive messages of one role are joined by a blank line; so are all system messages.

    Args:
        messages: each with a role and a content.
        limits: of a request.
        field: the field of the body that holds them, for error messages.

    Raises:
        Refusal: no messages, too many or too long ones, an invalid role or content, or no message of the user.
    """
    if not messages:
        raise Refusal(f"{field} is empty; expected at least one message of the user.", param=field)
    if len(messages) > limits.messages:
        raise Refusal(f"There are {len(messages):,} messages; expected at most {limits.messages:,}.", param=field)
    systems: list[str] = []
    turns: list[tuple[str, str]] = []
    notes: list[str] = []
    for number, message in enumerate(messages):
        role = _role(message, number, field)
        content = message.get("content")
        if content is None and role == "assistant":
            notes.append(f"Message {number + 1} has no content and counts as empty.")
            content = ""
        text = content_text(content, number, field)
        if role == "system":
            if turns:
                notes.append(f"Message {number + 1} is read as part of the system message at the beginning.")
            systems.append(text)
        elif turns and turns[-1][0] == role:
            turns[-1] = (role, "\n\n".join(part for part in (turns[-1][1], text) if part))
        else:
            turns.append((role, text))
    length = sum(len(text) for text in (*systems, *(text for _, text in turns)))
    if length > limits.characters:
        raise Refusal(
            f"The messages have {length:,} characters; expected at most {limits.characters:,}. Shorten them.",
            param=field,
            code="context_length_exceeded",
        )
    beginning = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    if beginning:
        notes.append(
            "The last message is the assistant's: the answer is its continuation, and rewards are those of both "
            "together."
        )
    if not turns:
        raise Refusal(f"{field} has no message of the user; expected the last one to be the user's.", param=field)
    if not turns[-1][1].strip():
        raise Refusal("The last message is empty; write what the model should answer.", param=field)
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", ""))
    texts = [text for _, text in turns]
    system = "\n\n".join(systems) if systems else None
    return Chat(system, tuple(map(Turn, texts[0:-1:2], texts[1::2])), texts[-1], beginning, tuple(notes))


def _role(message: Mapping[str, Any], number: int, field: str) -> str:
    role = message.get("role")
    if role == "developer":
        return "system"
    if role not in ("system", "user", "assistant"):
        raise Refusal(
            f"The role of message {number + 1} is {shortened(repr(role))}; expected system, user or assistant.",
            param=f"{field}.{number}.role",
        )
    return str(role)


def content_text(content: Any, number: int, field: str) -> str:
    """Return a message's text; several parts of text are joined.

    Args:
        content: text, or a list of parts.
        number: the message's index, from 0.
        field: the field of the body that holds the messages.

    Raises:
        Refusal: a part is not text, or the text is not valid Unicode.
    """
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts: list[str] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get("refusal" if kind == "refusal" else "text") if kind in _TEXT_PARTS else None
        if not isinstance(text, str):
            raise Refusal(
                f"The content of message {number + 1} is {shortened(repr(content))}; expected text.",
                param=f"{field}.{number}.content",
            )
        texts.append(text)
    joined = "".join(texts)
    try:
        joined.encode()
    except UnicodeEncodeError as error:
        raise Refusal(
            f"Message {number + 1} is not valid text at character {error.start + 1}; expected Unicode.",
            param=f"{field}.{number}.content",
        ) from error
    return joined


def read_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the texts before which a reply is cut.

    Raises:
        Refusal: more than 4, or an empty one.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 4 or not all(stops):
        raise Refusal(f"stop is {shortened(repr(stop))}; expected up to 4 texts that are not empty.", param="stop")
    return stops
