"""Tests of error bars: sandwich estimator, bootstrap, hold-out check and the probability of a verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm
from scipy.stats import t as student

from map_core.confidence import Draws, bootstrap, confidence, cross_fit, sandwich
from map_core.confidence.cross_fit import split_folds
from map_core.confidence.interval import percentile_interval
from map_core.confidence.margins import margins_of
from map_core.confidence.verdict import probabilities, prompts_needed
from map_core.core.types import Form, Verdict
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.oracle.weighted import apply_prompt_weights
from map_core.solver.newton import Status, solve
from tests.populations import coverage, synthetic
from tests.tables import make_table

FREE = np.nan


def opposite_pairs(sizes: np.ndarray) -> MemoryOracle:
    """Return prompts with two replies each, with rewards +-a_i: A_i = log cosh(a_i x), mu_i = a_i tanh(a_i x)."""
    rewards = np.column_stack([sizes, -sizes]).reshape(-1, 1)
    return MemoryOracle(rewards, 2 * np.arange(len(sizes) + 1), ("humor",), Form.PER_PROMPT)


def oracle_of_prompts(
    oracle: MemoryOracle, table_rewards: np.ndarray, candidates: int, prompts: np.ndarray
) -> MemoryOracle:
    """Return an oracle of the listed prompts of a table, with repetitions."""
    blocks = table_rewards.reshape(-1, candidates, table_rewards.shape[1])[prompts]
    offsets = np.arange(len(prompts) + 1) * candidates
    return MemoryOracle(blocks.reshape(-1, table_rewards.shape[1]), offsets, oracle.values, oracle.form)


# Computed by hand


def test_the_sandwich_of_opposite_pairs():
    a = np.array([0.5, 1.0, 1.5, 0.8, 1.2])
    a /= np.sqrt(np.mean(a**2))  # base 0 and scale 1
    oracle, x, n = opposite_pairs(a), 0.7, len(a)
    levels = a * np.tanh(a * x)
    solution = solve(oracle, np.array([levels.mean()]))
    assert solution.weights == pytest.approx([x])
    curvature = np.mean(a**2 / np.cosh(a * x) ** 2)
    spread = levels.var(ddof=1)
    error = sandwich(oracle, solution)
    assert error.weights == pytest.approx([math.sqrt(spread / n) / curvature])
    assert error.levels == pytest.approx([math.sqrt(spread / n)])
    assert error.kl_bias == pytest.approx(spread / curvature / (2 * n))
    second = 0.5 * (spread / curvature / n) ** 2
    assert error.kl == pytest.approx(math.sqrt(np.log(np.cosh(a * x)).var(ddof=1) / n + second))


def test_margin_of_one_value_is_a_mean():
    """One value: t* = mean of the best replies - d, so its interval is Student's and its draws are means."""
    a = np.linspace(0.5, 1.5, 9)
    a /= np.sqrt(np.mean(a**2))
    oracle, d = opposite_pairs(a), np.array([0.4])
    outcome = confidence(oracle, d, draws=50)
    half_width = student.ppf(0.95, 8) * a.std(ddof=1) / 3
    assert outcome.margin is not None
    assert outcome.margin.estimate == pytest.approx(a.mean() - 0.4)
    assert outcome.margin.low == pytest.approx(a.mean() - 0.4 - half_width)
    assert outcome.margin.high == pytest.approx(a.mean() - 0.4 + half_width)
    multiplicities = np.array([[9.0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 4, 5.0]])
    margins, gains = margins_of(oracle, d, margin(oracle, d), multiplicities)
    assert margins == pytest.approx([a[0] - 0.4, (4 * a[7] + 5 * a[8]) / 9 - 0.4])
    assert gains == pytest.approx([0, 0])


