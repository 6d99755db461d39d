"""Tests of tails, worst means and mixes of prompts: by hand, against a conic solver, properties, invalid input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.confidence.cross_fit import cross_fit
from map_core.confidence.summary import confidence
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess, margin
from map_core.feasibility.cuts import Cut, measured, with_demands
from map_core.feasibility.demands import Demands, WorstMean
from map_core.feasibility.reply_distributions import reply_probabilities, tail_excess, worst_mean, worst_mix
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Solution, Status, solve
from tests.lazy import LazyModule
from tests.palettes.test_target_columns import table_from_rewards, with_targets
from tests.tables import make_table

cvxpy = LazyModule("cvxpy")
SEEDS = st.integers(0, 10_000)
few_examples = settings(max_examples=15)


def cut_of(table: RewardTable, levels: np.ndarray, demands: Demands, form: Form | None = None) -> tuple[Cut, Solution]:
    cut = with_demands(table, MemoryOracle.of(table, form), levels, demands)
    return cut, solve(cut.oracle, cut.oracle.standardise(cut.levels))


def levels_of(table: RewardTable, **above: float) -> np.ndarray:
    """Return target levels from standard deviations above base."""
    oracle = MemoryOracle.of(table)
    levels = np.full(len(table.values), np.nan)
    for name, deviations in above.items():
        j = table.index(name)
        levels[j] = oracle.base[j] + deviations * oracle.scale[j]
    return levels


def test_a_tail_by_hand():
    # Without the demand the worst reply's probability grows from 1/3 to 0.45; with the tail kept it is 1/3.
    table = table_from_rewards([[0, 1], [1, 0], [2, 1]], [3])
    levels = np.array([np.nan, 0.9])
    without_tail = solve(MemoryOracle.of(table), MemoryOracle.of(table).standardise(levels))
    assert without_tail.kl == pytest.approx(0.149697, abs=1e-6)
    cut, solution = cut_of(table, levels, Demands(tails=("humor",)))
    assert cut.settled
    assert reply_probabilities(cut.table, cut.oracle, solution.weights) == pytest.approx(
        [1 / 3, 0.1, 17 / 30], abs=1e-5
    )
    assert solution.kl == pytest.approx(0.180292, abs=1e-5)


def primal(
    table: RewardTable, levels: np.ndarray, more_constraints: Callable[[cvxpy.Variable], list[cvxpy.Constraint]]
) -> float:
    """Return the least KL by a conic solver over the probabilities of each prompt's replies."""
    counts = table.candidates
    shape = (len(counts), int(counts[0]))
    p = cvxpy.Variable(shape, nonneg=True)
    constraints = [cvxpy.sum(p, axis=1) == 1, *more_constraints(p)]
    for j, level in enumerate(levels):
        if not np.isnan(level):
            constraints.append(cvxpy.sum(cvxpy.multiply(p, table.rewards[:, j].reshape(shape))) / shape[0] >= level)
    kl = cvxpy.sum(cvxpy.kl_div(p, np.full(shape, 1 / shape[1]))) / shape[0]
    problem = cvxpy.Problem(cvxpy.Minimize(kl), constraints)
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value)


@pytest.mark.parametrize("seed", range(4))
def test_tail_constraints_match_a_conic_solver(seed: int):
    table = make_table(prompts=5, candidates=8, seed=seed, correlation=-0.8)
    levels = levels_of(table, helpfulness=0.3)
    j = table.index("harmlessness")
    rewards = table.rewards[:, j].reshape(5, 8)

    def every_threshold(p: cvxpy.Variable) -> list[cvxpy.Constraint]:
        return [
            cvxpy.sum(cvxpy.multiply(p, np.minimum(rewards, t))) / 5 >= np.minimum(rewards, t).mean()
            for t in np.unique(rewards)
        ]

    cut, solution = cut_of(table, levels, Demands(tails=("harmlessness",)))
    assert cut.settled
    assert solution.kl == pytest.approx(primal(table, levels, every_threshold), abs=2e-6)
    base = np.full(40, 1 / 40)
    masses = reply_probabilities(cut.table, cut.oracle, solution.weights)
    assert tail_excess(table.rewards[:, j], masses, base)[0] < 1e-5


