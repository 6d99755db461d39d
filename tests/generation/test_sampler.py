"""Tests of the sampler with a tiny real transformer: events from prompt to choice, general properties, bad input."""

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


class LetterScorer(Scorer):
    """A scorer that counts a letter, so that rewards differ between the tiny model's replies."""

    card = Card("letters", "Letters", "How often e is there.", "All else.", "MIT", "this test", "1", partial=True)

    def __init__(self, partial: bool = True) -> None:
        self.token_counts: list[int] = []
        self._partial = partial

    @property
    def partial(self) -> bool:
        return self._partial

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        self.token_counts.append(sum(len(reply.tokens) for reply in replies))
        return np.array([float(reply.text.count("e")) for reply in replies])


def test_events_from_prompt_to_choice(engine: Engine) -> None:
    request = GenerationRequest("How are you?", {"letters": 0.7}, ("diversity",), 6, SETTINGS, seed=3)
    events = list(generation_events(engine, {"letters": LetterScorer(), **SCORERS}, request))
    assert isinstance(events[0], Begun)
    assert events[0].base == base_pick(6, 3)
    assert isinstance(events[-1], Finished)
    finished = events[-1]
    # The streamed texts are the final replies, and those that the engine draws on its own.
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
    # Rewards of the complete replies for the weighted value and the displayed one; the choice is that of choose().
    assert list(finished.rewards) == ["letters", "diversity"]
    assert finished.rewards["letters"] == tuple(reply.text.count("e") for reply in finished.replies)
    table = np.array(list(finished.rewards.values())).T
    assert finished.choice == choose(table, [0.7, 0.0], 3)
    assert [event.value for event in events if isinstance(event, Scored) and not event.provisional] == [
        "letters",
        "diversity",
    ]


def test_without_weights_the_aligned_model_is_the_base_model(engine: Engine) -> None:
    request = GenerationRequest("Hello", candidates=4, settings=SETTINGS)
    events = list(generation_events(engine, SCORERS, request))
    assert not any(isinstance(event, Scored) for event in events)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.rewards == {}
    assert finished.choice.probabilities == (0.25,) * 4
    assert finished.choice.kl == 0.0


def test_provisional_scoring_does_not_change_the_outcome(engine: Engine) -> None:
    def outcome(provisional: bool, seed: int = 5) -> Finished:
        request = GenerationRequest("Hi", {"letters": 1.0}, (), 5, SETTINGS, seed, provisional=provisional)
        *_, result = generation_events(engine, {"letters": LetterScorer()}, request)
        assert isinstance(result, Finished)
        return result

    first, second, without_partial, other_seed = outcome(True), outcome(True), outcome(False), outcome(True, seed=6)
    assert (first.replies, first.rewards, first.choice) == (second.replies, second.rewards, second.choice)
    assert (first.replies, first.rewards, first.choice) == (
        without_partial.replies,
        without_partial.rewards,
        without_partial.choice,
    )
    assert without_partial.provisional_seconds == 0.0
    assert first.replies != other_seed.replies


def test_partial_replies_are_scored_while_writing(engine: Engine) -> None:
    request = GenerationRequest("Hi", {"letters": 1.0, "diversity": 0.0}, ("plain_language",), 5, SETTINGS, 1)
    events = list(generation_events(engine, {"letters": LetterScorer(), **SCORERS}, request))
    provisional = [event for event in events if isinstance(event, Scored) and event.provisional]
    # Values without a weight are scored too, since their weight may change while the replies are written.
    assert [event.value for event in provisional[:3]] == ["letters", "diversity", "plain_language"]
    assert all(len(event.rewards) == 5 for event in provisional)


def test_partial_replies_are_scored_only_where_supported_and_cheap(engine: Engine) -> None:
    request = GenerationRequest("Hi", {"letters": 1.0}, (), 4, SETTINGS)
    complete_only = LetterScorer(partial=False)
    events = list(generation_events(engine, {"letters": complete_only}, request))
    assert not any(isinstance(event, Scored) and event.provisional for event in events)

    # No reply ends before the others here, so the cost is not measured again while they are written.
    request = replace(request, settings=replace(SETTINGS, max_new_tokens=17))
    expensive = ScoringCosts({"letters": 1e6})
    events = list(generation_events(engine, {"letters": LetterScorer()}, request, costs=expensive))
    assert not any(isinstance(event, Scored) and event.provisional for event in events)
    assert 0 < expensive.seconds_per_token["letters"] < 1e6  # updated by scoring the complete replies


def test_closing_stops_the_engine_within_one_token(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, closed = [], []
    decode = engine._decode

    def counting_decode(*arguments: object) -> Iterator[object]:
        inner = decode(*arguments)  # type: ignore[arg-type]
        try:
            for step in inner:
                steps.append(step)
                yield step
        finally:
            inner.close()  # type: ignore[attr-defined]
            closed.append(True)

    monkeypatch.setattr(engine, "_decode", counting_decode)
    events = generation_events(
        engine, {"letters": LetterScorer()}, GenerationRequest("Hi", {"letters": 1.0}, (), 4, SETTINGS)
    )
    for event in events:
        if isinstance(event, Tokens) and event.step == 5:
            break
    events.close()  # type: ignore[attr-defined]
    assert len(steps) == 5
    assert closed == [True]
    *_, last = generation_events(engine, {}, GenerationRequest("Hi", {}, (), 4, SETTINGS))
    assert isinstance(last, Finished)


def test_interleaved_generations_do_not_affect_each_other(engine: Engine) -> None:
    requests = [GenerationRequest(prompt, {"letters": 1.0}, (), 3, SETTINGS, 2) for prompt in ("Hi", "Tell me a story")]
    scorers = {"letters": LetterScorer()}
    separate_results = [list(generation_events(engine, scorers, request))[-1] for request in requests]
    streams = [generation_events(engine, scorers, request) for request in requests]
    last_events: list[object] = [None, None]
    while any(not isinstance(last_event, Finished) for last_event in last_events):
        last_events = [
            last_event if isinstance(last_event, Finished) else next(stream)
            for last_event, stream in zip(last_events, streams, strict=True)
        ]
    for separate, interleaved in zip(separate_results, last_events, strict=True):
        assert isinstance(separate, Finished)
        assert isinstance(interleaved, Finished)
        assert (separate.replies, separate.rewards, separate.choice) == (
            interleaved.replies,
            interleaved.rewards,
            interleaved.choice,
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_invalid_requests_are_refused_at_once(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerationRequest(**arguments)  # type: ignore[arg-type]


def test_unknown_values_and_long_prompts(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"Unknown value 'wit'.*plain_language"):
        next(generation_events(engine, SCORERS, GenerationRequest("Hi", {"wit": 1.0})))
    with pytest.raises(InputError, match="context"):
        list(generation_events(engine, SCORERS, GenerationRequest("word " * 500, settings=SETTINGS)))


def test_failing_scorer_is_named_in_the_error(engine: Engine) -> None:
    class BrokenScorer(LetterScorer):
        def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
            return np.full(len(replies), math.nan)

    with pytest.raises(ScorerError, match="letters"):
        list(
            generation_events(
                engine, {"letters": BrokenScorer()}, GenerationRequest("Hi", {"letters": 1.0}, (), 2, SETTINGS)
            )
        )
