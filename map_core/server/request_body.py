"""Read and check a request's JSON: OpenAI's fields and the ones that are added here.

A field that would change the reply and cannot be honoured is refused, not passed over; so is one that nobody knows,
which is mostly a typing error. Constraint: what a value, a palette or a model is called is decided in
:mod:`request_parser`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from map_core.core.types import Turn
from map_core.server.errors import Limits, Refusal

#: Of OpenAI's fields those that mean nothing here and change no reply.
_IGNORED = (
    *("metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("verbosity", "reasoning_effort", "parallel_tool_calls"),
)
#: Fields that are not honoured, with the values that ask for nothing.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "best_of": (1,),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_unicode": "Unicode text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "missing": "something",
}


class ChatBody(BaseModel):
    """The body of ``/v1/chat/completions``; null leaves a field to the server."""

    model_config = ConfigDict(extra="forbid", strict=True)

    messages: list[dict[str, Any]] = Field(description="system, user and assistant messages; the last is the user's.")
    model: str | None = Field(None, description="A name that /v1/models lists: the base model, or MODEL:PALETTE.")
    n: int | None = Field(None, description="Independent aligned replies, each with a seed of its own.")
    seed: int | None = Field(None, description="The same seed, the same replies; drawn and told when left out.")
    temperature: float | None = Field(None, description="0 for the likeliest reply; as in the table when left out.")
    top_p: float | None = Field(None, description="As in the table when left out.")
    top_k: int | None = Field(None, description="0 for off; as in the table when left out.")
    max_tokens: int | None = Field(None, description="Longest reply; as in the table when left out.")
    max_completion_tokens: int | None = Field(None, description="The same by its newer name, which counts first.")
    stop: str | list[str] | None = Field(None, description="The reply is cut before the first of these.")
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = Field(None, description="Turns are fair among users.")
    palette: str | None = Field(None, description="The name of a palette that the server was started with.")
    weights: dict[str, float] | None = Field(None, description="Weights by value, 1/reward, in place of a palette.")
    values: list[str] | None = Field(None, description="Further values whose rewards are told.")
    candidates: int | None = Field(None, description="K, replies to choose from.")
    method: str | None = Field(None, description="resample (default), best or blocks.")
    block: int | None = Field(None, description="Tokens of a block.")
    least_ess: float | None = Field(None, description="Draw K at a time until so many candidates carry the choice ...")
    most_candidates: int | None = Field(None, description="... or there are so many.")

    @property
    def longest(self) -> int | None:
        """The longest reply that is asked for, in tokens."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


def read_body(content: bytes) -> ChatBody:
    """Read a body from its bytes.

    Raises:
        Refusal: no JSON object, a field of another type, one that cannot be honoured, or one that nobody knows.
    """
    try:
        fields = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refusal(f"The body is not UTF-8 at byte {error.start + 1}; expected a JSON object.") from error
    except (ValueError, RecursionError) as error:
        raise Refusal(f"The body is no JSON ({_cut(str(error))}); expected a JSON object.") from error
    if not isinstance(fields, dict):
        raise Refusal(f"The body is {_cut(repr(fields))}; expected a JSON object with the field messages.")
    for name in [name for name in fields if name in _IGNORED or name in _NEUTRAL]:
        value = fields.pop(name)
        if name in _NEUTRAL and value is not None and not any(_same(value, neutral) for neutral in _NEUTRAL[name]):
            raise Refusal(
                f"{name} is {_cut(repr(value))}; this server cannot honour {name}. Leave it out.",
                param=name,
                code="unsupported_parameter",
            )
    try:
        return ChatBody.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error) from error


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _refusal(error: ValidationError) -> Refusal:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"] if part not in ("str", "list[str]"))
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        own = "palette, weights, values, candidates, method, block, least_ess and most_candidates"
        message = f"There is no field {_cut(repr(name))} here; beside OpenAI's there are {own}."
        return Refusal(message, param=_cut(name), code="unknown_parameter")
    if fault["type"] == "missing":
        return Refusal(f"The field {place} is missing; expected a list of messages.", param=name)
    expected = "text or a list of texts" if name == "stop" else _EXPECTED.get(fault["type"], fault["msg"])
    return Refusal(
        f"{place or 'The name of a field'} is {_cut(repr(fault['input']))}; expected {expected}.", param=name
    )


def read_chat(messages: Sequence[Mapping[str, Any]], limits: Limits) -> tuple[str | None, tuple[Turn, ...], str]:
    """Return the system message or None, the exchanges before, and the prompt.

    Messages of one role that follow each other are one, with a blank line between them.

    Raises:
        Refusal: no messages, too many or too long, a role or content that is none, or turns in no order.
    """
    if not messages:
        raise Refusal("messages is empty; expected at least one message of the user.", param="messages")
    if len(messages) > limits.messages:
        raise Refusal(f"There are {len(messages):,} messages; expected at most {limits.messages:,}.", param="messages")
    turns: list[tuple[str, str]] = []
    for number, message in enumerate(messages):
        role = _role(message, number)
        text = _text(message.get("content"), number)
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n\n{text}")
        else:
            turns.append((role, text))
    length = sum(len(text) for _, text in turns)
    if length > limits.characters:
        raise Refusal(
            f"The messages have {length:,} characters; expected at most {limits.characters:,}. Shorten them.",
            param="messages",
            code="context_length_exceeded",
        )
    system = turns.pop(0)[1] if turns[0][0] == "system" else None
    for place, (role, _) in enumerate(turns):
        if role != ("user", "assistant")[place % 2]:
            raise Refusal(
                f"The messages come in the order {_cut(', '.join(role for role, _ in turns))}; expected the user's and "
                "the assistant's in turn, the user's first, and a system message at the beginning alone.",
                param="messages",
            )
    if len(turns) % 2 == 0:
        last = "there is no message of the user" if not turns else "the last message is the assistant's"
        raise Refusal(f"In messages {last}; expected the user's last.", param="messages")
    if not turns[-1][1].strip():
        raise Refusal("The last message is empty; write what the model should answer.", param="messages")
    texts = [text for _, text in turns]
    return system, tuple(map(Turn, texts[0:-1:2], texts[1::2])), texts[-1]


def _role(message: Mapping[str, Any], number: int) -> str:
    role = message.get("role")
    if role == "developer":
        return "system"
    if role not in ("system", "user", "assistant"):
        raise Refusal(
            f"The role of message {number + 1} is {_cut(repr(role))}; expected system, user or assistant.",
            param=f"messages.{number}.role",
        )
    return str(role)


def _text(content: Any, number: int) -> str:
    """Return a message's text; several parts of text are joined."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if any(not isinstance(text, str) for text in texts):
        raise Refusal(
            f"The content of message {number + 1} is {_cut(repr(content))}; expected text.",
            param=f"messages.{number}.content",
        )
    joined = "".join(str(text) for text in texts)
    try:
        joined.encode()
    except UnicodeEncodeError as error:
        raise Refusal(
            f"Message {number + 1} is no valid text at character {error.start + 1}; expected Unicode.",
            param=f"messages.{number}.content",
        ) from error
    return joined


def read_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the texts before which a reply is cut.

    Raises:
        Refusal: more than 4, or an empty one.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 4 or not all(stops):
        raise Refusal(f"stop is {_cut(repr(stop))}; expected up to 4 texts that are not empty.", param="stop")
    return stops


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