@pytest.mark.parametrize(("seed", "rho"), [(0, 0.05), (1, 0.2), (2, 1.0), (3, 10.0)])
def test_worst_mix_constraints_match_a_conic_solver(seed: int, rho: float):
    table = make_table(prompts=5, candidates=8, seed=seed)
    levels = levels_of(table, humor=0.2)
    rewards = table.rewards[:, table.index("humor")].reshape(5, 8)

    def robust_constraints(p: cvxpy.Variable) -> list[cvxpy.Constraint]:
        # By duality: the lowest mean is the maximum over a >= 0 of -a rho - a log E exp(-m / a).
        m = cvxpy.sum(cvxpy.multiply(p, rewards), axis=1)
        a, shift, e = cvxpy.Variable(nonneg=True), cvxpy.Variable(), cvxpy.Variable(5)
        cone = cvxpy.constraints.ExpCone(-m - shift, a * np.ones(5), e)
        return [cone, cvxpy.sum(e) / 5 <= a, -a * rho - shift >= levels[table.index("humor")]]

    cut, solution = cut_of(table, levels, Demands(mix=rho))
    if solution.status is Status.CONVERGED:
        assert cut.settled
        assert solution.kl == pytest.approx(primal(table, levels, robust_constraints), abs=1e-5)
        level = measured(Demands(mix=rho), cut.table, cut.oracle, cut.levels, solution.weights)["mix"]["humor"]
        assert level >= levels[table.index("humor")] - 1e-5
    else:
        assert assess(cut.oracle, cut.oracle.standardise(cut.levels)).verdict is Verdict.OUT_OF_REACH
        # A mix may consist of one prompt alone, so the prompt with the lowest best reply limits the level.
        assert rewards.max(axis=1).min() < levels[table.index("humor")]


def test_a_mix_by_hand():
    mix, level = worst_mix(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.5 * (1.5 * np.log(1.5) + 0.5 * np.log(0.5)))
    assert mix == pytest.approx([1.5, 0.5])
    assert level == pytest.approx(0.25)


@few_examples
@given(seed=SEEDS, rho=st.floats(0.0, 3.0))
def test_the_worst_mix_keeps_its_distance_and_is_no_better_than_random_ones(seed: int, rho: float):
    rng = np.random.default_rng(seed)
    levels, masses = rng.normal(size=6), rng.dirichlet(np.ones(6))
    mix, lowest = worst_mix(levels, masses, rho)
    assert masses @ mix == pytest.approx(1.0)
    assert masses @ (mix * np.log(np.maximum(mix, 1e-300))) <= rho + 1e-9
    for _ in range(50):
        random_mix = rng.dirichlet(np.ones(6)) / masses
        if masses @ (random_mix * np.log(random_mix)) <= rho:
            assert masses @ (random_mix * levels) >= lowest - 1e-9


@few_examples
@given(seed=SEEDS)
def test_worst_mix_at_zero_and_large_distance_and_for_equal_levels(seed: int):
    levels = np.random.default_rng(seed).normal(size=5)
    assert worst_mix(levels, np.full(5, 0.2), 0.0)[1] == pytest.approx(levels.mean())
    assert worst_mix(np.full(5, levels[0]), np.full(5, 0.2), 1.0)[1] == pytest.approx(levels[0])
    assert worst_mix(levels, np.full(5, 0.2), 1e3)[1] == pytest.approx(levels.min())


@few_examples
@given(seed=SEEDS, form=st.sampled_from(list(Form)))
def test_a_tail_by_itself_costs_nothing_and_never_makes_a_palette_cheaper(seed: int, form: Form):
    table = make_table(prompts=4, candidates=8, seed=seed)
    _, tails_only = cut_of(table, np.full(4, np.nan), Demands(tails=("humor", "positivity")), form)
    assert tails_only.kl == pytest.approx(0.0, abs=1e-9)
    levels = levels_of(table, helpfulness=0.2)
    oracle = MemoryOracle.of(table, form)
    cut, solution = cut_of(table, levels, Demands(tails=("humor", "harmlessness")), form)
    if solution.status is Status.CONVERGED:
        assert solution.kl >= solve(oracle, oracle.standardise(levels)).kl - 1e-7
        measures = measured(
            Demands(tails=("humor", "harmlessness")), cut.table, cut.oracle, cut.levels, solution.weights
        )
        assert all(excess < 1e-4 for excess in measures["tails"].values())


