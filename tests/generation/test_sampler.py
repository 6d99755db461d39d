"""From a prompt to a base and an aligned reply, with a tiny real transformer: the events, the laws, bad input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from map_core.core.types import Reply, SamplingSettings
from map_core.engines.base import Engine
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError
from map_core.generation.choice import base_pick, choose
from map_core.generation.events import Begun, Finished, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import ScoringCosts
from map_core.generation.sampler import generation_events
from map_core.scoring.base import Card, Scorer, ScorerError
from map_core.scoring.lexicon import Diversity, PlainLanguage
from tests.tiny_model import make_tiny_model

SETTINGS = SamplingSettings(temperature=1.0, max_new_tokens=40)
SCORERS = {"plain_language": PlainLanguage(), "diversity": Diversity()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, one_torch_thread: None) -> Engine:
    from map_core.engines.factory import open_engine

    return open_engine(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), "torch", "float32")


class Letters(Scorer):
    """Counts a letter: a value whose rewards differ between the tiny model's replies, whatever they are."""

    card = Card("letters", "Letters", "How often e is there.", "All else.", "MIT", "this test", "1", partial=True)

    def __init__(self, partial: bool = True) -> None:
        self.seen: list[int] = []
        self._partial = partial

    @property
    def partial(self) -> bool:
        return self._partial

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        self.seen.append(sum(len(reply.tokens) for reply in replies))
        return np.array([float(reply.text.count("e")) for reply in replies])


def test_the_walk_from_prompt_to_choice(engine: Engine) -> None:
    request = GenerationRequest("How are you?", {"letters": 0.7}, ("diversity",), 6, SETTINGS, seed=3)
    events = list(generation_events(engine, {"letters": Letters(), **SCORERS}, request))
    assert isinstance(events[0], Begun)
    assert events[0].base == base_pick(6, 3)
    assert isinstance(events[-1], Finished)
    finished = events[-1]
    # What was streamed is what comes out, and it is what the engine draws on its own.
    streamed = [""] * 6
    for event in events:
        if isinstance(event, Tokens):
            for token in event.tokens:
                streamed[token.candidate] += token.text
    assert list(finished.replies) == engine.complete(DrawRequest("How are you?", 6, SETTINGS, 3))
    assert streamed == [reply.text for reply in finished.replies]
    steps = [event.step for event in events if isinstance(event, Tokens)]
    assert steps == list(range(1, len(steps) + 1))
    assert finished.tokens == sum(len(event.tokens) for event in events if isinstance(event, Tokens))
    # Rewards: the weighted value and the one to be shown, of the complete replies; the choice is choose()'s.
    assert list(finished.rewards) == ["letters", "diversity"]
    assert finished.rewards["letters"] == tuple(reply.text.count("e") for reply in finished.replies)
    table = np.array(list(finished.rewards.values())).T
    assert finished.choice == choose(table, [0.7, 0.0], 3)
    assert [e.value for e in events if isinstance(e, Scored) and not e.provisional] == ["letters", "diversity"]


def test_without_weights_the_aligned_model_is_the_base_model(engine: Engine) -> None:
    request = GenerationRequest("Hello", candidates=4, settings=SETTINGS)
    events = list(generation_events(engine, SCORERS, request))
    assert not any(isinstance(event, Scored) for event in events)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.rewards == {}
    assert finished.choice.probabilities == (0.25,) * 4
    assert finished.choice.kl == 0.0


def test_scoring_on_the_way_changes_nothing_in_the_outcome(engine: Engine) -> None:
    def outcome(provisional: bool, seed: int = 5) -> Finished:
        request = GenerationRequest("Hi", {"letters": 1.0}, (), 5, SETTINGS, seed, provisional=provisional)
        *_, last = generation_events(engine, {"letters": Letters()}, request)
        assert isinstance(last, Finished)
        return last

    first, second, plain, other = outcome(True), outcome(True), outcome(False), outcome(True, seed=6)
    assert (first.replies, first.rewards, first.choice) == (second.replies, second.rewards, second.choice)
    assert (first.replies, first.rewards, first.choice) == (plain.replies, plain.rewards, plain.choice)
    assert plain.provisional_seconds == 0.0
    assert first.replies != other.replies


