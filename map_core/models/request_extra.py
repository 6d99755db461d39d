"""Further fields of the requests to a server that a person gives: ``chat_template_kwargs``, ``generation_config``.

They are passed on unchanged. They cannot set what the program sets, at any depth, or the table would record one setting
and its replies would have another. Constraint: standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from map_core.errors import InputError

#: Fields that the program sets, and those that would change the form of an answer.
_SET_HERE = frozenset(
    (
        *("model", "messages", "stream", "stream_options", "n", "seed", "logprobs", "top_logprobs"),
        *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "max_completion_tokens"),
        *("tools", "tool_choice", "functions", "function_call"),
    )
)
#: Settings that would override the program's from within another field, such as transformers' generation_config.
_SET_WITHIN = frozenset(("temperature", "top_p", "max_tokens", "max_new_tokens", "max_length", "seed"))


def check_request_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Check further fields of a request and return them.

    Raises:
        InputError: they set what the program sets.
    """
    clash = sorted({*extra} & _SET_HERE) or sorted(nested_names(extra) & _SET_WITHIN)
    if clash:
        raise InputError(
            f"The extra request fields set {', '.join(clash)}, which has an option of its own or cannot be set. Leave "
            "it out of them."
        )
    return dict(extra)


def parse_request_extra(text: str) -> dict[str, Any]:
    """Parse further fields of a request from JSON.

    Raises:
        InputError: it is not a JSON object, or sets what the program sets.
    """
    try:
        extra = json.loads(text)
    except ValueError as error:
        raise InputError(f"The extra request fields are not JSON ({error}); expected an object.") from error
    if not isinstance(extra, dict):
        raise InputError(
            'The extra request fields are not a JSON object; expected one, such as {"reasoning_effort": "low"}.'
        )
    return check_request_extra(extra)


def nested_names(extra: Any) -> set[str]:
    """Return the names of all settings within fields, including those in JSON that is given as text."""
    names: set[str] = set()
    for value in extra.values() if isinstance(extra, Mapping) else ():
        inner = value
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                inner = json.loads(value)
            except ValueError:
                continue
        if isinstance(inner, Mapping):
            names |= {str(name) for name in inner} | nested_names(inner)
    return names


def recorded_request_extra(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra request fields with which a table's replies were drawn.

    Raises:
        InputError: they set what the program sets.
    """
    extra = metadata.get("request_extra")
    return check_request_extra(extra) if isinstance(extra, Mapping) else {}