def test_the_pooled_sandwich_of_a_ratio():
    """Pooled, the level is a ratio of sums over prompts; its error is that of the delta method."""
    table = make_table(prompts=40, candidates=3)
    oracle = MemoryOracle.of(table, Form.POOLED)
    solution = solve(oracle, np.array([0.3, FREE, 0.2, FREE]))
    z = oracle.standardise(table.rewards)
    tilted = np.exp(z @ solution.weights).reshape(40, 3)
    top = np.einsum("ik,ikj->ij", tilted, z.reshape(40, 3, 4))
    bottom = tilted.sum(axis=1)
    ratio = top.sum(axis=0) / bottom.sum()
    influence = (top - bottom[:, None] * ratio) / bottom.mean()
    error = sandwich(oracle, solution)
    assert error.levels == pytest.approx(influence.std(axis=0, ddof=1) / math.sqrt(40))
    variance = (bottom / bottom.mean()).var(ddof=1) / 40
    active = solution.weights > 0
    inverse = np.linalg.inv(solution.covariance[np.ix_(active, active)])
    ratio_matrix = inverse @ np.cov(influence[:, active].T) / 40
    assert error.kl_bias == pytest.approx(np.trace(ratio_matrix) / 2 + variance / 2)
    assert error.kl == pytest.approx(math.sqrt(variance + np.trace(ratio_matrix @ ratio_matrix) / 2))


def test_percentiles_corrected_for_median_bias():
    draws = np.arange(1.0, 1001.0)[:, None]
    plain = percentile_interval(draws, np.array([500.5]), 10**9, 0.9)
    assert plain.low == pytest.approx([50], abs=1)
    assert plain.high == pytest.approx([951], abs=1)
    # 69.1% of the draws lie below the estimate, a bias of half a standard deviation: the ends move up by one.
    shifted = percentile_interval(draws, np.array([691.5]), 10**9, 0.9)
    assert shifted.low == pytest.approx([1000 * norm.cdf(1 - 1.6449)], abs=2)
    assert shifted.high == pytest.approx([1000 * norm.cdf(1 + 1.6449)], abs=2)
    at_zero = percentile_interval(np.maximum(draws - 900, 0.0), np.array([0.0]), 10**9, 0.9)
    assert at_zero.low == 0
    assert at_zero.high == pytest.approx([50], abs=1)


# General properties


@pytest.mark.parametrize("form", list(Form))
def test_bootstrap_draws_equal_solutions_of_resampled_tables(form: Form):
    table = make_table(prompts=30, candidates=8)
    oracle = MemoryOracle.of(table, form)
    d = np.array([0.35, 0.3, FREE, 0.1])
    solution, margin_of_table = solve(oracle, d), margin(oracle, d)
    outcome = bootstrap(oracle, d, solution=solution, margin=margin_of_table, draws=25, seed=5)
    multiplicities = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), 25)
    target_rewards = oracle.rewards_at(d)
    for number, counts in enumerate(multiplicities):
        resampled = oracle_of_prompts(oracle, table.rewards, 8, np.repeat(np.arange(30), counts))
        solution_of_draw = solve(resampled, resampled.standardise(target_rewards))
        attainable = margin(resampled, resampled.standardise(target_rewards)).attainable
        assert outcome.attainable[number] == attainable == (solution_of_draw.status is Status.CONVERGED)
        if attainable:
            lambdas = outcome.weights[number] / oracle.scale
            assert lambdas == pytest.approx(solution_of_draw.weights / resampled.scale, abs=1e-6)
            assert outcome.kl[number] == pytest.approx(solution_of_draw.kl, abs=1e-8)
            ess = resampled.effective_sample_size(solution_of_draw.weights)
            assert outcome.trust[number] == pytest.approx(
                math.log(min(ess.per_prompt / (30.0 if form is Form.POOLED else 2.0), ess.pooled / 30.0)), abs=1e-6
            )
        else:
            assert np.array_equal(outcome.weights[number], [np.inf, np.inf, 0, np.inf])
    assert outcome.undecided == 0
    assert sum(outcome.shares.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [None, np.r_[np.zeros(5), np.linspace(0.5, 2.0, 25)]])
