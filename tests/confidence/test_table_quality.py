"""Tests of table quality: predictions for twice the candidates or prompts, compared with tables of that size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from map_core.confidence.sandwich import sandwich
from map_core.confidence.table_quality import Advice, Help, Outlook, Reason, advise, choosing_variance
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.feasibility.trust import is_trusted
from map_core.feasibility.trusted_ranges import trusted_ranges
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.populations import Population, synthetic
from tests.tables import make_table

#: Numbers of prompts and candidates per table, and of sampled tables.
PROMPTS, CANDIDATES, TABLES = 96, 16, 16
FREE = np.nan


def table_of(rewards: np.ndarray) -> RewardTable:
    """Return a table of (prompt, candidate, value) rewards."""
    prompts, candidates, size = rewards.shape
    names = tuple(f"p{i}" for i in range(prompts))
    return RewardTable(
        tuple(f"v{j}" for j in range(size)),
        rewards.reshape(-1, size).copy(),
        np.arange(prompts + 1) * candidates,
        names,
        names,
        names,
    )


@dataclass(frozen=True)
class MeanFigures:
    """Mean figures over tables that are sampled from one population."""

    now: np.ndarray
    candidates: np.ndarray
    prompts: np.ndarray


def figures(outlook: Outlook) -> tuple[float, float, float, float]:
    return outlook.error, outlook.carrying, outlook.carrying_all, outlook.margin


def mean_figures(population: Population, targets: np.ndarray, prompts: int, candidates: int) -> MeanFigures:
    """Return mean figures of sampled tables of this size, for the same targets in reward units."""
    rng = np.random.default_rng(3)
    target_rewards = population.oracle().rewards_at(targets)
    advice = []
    for number in range(TABLES):
        prompt_indices = rng.integers(0, len(population.rewards), prompts)
        reply_indices = rng.permutation(population.rewards.shape[1])[:candidates]
        table = table_of(population.rewards[prompt_indices][:, reply_indices])
        oracle = MemoryOracle.of(table)
        advice.append(advise(table, oracle, oracle.standardise(target_rewards), seed=number))
    fields = MeanFigures.__annotations__
    return MeanFigures(*(np.mean([figures(getattr(advised, field)) for advised in advice], axis=0) for field in fields))


@pytest.fixture(scope="module")
def population() -> Population:
    return synthetic(prompts=2000, candidates=64, values=4, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.1, 0.2, 1.4])
def test_predicted_figures_match_larger_tables(population: Population, level: float):
    """The levels are well inside, nearer to the edge, and out of reach."""
    targets = np.array([level, level, FREE, level])
    current = mean_figures(population, targets, PROMPTS, CANDIDATES)
    more_candidates = mean_figures(population, targets, PROMPTS, 2 * CANDIDATES)
    more_prompts = mean_figures(population, targets, 2 * PROMPTS, CANDIDATES)
    for predicted, actual in ((current.candidates, more_candidates.now), (current.prompts, more_prompts.now)):
        if level < 1:
            np.testing.assert_allclose(predicted[:3], actual[:3], rtol=0.12)
        assert predicted[3] == pytest.approx(actual[3], abs=0.02)
    # The predicted changes are larger than these tolerances.
    assert more_candidates.now[3] - current.now[3] > 0.05
    if level < 1:
        assert more_candidates.now[1] > 1.4 * current.now[1]
        assert more_prompts.now[0] < 0.8 * current.now[0]


def test_choosing_variance_matches_two_sets_of_candidates(population: Population):
    """It is the variance between two disjoint sets of candidates of the same prompts, at the same weights."""
    weights = np.array([0.6, 0.3, 0.0, 0.4])
    first, second = (table_of(population.rewards[:600, candidates]) for candidates in (slice(0, 32), slice(32, 64)))
    oracle = MemoryOracle.of(first)
    expected = choosing_variance(first, oracle, weights)
    second_oracle = MemoryOracle.of(second)
    second_weights = weights * second_oracle.scale / oracle.scale
    levels = [
        oracle.by_prompt(weights).levels,
        oracle.standardise(second_oracle.rewards_at(second_oracle.by_prompt(second_weights).levels)),
    ]
    actual = np.var(levels[0] - levels[1], axis=0) / 2
    np.testing.assert_allclose(expected, actual, rtol=0.15)


def test_choosing_variance_by_hand():
    """With replies 0 and 1 per prompt and no weights, the mean of two coins has half the variance of one."""
    table = table_of(np.tile([[0.0], [1.0]], (5, 1, 1)))
    oracle = MemoryOracle.of(table)
    assert choosing_variance(table, oracle, np.zeros(1)) == pytest.approx(0.5)  # in units of the variance, 1/4


def advice_for(table: RewardTable, targets: np.ndarray) -> Advice:
    return advise(table, MemoryOracle.of(table), targets)


def test_advice_names_the_limiting_factor():
    few, many = make_table(prompts=6, candidates=64), make_table(prompts=400, candidates=16)
    moderate, unreachable = np.array([0.2, FREE, 0.2, FREE]), np.array([9.0, 9.0, FREE, FREE])
    wide = advice_for(few, moderate)
    assert (wide.help, wide.reason) == (Help.PROMPTS, Reason.WIDE)
    assert wide.factor == pytest.approx((wide.now.error / 0.05) ** 2)
    out_of_reach = advice_for(many, unreachable)
    assert (out_of_reach.help, out_of_reach.reason) == (Help.CANDIDATES, Reason.OUT_OF_REACH)
    assert np.isnan(out_of_reach.factor)
    assert out_of_reach.now.attainable == 0.0
    oracle = MemoryOracle.of(many)
    best_level = float(oracle.best(np.array([0, 0, 1.0, 0]))[2])
    near_the_edge = advise(many, oracle, np.array([FREE, FREE, 0.93 * best_level, FREE]))
    assert (near_the_edge.help, near_the_edge.reason) == (Help.CANDIDATES, Reason.FEW_REPLIES)
    assert near_the_edge.factor > 1
    without_targets = advice_for(many, np.full(4, FREE))
    assert (without_targets.help, without_targets.reason) == (Help.NEITHER, Reason.NO_TARGETS)
    pooled = advice_for(make_table(prompts=50, candidates=1), moderate)
    assert (pooled.help, pooled.reason) == (Help.CANDIDATES, Reason.ONE_REPLY)
    assert Form.POOLED is MemoryOracle.of(make_table(prompts=50, candidates=1)).form


def test_duplicate_replies_do_not_help():
    """Every prompt has many copies of the same two replies, so more candidates are not expected to help."""
    table = table_of(np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), (40, 16, 1)))
    advice = advice_for(table, np.array([0.9, 0.9]))
    assert (advice.help, advice.reason) == (Help.NEITHER, Reason.BEYOND)
    assert advice.candidates.margin == pytest.approx(advice.now.margin, abs=0.02)


def test_weighted_and_held_out_prompts():
    """A prompt with weight 30 counts like 30 copies of it, and a held-out prompt does not count."""
    table = make_table(prompts=10, candidates=16)
    targets = np.array([0.2, FREE, 0.2, FREE])
    copied = table.take([0] * 30 + list(range(1, 8)))
    weighted = replace(table, weights=np.array([30.0] + [1.0] * 9), held_out=np.arange(10) > 7)
    target_rewards = MemoryOracle.of(copied).rewards_at(targets)
    advice = [
        advise(table, oracle := MemoryOracle.of(table), oracle.standardise(target_rewards))
        for table in (copied, weighted)
    ]
    unweighted = advise(table, oracle := MemoryOracle.of(table), oracle.standardise(target_rewards)).now
    # Margins are in standard deviations of each table, which differ slightly between the two.
    assert advice[1].now.margin == pytest.approx(advice[0].now.margin, rel=0.1)
    assert advice[1].now.carrying == pytest.approx(advice[0].now.carrying, rel=5e-4)
    assert abs(unweighted.carrying - advice[0].now.carrying) > 0.005 * unweighted.carrying


def test_trusted_ranges_end_where_trust_ends():
    table = make_table(prompts=40, candidates=32)
    oracle = MemoryOracle.of(table)
    ranges = trusted_ranges(oracle)
    assert np.all(ranges.trusted > 0.3)
    assert np.all(ranges.trusted < ranges.furthest)
    for j in range(4):
        targets = np.full(4, FREE)
        targets[j] = ranges.trusted[j]
        assert is_trusted(oracle, solve(oracle, targets))
        targets[j] = ranges.trusted[j] + 0.15
        assert not is_trusted(oracle, solve(oracle, targets))
        np.testing.assert_allclose(ranges.furthest[j], oracle.best(np.eye(4)[j])[j])
    constant = table_of(np.ones((3, 4, 1)))
    assert trusted_ranges(MemoryOracle.of(constant)).trusted == 0.0


def test_error_bars_shrink_with_the_root_of_the_prompts(population: Population):
    """The predictions rest on this law; it is tested on the sandwich estimator itself."""
    targets = np.array([0.3, FREE, 0.3, FREE])
    errors = []
    for prompts in (100, 400):
        oracle = population.oracle(np.arange(prompts))
        errors.append(sandwich(oracle, solve(oracle, targets)).levels[0])
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.2)
