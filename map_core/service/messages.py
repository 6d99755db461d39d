"""Messages between the service and its worker: frozen dataclasses, converted to JSON objects and back.

The conversion reads the fields of the dataclasses, so that a new field of a request or an event needs no further code.
A missing or unknown field is an error, never a default. Constraint: no model library; strict JSON, so NaN and
infinities are sent as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from map_core.errors import EngineError
from map_core.generation.events import Event
from map_core.generation.given_replies import GivenReplies, ReplyRewards
from map_core.generation.request import GenerationRequest
from map_core.scoring.specification import Specification

_PLAIN = (str, int, bool, NoneType)


class MessageError(EngineError):
    """A message that does not have the expected form."""


# From the service to the worker.


@dataclass(frozen=True)
class LoadModel:
    """Load the model, and warm up the scorers of some values.

    Args:
        values: whose scorers are warmed up.
        own: how those of them that are not built in are scored.
    """

    values: tuple[str, ...]
    own: tuple[Specification, ...]


@dataclass(frozen=True)
class Generate:
    """Start a generation."""

    id: str
    request: GenerationRequest


@dataclass(frozen=True)
class ChangeWeights:
    """Replace the weights (lambda by value) of a running generation."""

    id: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Cancel:
    """Stop a running generation within one token, or a scoring before its next prompt."""

    id: str


@dataclass(frozen=True)
class ScoreReplies:
    """Score given replies.

    Args:
        id: of the call.
        given: the replies to each chat.
        values: on which they are scored.
        own: how those of them that are not built in are scored.
    """

    id: str
    given: tuple[GivenReplies, ...]
    values: tuple[str, ...]
    own: tuple[Specification, ...]


Command = LoadModel | Generate | ChangeWeights | Cancel | ScoreReplies


# From the worker to the service.


@dataclass(frozen=True)
class WorkerStatus:
    """The state of the worker.

    Args:
        state: "loading", "ready" or "failed".
        note: a line for people.
        command: the command line that solves the problem, if there is one.
        engine: :meth:`map_core.engines.base.EngineInfo.as_dict` once the model is loaded, else empty.
    """

    state: str
    note: str
    command: str | None
    engine: Mapping[str, str]


@dataclass(frozen=True)
class GenerationCancelled:
    """The generation was stopped."""


class FailureKind(StrEnum):
    """The cause of a failure, by who can solve it.

    ``REQUEST``: the client, with another request. ``UPSTREAM``: the operator of the base model's server.
    ``UNAVAILABLE``: temporary; the same request may succeed later. ``INTERNAL``: the operator of this program.
    """

    REQUEST = "request"
    UPSTREAM = "upstream"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True)
class GenerationFailed:
    """The generation ended without a reply.

    Args:
        error: what went wrong and what to do.
        command: the command line that solves the problem, if there is one.
        kind: who can solve it.
    """

    error: str
    command: str | None
    kind: FailureKind = FailureKind.INTERNAL


GenerationEvent = Event | GenerationCancelled | GenerationFailed


@dataclass(frozen=True)
class GenerationMessage:
    """An event of a generation."""

    id: str
    event: GenerationEvent


@dataclass(frozen=True)
class RepliesScored:
    """The rewards of given replies, in the order of the chats, and notes on all of them, a sentence each."""

    id: str
    rewards: tuple[ReplyRewards, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoringFailed:
    """Given replies could not be scored."""

    id: str
    failure: GenerationFailed


def to_json(value: Any) -> Any:
    """Convert a message, or a part of one, to JSON values; a dataclass has its class's name as "type"."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if is_dataclass(kind):
        return {"type": kind.__name__} | {name: to_json(getattr(value, name)) for name in kind.__dataclass_fields__}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, Mapping):
        return {name: to_json(part) for name, part in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return to_json(value.item())
    raise TypeError(f"A message holds a {kind.__name__}, which JSON does not know.")


def from_json(kind: Any, value: Any) -> Any:
    """Convert the JSON values of :func:`to_json` back to the message.

    Args:
        kind: the expected type: a dataclass, or a union of dataclasses, distinguished by "type".
        value: JSON values.

    Raises:
        MessageError: a field is missing, unknown or of another type.
        InputError: a dataclass refuses the value of a field.
    """
    return _reader(kind)(value)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that converts JSON values to a type; cached, because there is a message for every token."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union_reader(arguments)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin is tuple and arguments[-1] is Ellipsis:
        part = _reader(arguments[0])
        return lambda value: tuple(part(item) for item in _typed(list, value))
    if origin in (dict, Mapping):
        part = _reader(arguments[1])
        return lambda value: {name: part(item) for name, item in _typed(dict, value).items()}
    if kind is Any:
        return lambda value: value
    if kind is float:
        return lambda value: float(value if value in ("nan", "inf", "-inf") else _typed((int, float), value))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value: kind(_typed(str, value))
    if kind in (str, int, bool):
        return lambda value: _typed(kind, value)
    raise TypeError(f"Messages have no fields of the type {kind}.")


def _union_reader(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    readers = {kind.__name__: _reader(kind) for kind in kinds if kind is not NoneType}
    if len(readers) == 1:
        (only,) = readers.values()
        return lambda value: None if value is None else only(value)

    def read(value: Any) -> Any:
        name = _typed(dict, value).get("type")
        if name not in readers:
            raise MessageError(f"The message is a {name!r}; expected {', '.join(readers)}.")
        return readers[name](value)

    return read


def _dataclass_reader(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    expected = {"type", *readers}

    def read(value: Any) -> Any:
        if _typed(dict, value).keys() != expected or value["type"] != kind.__name__:
            raise MessageError(
                f"A {kind.__name__} has the fields {', '.join(sorted(value))}; expected {', '.join(sorted(expected))}."
            )
        return kind(**{name: part(value[name]) for name, part in readers.items()})

    return read


def _typed(kind: Any, value: Any) -> Any:
    """Return a value of the expected JSON type."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MessageError(f"There is {value!r:.80}; expected {getattr(kind, '__name__', 'a number')}.")
    return value