@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("d", [[0.35, 0.3, FREE, 0.1], [FREE, 0.4, FREE, FREE], [FREE] * 4])
def test_bootstrap_on_targeted_values_equals_that_on_all_values(
    d: list[float], form: Form, weights: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
):
    table = make_table(prompts=30, candidates=8)
    oracle = apply_prompt_weights(MemoryOracle(table.rewards, table.offsets, table.values, form), weights)
    targets = np.array(d)
    solution, margin_of_table = solve(oracle, targets), margin(oracle, targets)
    on_targeted = bootstrap(oracle, targets, solution=solution, margin=margin_of_table, draws=40, seed=5)
    monkeypatch.setattr(type(oracle), "of_values", lambda oracle, which: None)
    on_all = bootstrap(oracle, targets, solution=solution, margin=margin_of_table, draws=40, seed=5)
    assert np.array_equal(on_targeted.attainable, on_all.attainable)
    for name in ("trust", "weights", "kl"):
        np.testing.assert_allclose(getattr(on_targeted, name), getattr(on_all, name), atol=1e-7)
    assert (on_targeted.margins is None) == (on_all.margins is None)
    if on_targeted.margins is not None and on_all.margins is not None:
        # The damping of a step depends on the variation of all values.
        np.testing.assert_allclose(on_targeted.margins, on_all.margins, atol=1e-3)
        assert on_targeted.margin_bias == pytest.approx(on_all.margin_bias, abs=1e-3)


def test_margins_of_draws_against_linear_programs():
    """t is the maximum over reply distributions of the smallest surplus: one linear program per draw."""
    prompts, candidates = 40, 12
    table = make_table(prompts=prompts, candidates=candidates)
    oracle = MemoryOracle.of(table)
    d = np.array([0.9, 0.8, 0.7, FREE])
    margin_of_table = margin(oracle, d)
    multiplicities = np.random.default_rng(0).multinomial(prompts, np.full(prompts, 1 / prompts), 30).astype(float)
    margins, gains = margins_of(oracle, d, margin_of_table, multiplicities)
    z = oracle.standardise(table.rewards)[:, :3]
    exact = []
    for counts in multiplicities:
        share = np.repeat(counts / prompts, candidates)
        program = linprog(
            np.append(np.zeros(len(z)), -1.0),
            A_ub=np.column_stack([-(z * share[:, None]).T, np.ones(3)]),
            b_ub=-d[:3],
            A_eq=np.column_stack([np.kron(np.eye(prompts), np.ones(candidates)), np.zeros(prompts)]),
            b_eq=np.ones(prompts),
            bounds=[(0, None)] * len(z) + [(None, None)],
        )
        exact.append(-program.fun)
    error = margins - np.array(exact)
    assert np.all(gains >= 0)
    assert np.abs(error).max() < 0.3 * np.std(exact)
    assert abs(error.mean()) < 0.1 * np.std(exact)


@pytest.mark.parametrize("form", list(Form))
def test_held_out_levels_use_weights_from_other_folds(form: Form):
    table = make_table(prompts=21, candidates=6)
    oracle = MemoryOracle.of(table, form)
    d = np.array([0.3, FREE, 0.2, -0.5])
    outcome = cross_fit(oracle, d, folds=3, seed=4, strata=table.use_cases)
    fold = split_folds(21, 3, np.random.default_rng(4), table.use_cases)
    in_sample, held_out = [], []
    for k in range(3):
        inside = oracle_of_prompts(oracle, table.rewards, 6, np.flatnonzero(fold != k))
        fold_solution = solve(inside, inside.standardise(oracle.rewards_at(d)))
        outside = oracle_of_prompts(oracle, table.rewards, 6, np.flatnonzero(fold == k))
        held_out_moments = outside.moments(fold_solution.weights / inside.scale * outside.scale)
        in_sample.append(inside.rewards_at(fold_solution.levels))
        held_out.append(outside.rewards_at(held_out_moments.levels))
    assert outcome.solved == 3
    assert outcome.in_sample is not None
    assert outcome.levels is not None
    assert oracle.rewards_at(outcome.in_sample) == pytest.approx(np.mean(in_sample, axis=0), abs=1e-6)
    assert oracle.rewards_at(outcome.levels.estimate) == pytest.approx(np.mean(held_out, axis=0), abs=1e-6)
    assert np.all(outcome.levels.low < outcome.levels.high)
    missed = outcome.levels.estimate < d - 1e-6
    assert np.array_equal(outcome.missed, missed & ~np.isnan(d))
    assert not np.any(outcome.surely & ~outcome.missed)


