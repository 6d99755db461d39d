"""How good a table is: what twice the candidates or prompts would give, compared with tables that have them."""

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

#: Prompts and candidates of a table, and tables that are drawn.
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
class Drawn:
    """Mean figures over tables drawn from one population."""

    now: np.ndarray
    candidates: np.ndarray
    prompts: np.ndarray


def figures(outlook: Outlook) -> tuple[float, float, float, float]:
    return outlook.error, outlook.carrying, outlook.carrying_all, outlook.margin


def drawn(population: Population, targets: np.ndarray, prompts: int, candidates: int) -> Drawn:
    """Tables of so many prompts and candidates, asked for the same levels in reward units."""
    rng = np.random.default_rng(3)
    wanted = population.oracle().rewards_at(targets)
    advice = []
    for number in range(TABLES):
        chosen = rng.integers(0, len(population.rewards), prompts)
        replies = rng.permutation(population.rewards.shape[1])[:candidates]
        table = table_of(population.rewards[chosen][:, replies])
        oracle = MemoryOracle.of(table)
        advice.append(advise(table, oracle, oracle.standardise(wanted), seed=number))
    fields = Drawn.__annotations__
    return Drawn(*(np.mean([figures(getattr(advised, field)) for advised in advice], axis=0) for field in fields))


@pytest.fixture(scope="module")
def population() -> Population:
    return synthetic(prompts=2000, candidates=64, values=4, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.1, 0.2, 1.4])
def test_what_is_foretold_comes_true(population: Population, level: float):
    """Well inside, nearer to the edge, and out of reach."""
    targets = np.array([level, level, FREE, level])
    here = drawn(population, targets, PROMPTS, CANDIDATES)
    more_candidates = drawn(population, targets, PROMPTS, 2 * CANDIDATES)
    more_prompts = drawn(population, targets, 2 * PROMPTS, CANDIDATES)
    for foretold, actual in ((here.candidates, more_candidates.now), (here.prompts, more_prompts.now)):
        if level < 1:
            np.testing.assert_allclose(foretold[:3], actual[:3], rtol=0.12)
        assert foretold[3] == pytest.approx(actual[3], abs=0.02)
    # And what is foretold to change does change by more than that.
    assert more_candidates.now[3] - here.now[3] > 0.05
    if level < 1:
        assert more_candidates.now[1] > 1.4 * here.now[1]
        assert more_prompts.now[0] < 0.8 * here.now[0]


def test_the_variance_of_choosing_is_that_of_hands(population: Population):
    """Two hands of one prompt give levels that differ by it, at the same weights."""
    weights = np.array([0.6, 0.3, 0.0, 0.4])
    first, second = (table_of(population.rewards[:600, part]) for part in (slice(0, 32), slice(32, 64)))
    oracle = MemoryOracle.of(first)
    expected = choosing_variance(first, oracle, weights)
    beside = MemoryOracle.of(second)
    weights_there = weights * beside.scale / oracle.scale
    levels = [
        oracle.by_prompt(weights).levels,
        oracle.standardise(beside.rewards_at(beside.by_prompt(weights_there).levels)),
    ]
    advice = np.var(levels[0] - levels[1], axis=0) / 2
    np.testing.assert_allclose(expected, advice, rtol=0.15)


def test_a_mean_of_coins_by_hand():
    """Two replies a prompt, 0 and 1, no weights: the mean of two coins has half the variance of one."""
    table = table_of(np.tile([[0.0], [1.0]], (5, 1, 1)))
    oracle = MemoryOracle.of(table)
    assert choosing_variance(table, oracle, np.zeros(1)) == pytest.approx(0.5)  # in units of the variance, 1/4


def advice_for(table: RewardTable, targets: np.ndarray) -> Advice:
    return advise(table, MemoryOracle.of(table), targets)


