"""Exact distributions of a toy model whose replies can be enumerated."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from map_core.core.types import SamplingSettings
from map_core.generation.events import Finished
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.sampler import generation_events
from tests.toy_engine import END, Tally, ToyEngine, every_reply, next_probabilities, text_of

ENGINE = ToyEngine()
TALLY = {"tally": Tally("tally")}
WEIGHT = 1.3
LENGTH = 2
SETTINGS = SamplingSettings(max_new_tokens=LENGTH)


def run(
    seed: int, candidates: int, method: Method, weight: float = WEIGHT, scorers=None, length: int = LENGTH, **options
):
    scorers = TALLY if scorers is None else scorers
    request = GenerationRequest(
        "Hi",
        {next(iter(scorers)): weight},
        candidates=candidates,
        settings=SamplingSettings(max_new_tokens=length),
        seed=seed,
        method=method,
        block=1,
        **options,
    )
    *_, result = generation_events(ENGINE, scorers, request)
    assert isinstance(result, Finished)
    return result


def reply_key(reply) -> tuple[tuple[int, ...], bool]:
    return reply.tokens, reply.finished


def reward(outcome: tuple[tuple[int, ...], bool]) -> float:
    return TALLY["tally"].reward(text_of(outcome[0]))


def tilted(length: int = LENGTH, weight: float = WEIGHT) -> tuple[dict, float]:
    """Return the tilted distribution and log Z."""
    mass = {outcome: p * math.exp(weight * reward(outcome)) for outcome, p in every_reply(length).items()}
    total = sum(mass.values())
    return {outcome: m / total for outcome, m in mass.items()}, math.log(total)


def exact_resampling(candidates: int, weight: float = WEIGHT, length: int = LENGTH) -> dict:
    """Return P(picked), summed over all K-tuples of replies."""
    distribution: dict = defaultdict(float)
    for candidate_set in itertools.product(every_reply(length).items(), repeat=candidates):
        p = math.prod(q for _, q in candidate_set)
        shares = np.exp([weight * reward(outcome) for outcome, _ in candidate_set])
        for (outcome, _), share in zip(candidate_set, shares / shares.sum(), strict=True):
            distribution[outcome] += p * share
    return distribution


def systematic_outcomes(weights: np.ndarray) -> list[tuple[float, Counter]]:
    """Return every multiset of ancestors that systematic re-sampling can give, with its probability."""
    count, edges = len(weights), np.cumsum(weights) / weights.sum()
    breaks = sorted({0.0, 1.0, *((count * edge) % 1.0 for edge in edges[:-1])})
    outcomes = []
    for low, high in itertools.pairwise(breaks):
        if high - low > 1e-12:
            u = (low + high) / 2
            outcomes.append((high - low, Counter(int(np.sum((i + u) / count > edges)) for i in range(count))))
    return outcomes


def exact_blocks(particles: int, weight: float, length: int) -> dict:
    """Return P(picked) of block-wise re-sampling, enumerated: blocks of one token, beta = position / length."""
    states: dict = {(((), False, 0.0),) * particles: 1.0}  # (tokens, ended, offset) per particle
    for position in range(1, length + 1):
        extended: dict = defaultdict(float)
        for state, p in states.items():
            extensions = []
            for tokens, ended, offset in state:
                if ended:
                    extensions.append([((tokens, True, offset), 1.0)])
                else:
                    next_tokens = next_probabilities(tokens)
                    extensions.append([((tokens, True, offset), next_tokens[END])])
                    extensions[-1] += [(((*tokens, t), False, offset), next_tokens[t]) for t in range(2)]
            for combination in itertools.product(*extensions):
                particles_after = tuple(sorted(particle for particle, _ in combination))
                extended[particles_after] += p * math.prod(q for _, q in combination)
        states = extended
        if position == length:
            break
        resampled: dict = defaultdict(float)
        for state, p in states.items():
            if all(ended for _, ended, _ in state):
                resampled[state] += p
                continue
            phi = np.array([position / length * weight * reward((tokens, ended)) for tokens, ended, _ in state])
            weights = np.exp(phi - [offset for _, _, offset in state])
            if weights.sum() ** 2 / (weights**2).sum() >= particles / 2:
                resampled[state] += p
                continue
            mean = math.log(weights.mean())
            for share, ancestors in systematic_outcomes(weights):
                particles_after = [(state[a][0], state[a][1], phi[a] - mean) for a in ancestors.elements()]
                resampled[tuple(sorted(particles_after))] += p * share
        states = resampled
    distribution: dict = defaultdict(float)
    for state, p in states.items():
        weights = np.exp([weight * reward((tokens, ended)) - offset for tokens, ended, offset in state])
        for (tokens, ended, _), share in zip(state, weights / weights.sum(), strict=True):
            distribution[tokens, ended] += p * share
    return distribution


def assert_follows(counts: Counter, exact: dict) -> None:
    total = sum(counts.values())
    assert sum(exact.values()) == pytest.approx(1.0, abs=1e-9)
    assert set(counts) <= set(exact)
    outcomes = sorted(exact, key=lambda outcome: exact[outcome])
    rare = [outcome for outcome in outcomes if exact[outcome] * total < 5]
    groups = [rare, *([outcome] for outcome in outcomes if outcome not in rare)]
    observed = np.array([sum(counts[outcome] for outcome in group) for group in groups if group])
    expected = np.array([sum(exact[outcome] for outcome in group) for group in groups if group]) * total
    assert stats.chisquare(observed, expected).pvalue > 1e-3