def test_targets_missed_on_held_out_prompts_are_marked():
    """With few prompts and extreme targets, the weights overfit the prompts they were solved on."""
    table = make_table(prompts=12, candidates=24, seed=4)
    outcome = cross_fit(MemoryOracle.of(table), np.full(4, 0.6), level=0.5)
    assert outcome.solved == outcome.folds == 2
    assert outcome.in_sample is not None
    assert outcome.levels is not None
    assert np.all(outcome.in_sample >= 0.6 - 1e-6)
    assert list(outcome.missed) == [False, True, False, True]
    assert np.array_equal(outcome.levels.estimate < 0.6, outcome.missed)
    tight = cross_fit(MemoryOracle.of(table), np.array([2.5, 2.5, 2.5, 2.5]))
    assert tight.solved == 0
    assert tight.levels is tight.in_sample is None
    assert not tight.missed.any()


def test_folds_are_balanced_in_every_use_case():
    strata = ["a"] * 7 + ["b"] * 12 + ["c"] * 2
    fold = split_folds(21, 4, np.random.default_rng(0), strata)
    assert sorted(np.bincount(fold)) == [5, 5, 5, 6]
    for start, stop in pairwise([0, 7, 19, 21]):
        sizes = np.bincount(fold[start:stop], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    assert not np.array_equal(fold, split_folds(21, 4, np.random.default_rng(1), strata))


def draws_with(margins: np.ndarray, trust: np.ndarray | None = None) -> Draws:
    size = len(margins)
    trust = np.full(size, 1.0) if trust is None else trust
    trust = np.where(margins >= 0, trust, -np.inf)
    return Draws(margins >= 0, trust, np.zeros((size, 1)), np.zeros(size), margins, 0.0, 0)


def test_probabilities_of_verdicts():
    quantiles = norm.ppf((np.arange(1000) + 0.5) / 1000)
    # Unbiased draws around a margin one standard error above 0.
    outcome = probabilities(draws_with(1 + quantiles), 1.0, 0.5)
    assert outcome[Verdict.OUT_OF_REACH] == pytest.approx(norm.cdf(-1), abs=2e-3)
    assert sum(outcome.values()) == pytest.approx(1.0)
    # Draws are biased by half a standard error downwards, and so is the table, so its margin of 0 favours the palette.
    biased = probabilities(draws_with(-0.5 + quantiles), 0.0, -0.5)
    assert biased[Verdict.OUT_OF_REACH] == pytest.approx(norm.cdf(-0.5), abs=2e-3)
    # All draws agree.
    assert probabilities(draws_with(10 + quantiles), 10.0, 0.5)[Verdict.REACHABLE] == 1.0
    assert probabilities(draws_with(-10 + quantiles), -10.0, -math.inf)[Verdict.OUT_OF_REACH] == 1.0
    # The margin is certain, the trust is not.
    uncertain_trust = probabilities(draws_with(10 + quantiles, -0.5 + quantiles), 10.0, -0.5)
    assert uncertain_trust[Verdict.ON_PAPER] == pytest.approx(norm.cdf(0.5), abs=2e-3)
    assert uncertain_trust[Verdict.OUT_OF_REACH] == 0.0


def test_prompts_needed_grow_with_the_square_of_the_error():
    quantiles = norm.ppf((np.arange(1000) + 0.5) / 1000)
    quantile = norm.ppf(0.95)
    assert prompts_needed(100, draws_with(1 + quantiles), 1.0, math.inf) == pytest.approx(100 * quantile**2, rel=0.01)
    assert prompts_needed(100, draws_with(0.1 + quantiles), 0.1, math.inf) == pytest.approx(1e4 * quantile**2, rel=0.01)
    assert prompts_needed(100, draws_with(10 + quantiles), 10.0, math.inf) == pytest.approx(quantile**2, abs=1)
    assert prompts_needed(100, draws_with(quantiles), 0.0, -math.inf) == math.inf
    uncertain_trust = draws_with(10 + quantiles, 0.5 + quantiles)
    assert prompts_needed(100, uncertain_trust, 10.0, 0.5) == pytest.approx(400 * quantile**2, rel=0.01)


def test_confidence_is_reproducible_and_independent_of_units():
    table = make_table(prompts=40, candidates=16)
    oracle = MemoryOracle.of(table)
    d = np.array([0.5, 0.2, FREE, -1.0])
    outcome = confidence(oracle, d, draws=100, seed=3)
    repeated = confidence(oracle, d, draws=100, seed=3)
    other_seed = confidence(oracle, d, draws=100, seed=4)
    assert outcome.weights is not None
    assert repeated.weights is not None
    assert other_seed.weights is not None
    assert np.array_equal(outcome.weights.low, repeated.weights.low)
    assert not np.array_equal(outcome.weights.low, other_seed.weights.low)
    in_rewards = outcome.in_reward_units(oracle)
    assert in_rewards.weights is not None
    assert in_rewards.levels is not None
    assert in_rewards.held_out.levels is not None
    assert in_rewards.weights.high == pytest.approx(outcome.weights.high / oracle.scale)
    assert in_rewards.levels.estimate == pytest.approx(oracle.rewards_at(solve(oracle, d).levels))
    assert in_rewards.held_out.levels.low == pytest.approx(oracle.rewards_at(outcome.held_out.levels.low))
    assert outcome.verdict is Verdict.REACHABLE
    assert sum(outcome.probability.values()) == pytest.approx(1.0)
    # A copy of the table in other units gives the same result.
    rescaled = MemoryOracle(table.rewards * 1e6 + 5.0, table.offsets, table.values, table.form)
    rescaled_outcome = confidence(rescaled, d, draws=100, seed=3)
    assert rescaled_outcome.weights is not None
    assert rescaled_outcome.weights.high == pytest.approx(outcome.weights.high, abs=1e-6)


def test_more_prompts_make_narrower_intervals():
    widths = []
    for prompts in (40, 160):
        oracle = MemoryOracle.of(make_table(prompts=prompts, candidates=16))
        outcome = confidence(oracle, np.array([0.5, 0.2, 0.3, FREE]), draws=100)
        assert outcome.kl is not None
        assert outcome.margin is not None
        widths.append((outcome.kl.high - outcome.kl.low, outcome.margin.high - outcome.margin.low))
    assert np.divide(*widths) == pytest.approx([2.0, 2.0], rel=0.4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "targets"), [(6, np.full(6, 0.1)), (4, np.array([0.4, 0.1, FREE, -0.1]))], ids=["six", "some"]
)
def test_intervals_have_90_percent_coverage(values: int, targets: np.ndarray):
    covered = coverage(synthetic(values=values), targets, prompts=64, tables=250, draws=100)
    assert covered.solved == covered.tables
    assert 0.86 <= np.nanmean(covered.weights) <= 0.94
    assert 0.86 <= covered.kl <= 0.94
    assert 0.86 <= covered.levels.mean() <= 0.94
    assert 0.86 <= covered.margin <= 0.94


def test_margin_interval_contains_the_estimate_if_best_replies_are_equal():
    """Rewards are 0 and 1, and each prompt has a reply that is best in both values, so all draws have one margin."""
    rng = np.random.default_rng(4)
    rewards = (rng.random((40, 12, 2)) < 0.4).astype(float)
    rewards[:, 0] = 1.0
    table = replace(make_table(40, 12, ("kind", "funny")), rewards=rewards.reshape(-1, 2))
    oracle = MemoryOracle.of(table)
    result = confidence(oracle, oracle.standardise(np.array([0.9, 0.85])), draws=60, seed=1)
    assert result.margin is not None
    assert result.margin.low <= result.margin.estimate <= result.margin.high
    assert result.margin.estimate > 0