def test_the_verdict_names_what_is_short():
    few, many = make_table(prompts=6, candidates=64), make_table(prompts=400, candidates=16)
    mild, wild = np.array([0.2, FREE, 0.2, FREE]), np.array([9.0, 9.0, FREE, FREE])
    wide = advice_for(few, mild)
    assert (wide.help, wide.reason) == (Help.PROMPTS, Reason.WIDE)
    assert wide.factor == pytest.approx((wide.now.error / 0.05) ** 2)
    out = advice_for(many, wild)
    assert (out.help, out.reason) == (Help.CANDIDATES, Reason.OUT_OF_REACH)
    assert np.isnan(out.factor)
    assert out.now.attainable == 0.0
    oracle = MemoryOracle.of(many)
    top = float(oracle.best(np.array([0, 0, 1.0, 0]))[2])
    lean = advise(many, oracle, np.array([FREE, FREE, 0.93 * top, FREE]))
    assert (lean.help, lean.reason) == (Help.CANDIDATES, Reason.FEW_REPLIES)
    assert lean.factor > 1
    free = advice_for(many, np.full(4, FREE))
    assert (free.help, free.reason) == (Help.NEITHER, Reason.NO_TARGETS)
    pooled = advice_for(make_table(prompts=50, candidates=1), mild)
    assert (pooled.help, pooled.reason) == (Help.CANDIDATES, Reason.ONE_REPLY)
    assert Form.POOLED is MemoryOracle.of(make_table(prompts=50, candidates=1)).form


def test_more_of_the_same_replies_gives_nothing():
    """Every prompt has the same two replies again and again: no candidate is new, so none is promised to help."""
    table = table_of(np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), (40, 16, 1)))
    advice = advice_for(table, np.array([0.9, 0.9]))
    assert (advice.help, advice.reason) == (Help.NEITHER, Reason.BEYOND)
    assert advice.candidates.margin == pytest.approx(advice.now.margin, abs=0.02)


def test_prompts_count_by_their_weights_and_not_when_held_out():
    """A prompt that counts 30 times is as one that is there 30 times; one that is held out is as none."""
    table = make_table(prompts=10, candidates=16)
    targets = np.array([0.2, FREE, 0.2, FREE])
    twice = table.take([0] * 30 + list(range(1, 8)))
    weighted = replace(table, weights=np.array([30.0] + [1.0] * 9), held_out=np.arange(10) > 7)
    wanted = MemoryOracle.of(twice).rewards_at(targets)
    advice = [
        advise(table, oracle := MemoryOracle.of(table), oracle.standardise(wanted)) for table in (twice, weighted)
    ]
    plain = advise(table, oracle := MemoryOracle.of(table), oracle.standardise(wanted)).now
    # Margins are in the table's own standard deviations, which those of all its replies are near to.
    assert advice[1].now.margin == pytest.approx(advice[0].now.margin, rel=0.1)
    assert advice[1].now.carrying == pytest.approx(advice[0].now.carrying, rel=5e-4)
    assert abs(plain.carrying - advice[0].now.carrying) > 0.005 * plain.carrying


def test_ranges_are_trusted_up_to_where_they_are_not():
    table = make_table(prompts=40, candidates=32)
    oracle = MemoryOracle.of(table)
    advice = trusted_ranges(oracle)
    assert np.all(advice.trusted > 0.3)
    assert np.all(advice.trusted < advice.furthest)
    for j in range(4):
        targets = np.full(4, FREE)
        targets[j] = advice.trusted[j]
        assert is_trusted(oracle, solve(oracle, targets))
        targets[j] = advice.trusted[j] + 0.15
        assert not is_trusted(oracle, solve(oracle, targets))
        np.testing.assert_allclose(advice.furthest[j], oracle.best(np.eye(4)[j])[j])
    constant = table_of(np.ones((3, 4, 1)))
    assert trusted_ranges(MemoryOracle.of(constant)).trusted == 0.0


def test_prompts_shrink_error_bars_by_the_root(population: Population):
    """The law that the foretold figures rest on, on the sandwich itself."""
    targets = np.array([0.3, FREE, 0.3, FREE])
    errors = []
    for prompts in (100, 400):
        oracle = population.oracle(np.arange(prompts))
        errors.append(sandwich(oracle, solve(oracle, targets)).levels[0])
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.2)