@few_examples
@given(seed=SEEDS, share=st.floats(0.05, 1.0))
def test_a_worst_mean_is_that_of_sorted_replies(seed: int, share: float):
    rng = np.random.default_rng(seed)
    rewards, masses = rng.normal(size=9).round(1), rng.dirichlet(np.ones(9))
    order, remaining, total = np.argsort(rewards), share, 0.0
    for k in order:
        total += min(masses[k], remaining) * rewards[k]
        remaining -= min(masses[k], remaining)
    assert worst_mean(rewards, masses, share) == pytest.approx(total / share)


@pytest.mark.parametrize("seed", range(3))
def test_threshold_of_a_worst_mean_is_as_cheap_as_the_best_of_a_grid(seed: int):
    table = make_table(prompts=5, candidates=8, seed=seed)
    rewards = table.rewards[:, table.index("humor")].reshape(5, 8)
    level, share = float(np.quantile(rewards, 0.15)), 0.2
    demands = Demands(worst=(WorstMean("humor", share, level),))
    cut, solution = cut_of(table, np.full(4, np.nan), demands)
    assert cut.settled
    achieved = measured(demands, cut.table, cut.oracle, cut.levels, solution.weights)["worst"]["humor:0.2"]
    assert achieved == pytest.approx(level, abs=1e-6)

    def least_kl(threshold: float) -> float:
        floor = threshold - share * (threshold - level)
        try:
            return primal(
                table,
                np.full(4, np.nan),
                lambda p: [cvxpy.sum(cvxpy.multiply(p, np.minimum(rewards, threshold))) / 5 >= floor],
            )
        except cvxpy.SolverError:
            return np.inf

    grid = [least_kl(t) for t in np.unique(rewards[rewards >= level])]
    assert solution.kl <= min(kl for kl in grid if np.isfinite(kl)) + 1e-6


@pytest.mark.parametrize(("seed", "share_of_highest"), [(59, 0.7), (73, 0.8)])
def test_a_worst_mean_that_few_thresholds_allow_is_found(seed: int, share_of_highest: float):
    rewards = np.random.default_rng(seed).normal(size=(40, 2))
    rewards[:, 1] = 0.6 * rewards[:, 1] - 0.8 * rewards[:, 0]
    table = table_from_rewards(rewards, [20, 20])
    oracle = MemoryOracle.of(table)
    highest = AttainableLevels(oracle).highest(np.full(2, np.nan), 1)
    levels = np.array([np.nan, oracle.base[1] + share_of_highest * highest * oracle.scale[1]])
    demands = Demands(worst=(WorstMean("humor", 0.05, float(np.quantile(rewards[:, 0], 0.2))),))
    cut = with_demands(table, oracle, levels, demands)
    assessment = assess(cut.oracle, cut.oracle.standardise(cut.levels))
    assert assessment.solution is not None
    achieved = measured(demands, cut.table, cut.oracle, cut.levels, assessment.solution.weights)["worst"]["humor:0.05"]
    assert achieved >= demands.worst[0].level - 1e-6


def test_two_worst_mean_floors_and_a_tail_beside_its_own_column():
    table = make_table(prompts=5, candidates=8, correlation=-0.8)
    rewards = table.rewards[:, table.index("humor")]
    level = float(np.quantile(rewards, 0.1))
    demands = Demands(worst=(WorstMean("humor", 0.2, level), WorstMean("humor", 0.2, level - 0.1)))
    cut, solution = cut_of(table, np.full(4, np.nan), demands)
    assert min(measured(demands, cut.table, cut.oracle, cut.levels, solution.weights)["worst"].values()) >= level - 1e-6
    first_cut, _ = cut_of(table, levels_of(table, helpfulness=0.3), Demands(tails=("harmlessness",)))
    (tail, *_) = first_cut.columns
    renamed_tail = replace(tail, name=f"min(harmlessness,{tail.threshold!r})")
    wider = table.with_columns([renamed_tail])
    levels = np.append(levels_of(table, helpfulness=0.3), tail.centre - 1.0)
    second_cut, _ = cut_of(wider, levels, Demands(tails=("harmlessness",)))
    assert second_cut.settled
    assert len(set(second_cut.table.values)) == len(second_cut.table.values)


