"""Messages between service and worker: every field travels; what is missing, unknown or of another type is refused."""

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
#: What no request has together with a chat, or with the method "best".
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


def over(message: Any, kind: Any = None) -> Any:
    """The message after its way through the pipe."""
    return from_json(type(message) if kind is None else kind, json.loads(json.dumps(to_json(message), allow_nan=False)))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(getattr(message, "event", message)).__name__)
def test_every_message_travels_whole(message: Any) -> None:
    assert over(message) == message


def default(of: Field[Any]) -> Any:
    return of.default_factory() if of.default_factory is not MISSING else of.default


def test_every_field_of_a_request_is_sent() -> None:
    """No field of the example has its default, so one that fell back to it would differ."""
    for examples in ((REQUEST, VERBATIM), (REQUEST.settings,), (REQUEST.own[0],)):
        for of in fields(examples[0]):
            own = any(getattr(sent, of.name) != default(of) for sent in examples)
            assert own, f"give {of.name} a value of its own in the example"
    for sent in (REQUEST, VERBATIM):
        received = over(sent)
        for of in fields(GenerationRequest):
            assert getattr(received, of.name) == getattr(sent, of.name), of.name


@dataclass(frozen=True)
class Extended(GenerationRequest):
    """A request with a field that nobody has heard of yet."""

    greeting: str = "Hello."
    levels: tuple[float, ...] = field(default_factory=tuple)


def test_a_field_that_is_added_is_sent_without_further_code() -> None:
    sent = Extended("Hi", greeting="Good morning.", levels=(1.0, math.nan))
    received = over(sent)
    assert (type(received), received.greeting, received.prompt) == (Extended, "Good morning.", "Hi")
    assert received.levels[0] == 1.0
    assert math.isnan(received.levels[1])


@pytest.mark.parametrize("of", fields(GenerationRequest), ids=lambda of: of.name)
def test_a_missing_field_is_an_error_and_no_default(of: Field[Any]) -> None:
    sent = to_json(REQUEST)
    del sent[of.name]
    with pytest.raises(MessageError, match=rf"A GenerationRequest has the fields .*; expected .*\b{of.name}\b"):
        from_json(GenerationRequest, sent)


def test_what_does_not_read_is_refused_in_words() -> None:
    for kind, changed, says in (
        (GenerationRequest, to_json(REQUEST) | {"goal": 1.0}, r"has the fields .*\bgoal\b"),
        (GenerationRequest, to_json(REQUEST) | {"candidates": "7"}, "There is '7'; expected int"),
        (GenerationRequest, to_json(REQUEST) | {"provisional": 1}, "There is 1; expected bool"),
        (GenerationRequest, to_json(REQUEST) | {"seed": True}, "There is True; expected int"),
        (GenerationRequest, to_json(REQUEST) | {"weights": {"humor": "much"}}, "There is 'much'; expected a number"),
        (Command, to_json(Cancel("a")) | {"type": "Stop"}, "The message is a 'Stop'; expected LoadModel, Generate"),
        (Command, ["Cancel"], "expected dict"),
        (Event, to_json(EVENTS[1]) | {"tokens": [[0, "a", False, False]]}, "expected dict"),
    ):
        with pytest.raises(MessageError, match=says):
            from_json(kind, changed)
    with pytest.raises(TypeError, match="JSON does not know"):
        to_json(Begun(object()))  # type: ignore[arg-type]


def test_a_command_that_does_not_read_ends_its_generation_alone() -> None:
    sent: list[dict[str, object]] = []
    worker = ModelWorker("no model", "auto", None, SimpleNamespace(send=sent.append))
    worker._carry_out({"type": "Generate", "id": "g1", "request": {"type": "GenerationRequest", "prompt": "Hi"}})
    message = from_json(GenerationMessage, json.loads(json.dumps(sent[0])))
    assert message.id == "g1"
    assert "A GenerationRequest has the fields prompt, type" in message.event.error


def test_a_cancel_that_comes_after_the_end_is_forgotten_and_none_that_comes_before_its_command() -> None:
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
