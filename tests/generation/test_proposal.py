"""Tests of candidates from a tuned model against exact distributions, on a toy model with enumerable replies."""

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
    reply_key,
    reward,
    tilted,
)
from tests.toy_engine import LETTERS, ToyEngine, every_reply

BASE = every_reply(LENGTH)
OUTCOMES = tuple(BASE)


def tuned_distribution(weight: float) -> dict:
    """Return the distribution of a model tuned with another weight; WEIGHT / 2 is half of the way in log p."""
    mass = {outcome: p * math.exp(weight * reward(outcome)) for outcome, p in BASE.items()}
    return {outcome: m / sum(mass.values()) for outcome, m in mass.items()}


class ScoredEngine(ToyEngine):
    """The toy engine, or an engine that draws from a given distribution; both return the probability of a reply."""

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
        sampled_replies = [OUTCOMES[np.random.default_rng(seed).choice(len(OUTCOMES), p=masses)] for seed in seeds]
        for position in range(LENGTH):
            step = []
            for k, (tokens, ended) in enumerate(sampled_replies):
                if position < len(tokens):
                    last = not ended and position + 1 == len(tokens)
                    step.append(Token(k, tokens[position], LETTERS[tokens[position]], 0.0, last, False))
                elif ended and position == len(tokens):
                    step.append(Token(k, 2, "", 0.0, True, True))
            yield step

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        probabilities = BASE if self.distribution is None else self.distribution
        return [ReplyScore(math.log(probabilities[reply_key(reply)]), (0.0,) * len(reply.tokens)) for reply in replies]


TUNED = tuned_distribution(WEIGHT / 2)
ENGINE, PROPOSAL = ScoredEngine(), ScoredEngine(TUNED)


def candidate_sets(candidates: int, weight: float):
    """Yield every set of candidates: (probability, candidates, estimate of Z, probabilities of being picked)."""
    for outcomes in itertools.product(OUTCOMES, repeat=candidates):
        p = BASE[outcomes[0]] * math.prod(TUNED[outcome] for outcome in outcomes[1:])
        mixture = [(BASE[o] + (candidates - 1) * TUNED[o]) / candidates for o in outcomes]
        masses = np.array([BASE[o] * math.exp(weight * reward(o)) / m for o, m in zip(outcomes, mixture, strict=True)])
        yield p, outcomes, masses.mean(), masses / masses.sum()


def exact_distribution(candidates: int, weight: float = WEIGHT) -> dict:
    """Return P(picked), summed over all sets of candidates."""
    distribution: dict = defaultdict(float)
    for p, outcomes, _, shares in candidate_sets(candidates, weight):
        for outcome, share in zip(outcomes, shares, strict=True):
            distribution[outcome] += p * share
    return distribution


def run(seed: int, candidates: int, weight: float = WEIGHT, **options) -> Finished:
    request = GenerationRequest(
        "Hi",
        {"tally": weight},
        candidates=candidates,
        settings=SamplingSettings(max_new_tokens=LENGTH),
        seed=seed,
        **options,
    )
    *_, result = generation_events(ENGINE, TALLY, request, proposal=PROPOSAL)
    assert isinstance(result, Finished)
    return result


def distance(first: dict, second: dict) -> float:
    return sum(abs(first[outcome] - second[outcome]) for outcome in OUTCOMES)


@pytest.mark.parametrize("weight", [WEIGHT, -0.7])
def test_the_weights_are_proper_for_any_number_of_candidates_and_any_palette(weight: float):
    """E[Z_hat share(y)] = p0(y) exp(lambda . r(y)), enumerated, for the tuned weight and another one."""
    for candidates in (2, 3, 4):
        sums: dict = defaultdict(float)
        for p, outcomes, z, shares in candidate_sets(candidates, weight):
            for outcome, share in zip(outcomes, shares, strict=True):
                sums[outcome] += p * z * share
        for outcome, p in BASE.items():
            assert sums[outcome] == pytest.approx(p * math.exp(weight * reward(outcome)), rel=1e-9)


def test_convergence_to_the_tilted_distribution_is_faster_than_from_the_base_model():
    target_distribution, _ = tilted()
    distances = [distance(exact_distribution(n), target_distribution) for n in (1, 2, 3, 5)]
    assert sorted(distances, reverse=True) == distances
    assert distances[2] < 0.7 * distance(exact_resampling(3), target_distribution)


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [2, 3])
def test_draws_follow_the_exact_distribution(candidates: int):
    results = [run(seed, candidates) for seed in range(2500)]
    assert_follows(
        Counter(reply_key(result.replies[result.choice.picked]) for result in results), exact_distribution(candidates)
    )
    # The base candidate stays a draw from the base model.
    assert_follows(Counter(reply_key(result.replies[result.choice.base]) for result in results), BASE)


def test_one_candidate_is_the_base_reply():
    result = run(7, 1)
    plain = ENGINE.complete(DrawRequest("Hi", 1, SamplingSettings(max_new_tokens=LENGTH), 7))
    assert list(map(reply_key, result.replies)) == list(map(reply_key, plain))
    assert (result.choice.picked, result.choice.kl, result.log_offsets) == (0, 0.0, (0.0,))


def test_importance_weights_are_bounded():
    offsets = log_offsets(np.array([-200.0, 0.0, 3.0]))
    assert offsets[0] == pytest.approx(-math.log(3))
    assert (np.diff(offsets) > 0).all()
    assert log_offsets(np.array([-1.0, 2.0]), base_candidates=0).tolist() == [-1.0, 2.0]
    assert log_offsets(np.array([-1.0, 2.0]), base_candidates=2).tolist() == [0.0, 0.0]


def test_perfectly_tuned_model_needs_no_correction():
    """Where the proposal is the tilted distribution, all its candidates have the same weight."""
    target_distribution, log_z = tilted()
    ratios = np.array([math.log(target_distribution[outcome] / BASE[outcome]) for outcome in OUTCOMES])
    corrected = np.array([WEIGHT * reward(outcome) for outcome in OUTCOMES]) - log_offsets(ratios, 0)
    assert corrected == pytest.approx(np.full(len(OUTCOMES), log_z))


def test_unsupported_requests_are_refused():
    for options in (
        {"method": Method.BLOCKS},
        {"most_candidates": 16, "least_ess": 2.0},
        {"beginning": "a"},
    ):
        with pytest.raises(InputError):
            run(1, 4, **options)
    request = GenerationRequest("Hi", {"tally": 1.0}, settings=SamplingSettings(top_p=0.9))
    with pytest.raises(InputError, match="top_p 1"):
        list(generation_events(ENGINE, TALLY, request, proposal=PROPOSAL))