def test_partial_replies_are_scored_on_the_way(engine: Engine) -> None:
    request = GenerationRequest("Hi", {"letters": 1.0, "diversity": 0.0}, ("plain_language",), 5, SETTINGS, 1)
    events = list(generation_events(engine, {"letters": Letters(), **SCORERS}, request))
    early = [event for event in events if isinstance(event, Scored) and event.provisional]
    # Values without a weight too: they may be given one while the replies are written.
    assert [event.value for event in early[:3]] == ["letters", "diversity", "plain_language"]
    assert all(len(event.rewards) == 5 for event in early)


def test_partial_replies_are_scored_only_where_that_is_fair_and_cheap(engine: Engine) -> None:
    request = GenerationRequest("Hi", {"letters": 1.0}, (), 4, SETTINGS)
    whole = Letters(partial=False)
    events = list(generation_events(engine, {"letters": whole}, request))
    assert not any(isinstance(event, Scored) and event.provisional for event in events)

    # No reply ends before the others here, so nothing measures the cost again on the way.
    request = replace(request, settings=replace(SETTINGS, max_new_tokens=17))
    expensive = ScoringCosts({"letters": 1e6})
    events = list(generation_events(engine, {"letters": Letters()}, request, costs=expensive))
    assert not any(isinstance(event, Scored) and event.provisional for event in events)
    assert 0 < expensive.seconds_per_token["letters"] < 1e6  # measured again on the complete replies


def test_closing_stops_the_engine_within_one_token(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, closed = [], []
    decode = engine._decode

    def counted(*arguments: object) -> Iterator[object]:
        inner = decode(*arguments)  # type: ignore[arg-type]
        try:
            for step in inner:
                steps.append(step)
                yield step
        finally:
            inner.close()  # type: ignore[attr-defined]
            closed.append(True)

    monkeypatch.setattr(engine, "_decode", counted)
    events = generation_events(
        engine, {"letters": Letters()}, GenerationRequest("Hi", {"letters": 1.0}, (), 4, SETTINGS)
    )
    for event in events:
        if isinstance(event, Tokens) and event.step == 5:
            break
    events.close()  # type: ignore[attr-defined]
    assert len(steps) == 5
    assert closed == [True]
    *_, last = generation_events(engine, {}, GenerationRequest("Hi", {}, (), 4, SETTINGS))
    assert isinstance(last, Finished)


def test_two_generations_side_by_side_do_not_mix(engine: Engine) -> None:
    requests = [GenerationRequest(prompt, {"letters": 1.0}, (), 3, SETTINGS, 2) for prompt in ("Hi", "Tell me a story")]
    scorers = {"letters": Letters()}
    alone = [list(generation_events(engine, scorers, request))[-1] for request in requests]
    turns = [generation_events(engine, scorers, request) for request in requests]
    together: list[object] = [None, None]
    while any(not isinstance(last, Finished) for last in together):
        together = [
            last if isinstance(last, Finished) else next(turn) for last, turn in zip(together, turns, strict=True)
        ]
    for event, other in zip(alone, together, strict=True):
        assert isinstance(event, Finished)
        assert isinstance(other, Finished)
        assert (event.replies, event.rewards, event.choice) == (other.replies, other.rewards, other.choice)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"prompt": " \n"}, "prompt is empty"),
        ({"prompt": "Hi", "weights": {"humor": math.nan}}, "weight of 'humor' is nan"),
        ({"prompt": "Hi", "weights": {"humor": math.inf}}, "weight of 'humor' is inf"),
        ({"prompt": "Hi", "candidates": 0}, "candidates is 0"),
        ({"prompt": "Hi", "seed": -1}, "seed is -1"),
        ({"prompt": "Hi", "headroom": math.nan}, "headroom is nan"),
        ({"prompt": "Hi", "least_ess": -1.0}, "least_ess is -1.0"),
    ],
)
def test_a_bad_request_is_refused_at_once(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        GenerationRequest(**arguments)  # type: ignore[arg-type]


def test_unknown_values_and_long_prompts(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"Unknown value 'wit'.*plain_language"):
        next(generation_events(engine, SCORERS, GenerationRequest("Hi", {"wit": 1.0})))
    with pytest.raises(InputError, match="context"):
        list(generation_events(engine, SCORERS, GenerationRequest("word " * 500, settings=SETTINGS)))


def test_a_scorer_that_fails_is_named(engine: Engine) -> None:
    class Broken(Letters):
        def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
            return np.full(len(replies), math.nan)

    with pytest.raises(ScorerError, match="letters"):
        list(
            generation_events(engine, {"letters": Broken()}, GenerationRequest("Hi", {"letters": 1.0}, (), 2, SETTINGS))
        )
