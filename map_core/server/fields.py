"""Read the fields of a request's JSON: which are honoured, which are ignored, which are refused.

A field that would change the reply and cannot be honoured is refused; so is an unknown one, which is mostly a typing
error. Fields of OpenAI and vLLM that have no effect here are accepted, with a note if they are set. Constraint: names
of values, palettes and models are checked in :mod:`request_parser`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from map_core.server.errors import Refusal, shortened

#: Fields that have no effect on replies.
_IGNORED = (
    *("metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("verbosity", "reasoning", "reasoning_effort", "parallel_tool_calls", "max_tool_calls", "truncation"),
    *("request_id", "priority", "cache_prompt"),
)
#: Fields that are not supported, each with the values that have no effect.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "repeat_penalty": (1,),
    "length_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "min_p": (0,),
    "typical_p": (1,),
    "min_tokens": (0,),
    "do_sample": (True,),
    "num_beams": (1,),
    "use_beam_search": (False,),
    "ignore_eos": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "include_stop_str_in_output": (False,),
    "stop_token_ids": ([],),
    "prompt_logprobs": (0,),
    "echo": (False,),
    "suffix": ("",),
    "best_of": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "text": ({}, {"format": {"type": "text"}}),
    "modalities": (["text"],),
    "chat_template_kwargs": ({},),
    "documents": ([],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "background": (False,),
    "include": ([], ["reasoning.encrypted_content"]),
    "conversation": (),
    "previous_response_id": (),
}
#: Fields of tools, each with the field that disables them.
_SWITCHED_OFF = {"tools": "tool_choice", "functions": "function_call"}
#: The content of each required field, for error messages.
_MISSING = {
    "messages": "a list of messages",
    "prompt": "text or a list of texts",
    "input": "text or a list of messages",
}
#: What is expected, by Pydantic's type of the error.
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


class SteeredBody(BaseModel):
    """The fields that every request for replies has; null leaves one to the server."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, description="A name that /v1/models lists: the base model, or MODEL:PALETTE.")
    n: int | None = Field(None, description="Independent aligned replies, each with a seed of its own.")
    seed: int | None = Field(
        None, description="The same seed gives the same replies; drawn and reported when left out."
    )
    temperature: float | None = Field(
        None,
        description="0 for the candidate of the highest weighted reward, or the base model's likeliest reply; as in "
        "the table when left out.",
    )
    top_p: float | None = Field(None, description="As in the table when left out.")
    top_k: int | None = Field(None, description="0 or -1 for off; as in the table when left out.")
    stop: str | list[str] | None = Field(None, description="The reply is cut before the first of these.")
    stream: bool | None = Field(None, description="The reply comes in pieces, as server-sent events.")
    stream_options: dict[str, Any] | None = Field(None, description='{"include_usage": true} counts tokens at the end.')
    user: str | None = Field(None, description="OpenAI's; not used, as turns are fair among keys or addresses.")
    palette: str | None = Field(None, description="The name of a palette that the server was started with.")
    weights: dict[str, float] | None = Field(None, description="Weights by value, 1/reward, in place of a palette.")
    cohort: str | list[str] | None = Field(
        None,
        description="Kind of the prompt: a use case of the table, or COLUMN=ENTRY, whose weights of the palette count.",
    )
    floors: dict[str, float | str] | None = Field(
        None, description="Least level of every reply by value: reward units, or p20 or +0.5sd of the table."
    )
    values: list[str] | None = Field(None, description="Further values whose rewards are reported.")
    candidates: int | None = Field(None, description="K, the replies to choose from.")
    method: str | None = Field(None, description="resample (default), best, blocks or prune.")
    block: int | None = Field(None, description="Tokens of a block, for the method blocks.")
    headroom: float | None = Field(
        None,
        description="With most_candidates: draw K at a time until no further candidate could be picked, where scores "
        "count up to this many nats above their mean.",
    )
    least_ess: float | None = Field(
        None, description="With most_candidates: draw K at a time until the effective sample size is at least this."
    )
    most_candidates: int | None = Field(None, description="Most candidates that are drawn in all.")

    @property
    def longest(self) -> int | None:
        """The longest reply that the body allows, in tokens; None without a limit."""
        return None


Body = TypeVar("Body", bound=BaseModel)


def read_fields(content: bytes, kind: type[Body]) -> tuple[Body, list[str]]:
    """Read a body from its bytes.

    Args:
        content: JSON.
        kind: the model of its fields.

    Returns:
        The body, and notes on ignored fields, a sentence each.

    Raises:
        Refusal: not a JSON object, or a field of a wrong type, one that is not supported, or an unknown one.
    """
    try:
        fields = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refusal(f"The body is not UTF-8 at byte {error.start + 1}; expected a JSON object.") from error
    except (ValueError, RecursionError) as error:
        raise Refusal(f"The body is not JSON ({shortened(str(error))}); expected a JSON object.") from error
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    if not isinstance(fields, dict):
        expected = f"a JSON object with the field {required[0]}" if required else "a JSON object"
        raise Refusal(f"The body is {shortened(repr(fields))}; expected {expected}.")
    notes = _drop_tools(fields)
    ignored = []
    for name in list(fields):
        if name in kind.model_fields or name not in (*_IGNORED, *_NEUTRAL):
            continue
        value = fields.pop(name)
        if value is None:
            continue
        if name in _IGNORED:
            ignored.append(name)
        elif not any(_same(value, neutral) for neutral in _NEUTRAL[name]):
            raise Refusal(
                f"{name} is {shortened(repr(value))}; this server cannot honour {name}. Leave it out.",
                param=name,
                code="unsupported_parameter",
            )
    if ignored:
        notes.append(f"Fields that change nothing here: {', '.join(ignored)}.")
    try:
        return kind.model_validate(fields), notes
    except ValidationError as error:
        raise _refusal(error) from error


def _drop_tools(fields: dict[str, Any]) -> list[str]:
    """Remove tools that the request itself disables, and return a note on each removal."""
    notes = []
    for tools, switch in _SWITCHED_OFF.items():
        if fields.get(switch) == "none" and isinstance(fields.get(tools), list) and fields[tools]:
            del fields[tools]
            notes.append(f"The {tools} are not shown to the model, as {switch} is none.")
    return notes


def _same(value: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; unlike in Python, true is not 1 and false is not 0."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _refusal(error: ValidationError) -> Refusal:
    """Return the first validation error in OpenAI's format."""
    fault = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in fault["loc"] if part not in ("str", "list[str]"))
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        own = (
            "palette, weights, cohort, floors, values, candidates, method, block, headroom, least_ess and "
            "most_candidates"
        )
        message = f"There is no field {shortened(repr(name))}; beside OpenAI's fields there are {own}."
        return Refusal(message, param=shortened(name), code="unknown_parameter")
    if fault["type"] == "missing":
        return Refusal(f"The field {path} is missing; expected {_MISSING.get(name, 'something')}.", param=name)
    expected = _EXPECTED.get(fault["type"], fault["msg"])
    if name in ("stop", "cohort") and fault["type"] in ("string_type", "list_type"):
        expected = "text or a list of texts"
    if name == "floors" and fault["type"] in ("float_type", "string_type"):
        expected = "a number in reward units, or text such as p20"
    return Refusal(
        f"{path or 'The name of a field'} is {shortened(repr(fault['input']))}; expected {expected}.", param=name
    )
