"""Candidates of a tuned model against exact distributions, on a model whose replies can be written out."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from map_core.core.types import Reply, SamplingSettings
from map_core.engines.base import EngineInfo, ReplyScore
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import Token, TokenStream
from map_core.errors import InputError
from map_core.generation.events import Finished
from map_core.generation.proposal import log_offsets
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.sampler import generation_events
from tests.generation.toy_distributions import (
    LENGTH,
    TALLY,
    WEIGHT,
    assert_follows,
    exact_resampling,
    name,
    reward,
    tilted,
)
from tests.toy_engine import LETTERS, ToyEngine, every_reply

BASE = every_reply(LENGTH)
OUTCOMES = tuple(BASE)


def tuned_distribution(weight: float) -> dict:
    """A model tuned with another weight, and not quite there: half of the way in log p."""
    mass = {outcome: p * math.exp(weight * reward(outcome)) for outcome, p in BASE.items()}
    return {outcome: m / sum(mass.values()) for outcome, m in mass.items()}


class Scored(ToyEngine):
    """The toy engine, or with a distribution one that draws from that; both tell the probability of a reply."""

    def __init__(self, distribution: dict | None = None) -> None:
        self.distribution = distribution

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("toy", "toy" if self.distribution is None else "tuned", "", "float64", "cpu")

    def extend(self, request: DrawRequest, beginnings: Sequence[Sequence[int]], seeds: Sequence[int]) -> TokenStream:
        if self.distribution is None:
            yield from super().extend(request, beginnings, seeds)
            return
        masses = [self.distribution[outcome] for outcome in OUTCOMES]
        drawn = [OUTCOMES[np.random.default_rng(seed).choice(len(OUTCOMES), p=masses)] for seed in seeds]
        for position in range(LENGTH):
            step = []
            for k, (tokens, ended) in enumerate(drawn):
                if position < len(tokens):
                    last = not ended and position + 1 == len(tokens)
                    step.append(Token(k, tokens[position], LETTERS[tokens[position]], 0.0, last, False))
                elif ended and position == len(tokens):
                    step.append(Token(k, 2, "", 0.0, True, True))
            yield step

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        given = BASE if self.distribution is None else self.distribution
        return [ReplyScore(math.log(given[name(reply)]), (0.0,) * len(reply.tokens)) for reply in replies]


TUNED = tuned_distribution(WEIGHT / 2)
ENGINE, PROPOSAL = Scored(), Scored(TUNED)


def choices(candidates: int, weight: float):
    """Every set of candidates with its probability, and what the weights make of it: (p, Z estimate, shares)."""
    for drawn in itertools.product(OUTCOMES, repeat=candidates):
        p = BASE[drawn[0]] * math.prod(TUNED[outcome] for outcome in drawn[1:])
        mixture = [(BASE[o] + (candidates - 1) * TUNED[o]) / candidates for o in drawn]
        masses = np.array([BASE[o] * math.exp(weight * reward(o)) / m for o, m in zip(drawn, mixture, strict=True)])
        yield p, drawn, masses.mean(), masses / masses.sum()


def exact(candidates: int, weight: float = WEIGHT) -> dict:
    """P(picked) over everything that can be drawn."""
    distribution: dict = defaultdict(float)
    for p, drawn, _, shares in choices(candidates, weight):
        for outcome, share in zip(drawn, shares, strict=True):
            distribution[outcome] += p * share
    return distribution


def run(seed: int, candidates: int, weight: float = WEIGHT, **more) -> Finished:
    request = GenerationRequest(
        "Hi",
        {"tally": weight},
        candidates=candidates,
        settings=SamplingSettings(max_new_tokens=LENGTH),
        seed=seed,
        **more,
    )
    *_, last = generation_events(ENGINE, TALLY, request, proposal=PROPOSAL)
    assert isinstance(last, Finished)
    return last


def distance(one: dict, other: dict) -> float:
    return sum(abs(one[outcome] - other[outcome]) for outcome in OUTCOMES)


@pytest.mark.parametrize("weight", [WEIGHT, -0.7])
def test_the_weights_are_proper_for_any_number_of_candidates_and_any_palette(weight: float):
    """E[Z_hat share(y)] = p0(y) exp(lambda . r(y)), gone through exactly, for the palette tuned on and for another."""
    for candidates in (2, 3, 4):
        sums: dict = defaultdict(float)
        for p, drawn, z, shares in choices(candidates, weight):
            for outcome, share in zip(drawn, shares, strict=True):
                sums[outcome] += p * z * share
        for outcome, p in BASE.items():
            assert sums[outcome] == pytest.approx(p * math.exp(weight * reward(outcome)), rel=1e-9)


def test_more_candidates_come_to_the_tilt_and_sooner_than_from_the_base_model():
    goal, _ = tilted()
    from_tuned = [distance(exact(n), goal) for n in (1, 2, 3, 5)]
    assert sorted(from_tuned, reverse=True) == from_tuned
    assert from_tuned[2] < 0.7 * distance(exact_resampling(3), goal)


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [2, 3])
def test_draws_follow_the_exact_distribution(candidates: int):
    ends = [run(seed, candidates) for seed in range(2500)]
    assert_follows(Counter(name(end.replies[end.choice.picked]) for end in ends), exact(candidates))
    # The base candidate stays a draw from the base model.
    assert_follows(Counter(name(end.replies[end.choice.base]) for end in ends), BASE)


def test_one_candidate_is_the_base_reply():
    end = run(7, 1)
    plain = ENGINE.complete(DrawRequest("Hi", 1, SamplingSettings(max_new_tokens=LENGTH), 7))
    assert list(map(name, end.replies)) == list(map(name, plain))
    assert (end.choice.picked, end.choice.kl, end.log_offsets) == (0, 0.0, (0.0,))


def test_a_weight_is_bounded_where_the_tuned_model_would_never_say_it():
    offsets = log_offsets(np.array([-200.0, 0.0, 3.0]))
    assert offsets[0] == pytest.approx(-math.log(3))
    assert (np.diff(offsets) > 0).all()
    assert log_offsets(np.array([-1.0, 2.0]), base_candidates=0).tolist() == [-1.0, 2.0]
    assert log_offsets(np.array([-1.0, 2.0]), base_candidates=2).tolist() == [0.0, 0.0]


def test_a_tuned_model_that_is_there_already_needs_no_correction():
    """At q = tilt the weights of its own candidates are all alike."""
    goal, log_z = tilted()
    ratios = np.array([math.log(goal[outcome] / BASE[outcome]) for outcome in OUTCOMES])
    corrected = np.array([WEIGHT * reward(outcome) for outcome in OUTCOMES]) - log_offsets(ratios, 0)
    assert corrected == pytest.approx(np.full(len(OUTCOMES), log_z))


def test_what_cannot_be_chosen_from_is_refused():
    for more in (
        {"method": Method.BLOCKS},
        {"most_candidates": 16, "least_ess": 2.0},
        {"beginning": "a"},
    ):
        with pytest.raises(InputError):
            run(1, 4, **more)
    request = GenerationRequest("Hi", {"tally": 1.0}, settings=SamplingSettings(top_p=0.9))
    with pytest.raises(InputError, match="top_p 1"):
        list(generation_events(ENGINE, TALLY, request, proposal=PROPOSAL))
