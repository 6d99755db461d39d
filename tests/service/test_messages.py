"""Tests of messages between service and worker: fields survive encoding, and invalid messages are refused."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from types import SimpleNamespace
from typing import Any

import pytest

from map_core.core.types import Reply, SamplingSettings, Turn
from map_core.engines.tokens import Token
from map_core.generation.choice import Choice
from map_core.generation.events import Begun, Event, Finished, More, Pruned, Resampled, Scored, Tokens
from map_core.generation.given_replies import GivenReplies, ReplyRewards
from map_core.generation.request import GenerationRequest, Method
from map_core.scoring.specification import Specification
from map_core.service.messages import (
    Cancel,
    ChangeWeights,
    Command,
    FailureKind,
    Generate,
    GenerationCancelled,
    GenerationFailed,
    GenerationMessage,
    LoadModel,
    MessageError,
    RepliesScored,
    ScoreReplies,
    ScoringFailed,
    WorkerStatus,
    from_json,
    to_json,
)
from map_core.service.worker import ModelWorker

REQUEST = GenerationRequest(
    prompt="How?",
    weights={"humor": 2.5, "calm_nurse": -1.0},
    values=("kindness",),
    candidates=7,
    settings=SamplingSettings(0.8, 40, 0.95, 12),
    seed=3,
    system="Be brief.",
    history=(Turn("Hi.", "Hello."), Turn("And?", "So.")),
    provisional=False,
    method=Method.BEST,
    block=5,
    most_candidates=21,
    least_ess=4.5,
    largest_error=0.25,
    beginning="So",
    floors={"kindness": 0.2},
    own=(Specification("calm_nurse", "contrast", {"high": ["a", "b"], "scale": {"of": 1.5}}, trusted=True),),
)
#: The fields that a request cannot combine with a chat or with the method "best".
VERBATIM = GenerationRequest(prompt="Once", verbatim=True, most_candidates=32, headroom=2.5)
TOKEN = Token(2, 17, "é", -0.25, last=True, finished=True)
EVENTS: tuple[Event, ...] = (
    Begun(4),
    Tokens(9, (TOKEN, replace(TOKEN, candidate=3, last=False, finished=False))),
    Scored("humor", (0.1, -2.0, 1e300), provisional=True),
    More(12),
    Resampled(8, (0, 0, 2)),
    Pruned(32, (1, 5)),
    Finished(
        replies=(Reply("a", (1, 2), (-0.5, -1.0), finished=False), Reply("b")),
        rewards={"humor": (0.1, 0.2)},
        log_offsets=(math.inf, 0.5),
        choice=Choice((0.25, 0.75), -0.5, 1.6, 0.1, 0.05, 1, 1, decided=True),
        tokens=11,
        sampling_seconds=1.5,
        provisional_seconds=0.25,
        scoring_seconds=0.5,
        notes=("A note.",),
    ),
)
MESSAGES = (
    LoadModel(("humor",), REQUEST.own),
    Generate("g1", REQUEST),
    Generate("g2", VERBATIM),
    ChangeWeights("g1", {"humor": 1.0}),
    Cancel("g1"),
    ScoreReplies("s1", (GivenReplies("How?", ("a", "b"), "Be brief.", REQUEST.history),), ("humor",), REQUEST.own),
    RepliesScored("s1", (ReplyRewards({"humor": (0.5, -1.0)}),), ("A note.",)),
    ScoringFailed("s1", GenerationFailed("Why.", None, FailureKind.UPSTREAM)),
    WorkerStatus("ready", "A note.", "a command", {"name": "torch"}),
    *(
        GenerationMessage("g1", event)
        for event in (*EVENTS, GenerationCancelled(), GenerationFailed("Why.", "a command"))
    ),
)


def round_trip(message: Any, kind: Any = None) -> Any:
    """Return the message after encoding to JSON and decoding."""
    return from_json(type(message) if kind is None else kind, json.loads(json.dumps(to_json(message), allow_nan=False)))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(getattr(message, "event", message)).__name__)
def test_messages_survive_a_round_trip(message: Any) -> None:
    assert round_trip(message) == message


def default_of(message_field: Field[Any]) -> Any:
    return message_field.default_factory() if message_field.default_factory is not MISSING else message_field.default


def test_every_field_of_a_request_is_sent() -> None:
    """No field of the examples has its default, so a field that is not sent would differ."""
    for examples in ((REQUEST, VERBATIM), (REQUEST.settings,), (REQUEST.own[0],)):
        for message_field in fields(examples[0]):
            differs = any(getattr(example, message_field.name) != default_of(message_field) for example in examples)
            assert differs, f"give {message_field.name} a value of its own in the example"
    for example in (REQUEST, VERBATIM):
        decoded = round_trip(example)
        for message_field in fields(GenerationRequest):
            assert getattr(decoded, message_field.name) == getattr(example, message_field.name), message_field.name


@dataclass(frozen=True)
class Extended(GenerationRequest):
    """A request with fields that the encoding does not mention."""

    greeting: str = "Hello."
    levels: tuple[float, ...] = field(default_factory=tuple)


def test_new_fields_are_encoded_automatically() -> None:
    sent = Extended("Hi", greeting="Good morning.", levels=(1.0, math.nan))
    decoded = round_trip(sent)
    assert (type(decoded), decoded.greeting, decoded.prompt) == (Extended, "Good morning.", "Hi")
    assert decoded.levels[0] == 1.0
    assert math.isnan(decoded.levels[1])


@pytest.mark.parametrize("message_field", fields(GenerationRequest), ids=lambda message_field: message_field.name)
def test_missing_field_is_an_error(message_field: Field[Any]) -> None:
    encoded = to_json(REQUEST)
    del encoded[message_field.name]
    with pytest.raises(
        MessageError, match=rf"A GenerationRequest has the fields .*; expected .*\b{message_field.name}\b"
    ):
        from_json(GenerationRequest, encoded)


def test_unreadable_messages_are_refused_with_an_explanation() -> None:
    for kind, data, error_text in (
        (GenerationRequest, to_json(REQUEST) | {"goal": 1.0}, r"has the fields .*\bgoal\b"),
        (GenerationRequest, to_json(REQUEST) | {"candidates": "7"}, "There is '7'; expected int"),
        (GenerationRequest, to_json(REQUEST) | {"provisional": 1}, "There is 1; expected bool"),
        (GenerationRequest, to_json(REQUEST) | {"seed": True}, "There is True; expected int"),
        (GenerationRequest, to_json(REQUEST) | {"weights": {"humor": "much"}}, "There is 'much'; expected a number"),
        (Command, to_json(Cancel("a")) | {"type": "Stop"}, "The message is a 'Stop'; expected LoadModel, Generate"),
        (Command, ["Cancel"], "expected dict"),
        (Event, to_json(EVENTS[1]) | {"tokens": [[0, "a", False, False]]}, "expected dict"),
    ):
        with pytest.raises(MessageError, match=error_text):
            from_json(kind, data)
    with pytest.raises(TypeError, match="JSON does not know"):
        to_json(Begun(object()))  # type: ignore[arg-type]


def test_unreadable_command_fails_its_generation_alone() -> None:
    sent: list[dict[str, object]] = []
    worker = ModelWorker("no model", "auto", None, SimpleNamespace(send=sent.append))
    worker._carry_out({"type": "Generate", "id": "g1", "request": {"type": "GenerationRequest", "prompt": "Hi"}})
    message = from_json(GenerationMessage, json.loads(json.dumps(sent[0])))
    assert message.id == "g1"
    assert "A GenerationRequest has the fields prompt, type" in message.event.error


def test_late_cancels_are_dropped_and_early_ones_kept() -> None:
    received = iter([to_json(Cancel("ended"))])
    worker = ModelWorker("no model", "auto", None, SimpleNamespace(receive=lambda: next(received)))
    with pytest.raises(StopIteration):
        worker.listen()
    assert worker._cancelled == {"ended"}
    worker._commands.put({})
    worker._forget_late_cancels()
    assert worker._cancelled == {"ended"}, "the command that waits may be the one"
    worker._commands.get()
    worker._forget_late_cancels()
    assert not worker._cancelled