def test_constant_value_below_its_target_needs_a_single_round():
    table = table_from_rewards([[0, 1], [1, 1], [0, 1], [1, 1]], [2, 2])
    cut = with_demands(table, MemoryOracle.of(table), np.array([0.5, 2.0]), Demands(mix=0.1))
    assert cut.settled
    assert cut.rounds == 1
    assert assess(cut.oracle, cut.oracle.standardise(cut.levels)).verdict is Verdict.OUT_OF_REACH


def test_share_of_all_replies_changes_nothing_despite_rounding():
    table = table_from_rewards(np.random.default_rng(0).normal(size=(13, 2)), [2, 4, 3, 2, 2])
    costs = []
    for all_targets in ({"kindness": "+0.3sd"}, {"kindness": "+0.3sd", "humor>=-10": 1.0}):
        wider, oracle, targets = with_targets(table, all_targets)
        if len(all_targets) == 2:
            assert 0 < targets[2] < 1e-12
            share_only = np.where(np.arange(3) == 2, targets, np.nan)
            assert margin(oracle, share_only).value == np.inf
            assert cross_fit(oracle, share_only).solved == 2
            assert confidence(oracle, share_only, draws=20).shares[Verdict.OUT_OF_REACH] == 0
        cut = with_demands(wider, oracle, oracle.rewards_at(targets), Demands(mix=0.05))
        costs.append(solve(cut.oracle, cut.oracle.standardise(cut.levels)).kl)
    assert costs[0] > solve(MemoryOracle.of(table), np.array([np.nan, 0.3])).kl + 1e-3
    assert costs[1] == pytest.approx(costs[0], abs=1e-9)


def test_a_worst_mean_of_all_replies_is_the_mean():
    table = make_table(prompts=5, candidates=8)
    levels = levels_of(table, humor=0.3)
    oracle = MemoryOracle.of(table)
    all_replies = WorstMean("humor", 1.0, float(levels[table.index("humor")]))
    _, solution = cut_of(table, np.full(4, np.nan), Demands(worst=(all_replies,)))
    assert solution.kl == pytest.approx(solve(oracle, oracle.standardise(levels)).kl, abs=1e-8)


def test_nearest_palette_keeps_the_tail():
    table = make_table(prompts=5, candidates=8, correlation=-0.9)
    cut, _ = cut_of(table, levels_of(table, helpfulness=3.0), Demands(tails=("harmlessness",)))
    locked = np.arange(len(cut.levels)) >= len(table.values)
    assessment = assess(cut.oracle, cut.oracle.standardise(cut.levels), locked=locked)
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert assessment.nearest is not None
    masses = reply_probabilities(cut.table, cut.oracle, assessment.nearest.solution.weights)
    assert tail_excess(table.rewards[:, table.index("harmlessness")], masses, np.full(40, 1 / 40))[0] < 1e-5


@pytest.mark.parametrize(
    ("demands", "form", "message"),
    [
        (Demands(tails=("wit",)), Form.PER_PROMPT, "Unknown value 'wit'"),
        (Demands(worst=(WorstMean("humor", 0.0, 1.0),)), Form.PER_PROMPT, "above 0 and at most 1"),
        (Demands(worst=(WorstMean("humor", 1.5, 1.0),)), Form.PER_PROMPT, "above 0 and at most 1"),
        (Demands(mix=-0.1), Form.PER_PROMPT, "expected 0 or more"),
        (Demands(mix=0.1), Form.POOLED, "need the per-prompt form"),
    ],
)
def test_invalid_demands_are_refused(demands: Demands, form: Form, message: str):
    table = make_table()
    with pytest.raises(InputError, match=message):
        with_demands(table, MemoryOracle.of(table, form), np.full(4, np.nan), demands)


@pytest.mark.parametrize("gamma", [1.0, 1.645, 2.5])
def test_the_worst_mix_at_half_gamma_squared_over_n_is_gamma_standard_errors_below(gamma: float):
    n = 2000
    levels = np.random.default_rng(0).normal(size=n)
    below = levels.mean() - worst_mix(levels, np.full(n, 1 / n), gamma**2 / (2 * n))[1]
    assert below == pytest.approx(gamma * levels.std() / np.sqrt(n), rel=0.02)
