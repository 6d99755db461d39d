"""Tests of the solver: two replies worked out by hand, the laws that any solution obeys, and the statuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, memory
from map_core.solver.newton import Status, solve
from tests.tables import make_table


def two_replies(worse: float = 0.0, better: float = 1.0) -> MemoryOracle:
    """Return one prompt with two replies: base level 1/2, standard deviation 1/2 for rewards 0 and 1."""
    return MemoryOracle(np.array([[worse], [better]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)


def test_two_replies_by_hand():
    # p(better) = q is the level; the tilt gives q = e^lambda / (1 + e^lambda), so lambda = log(q / (1 - q)),
    # and KL = log 2 + q log q + (1 - q) log(1 - q).
    oracle = two_replies()
    for q in (0.5, 0.6, 0.75, 0.9, 0.999):
        solution = solve(oracle, oracle.standardise(np.array([q])))
        assert solution.status is Status.CONVERGED
        assert solution.weights[0] / oracle.scale[0] == pytest.approx(math.log(q / (1 - q)), abs=1e-9)
        assert oracle.rewards_at(solution.levels)[0] == pytest.approx(q, abs=1e-10)
        assert solution.kl == pytest.approx(math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q), abs=1e-10)


def test_a_target_below_the_base_level_costs_nothing():
    oracle = two_replies()
    solution = solve(oracle, oracle.standardise(np.array([0.3])))
    assert solution.weights[0] == 0
    assert solution.kl == 0


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32), request.param)


def targets_inside(oracle: MemoryOracle, seed: int) -> np.ndarray:
    """Return targets that some weights realise: levels at random weights, some of them lowered, one left free."""
    rng = np.random.default_rng(seed)
    levels = oracle.moments(rng.exponential(0.5, len(oracle.values))).levels
    targets = levels - rng.choice([0.0, 0.3], len(levels))
    targets[rng.integers(len(levels))] = np.nan
    return targets


@pytest.mark.parametrize("seed", range(12))
def test_optimality_conditions(oracle: MemoryOracle, seed: int):
    targets = targets_inside(oracle, seed)
    solution = solve(oracle, targets)
    targeted = ~np.isnan(targets)
    slack = solution.levels[targeted] - targets[targeted]
    assert solution.status is Status.CONVERGED
    assert solution.residual <= 1e-10
    assert np.all(solution.weights >= 0)
    assert np.all(solution.weights[~targeted] == 0)
    assert np.all(slack >= -1e-9)
    assert np.abs(solution.weights[targeted] * slack).max() <= 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_an_independent_solver_agrees(oracle: MemoryOracle, seed: int):
    targets = targets_inside(oracle, seed)
    targeted = ~np.isnan(targets)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        full = np.zeros(len(targets))
        full[targeted] = x
        moments = oracle.moments(full)
        return moments.log_normaliser - x @ targets[targeted], moments.levels[targeted] - targets[targeted]

    reference = minimize(
        loss,
        np.zeros(targeted.sum()),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * targeted.sum(),
        options={"ftol": 1e-15, "gtol": 1e-11, "maxiter": 5000},
    )
    np.testing.assert_allclose(solve(oracle, targets).weights[targeted], reference.x, atol=2e-5)


def test_the_dual_never_exceeds_the_smallest_cost(oracle: MemoryOracle):
    # g(x) <= KL* at every x, with equality at the solution.
    targets = targets_inside(oracle, 3)
    targets = np.where(np.isnan(targets), -10.0, targets)
    best = solve(oracle, targets)
    rng = np.random.default_rng(0)
    for x in rng.exponential(0.5, (200, len(targets))):
        assert x @ targets - oracle.moments(x).log_normaliser <= best.kl + 1e-10
    assert best.weights @ targets - oracle.moments(best.weights).log_normaliser == pytest.approx(best.kl, abs=1e-9)


def test_gradient_and_covariance_match_finite_differences(oracle: MemoryOracle):
    x, h = np.array([0.4, 0.1, 0.7, 0.2]), 1e-5
    moments = oracle.moments(x)
    for j, step in enumerate(np.eye(4) * h):
        up, down = oracle.moments(x + step), oracle.moments(x - step)
        assert moments.levels[j] == pytest.approx((up.log_normaliser - down.log_normaliser) / (2 * h), abs=1e-8)
        np.testing.assert_allclose(moments.covariance[j], (up.levels - down.levels) / (2 * h), atol=1e-8)


def test_batch_moments_equal_single_moments(oracle: MemoryOracle):
    batch = np.random.default_rng(1).exponential(1.0, (7, 4))
    batch_moments = oracle.batch_moments(batch)
    log_normalisers, levels = batch_moments.log_normaliser, batch_moments.levels
    for x, log_normaliser, level in zip(batch, log_normalisers, levels, strict=True):
        moments = oracle.moments(x)
        assert log_normaliser == pytest.approx(moments.log_normaliser, abs=1e-12)
        np.testing.assert_allclose(level, moments.levels, atol=1e-12)


def test_both_forms_agree_on_one_prompt():
    table = make_table(prompts=1, candidates=64)
    targets = np.array([0.4, 0.2, np.nan, 0.1])
    per_prompt = solve(MemoryOracle.of(table, Form.PER_PROMPT), targets)
    pooled = solve(MemoryOracle.of(table, Form.POOLED), targets)
    np.testing.assert_allclose(per_prompt.weights, pooled.weights, atol=1e-9)


def test_prompts_count_equally_whatever_their_number_of_replies():
    # Prompt one: replies 0, 1. Prompt two: 0, 0, 1, 1, which has the same distribution.
    rewards = np.array([[0.0], [1.0], [0.0], [0.0], [1.0], [1.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 6]), ("humor",), Form.PER_PROMPT)
    solution = solve(oracle, oracle.standardise(np.array([0.75])))
    assert solution.weights[0] / oracle.scale[0] == pytest.approx(math.log(3), abs=1e-9)
    assert oracle.best(np.array([1.0]))[0] == pytest.approx(1.0)


@settings(max_examples=40)
@given(st.floats(1e-9, 1e9), st.floats(-1e6, 1e6), st.integers(0, 1000))
def test_scaling_a_reward_divides_its_weight_and_a_shift_moves_its_level(scale: float, shift: float, seed: int):
    # Scaling a reward divides its weight; a constant shifts its level alone.
    table = make_table(prompts=6, candidates=12, seed=seed % 7)
    rewards = table.rewards.copy()
    shift = shift * scale  # beyond 1e6 standard deviations a shift loses the precision of the rewards
    rewards[:, 1] = rewards[:, 1] * scale + shift
    before = MemoryOracle.of(table)
    after = MemoryOracle(rewards, table.offsets, table.values, Form.PER_PROMPT)
    targets = targets_inside(before, seed)
    first, second = solve(before, targets), solve(after, targets)
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-6)
    assert second.weights[1] / after.scale[1] == pytest.approx(
        first.weights[1] / before.scale[1] / scale, rel=1e-5, abs=1e-6 / scale
    )
    assert second.kl == pytest.approx(first.kl, abs=1e-7)


def test_redundant_values_share_the_weight():
    # The same value twice, and a constant one: least norm splits the weight evenly and gives the constant none.
    table = make_table(prompts=10, candidates=16)
    humor = table.rewards[:, [2]]
    rewards = np.hstack([humor, 5.0 * humor + 2.0, np.full_like(humor, 7.0)])
    oracle = MemoryOracle(rewards, table.offsets, ("humor", "wit", "constant"), Form.PER_PROMPT)
    single = solve(MemoryOracle(humor, table.offsets, ("humor",), Form.PER_PROMPT), np.array([0.5]))
    solution = solve(oracle, np.array([0.5, 0.5, 0.0]))
    assert solution.redundant
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.weights, [single.weights[0] / 2, single.weights[0] / 2, 0.0], atol=1e-6)
    assert solution.residual <= 1e-6


def test_a_redundant_value_with_slack_keeps_no_weight():
    # The same value twice with different targets: the lower one is met for free and must not share the weight.
    table = make_table(prompts=10, candidates=16)
    humor = table.rewards[:, [2]]
    oracle = MemoryOracle(np.hstack([humor, humor]), table.offsets, ("humor", "wit"), Form.PER_PROMPT)
    solution = solve(oracle, np.array([0.5, 0.2]))
    assert solution.redundant
    assert solution.residual <= 1e-8
    assert solution.weights[1] == 0


def test_targets_are_not_changed_and_warm_starts_agree(oracle: MemoryOracle):
    targets = targets_inside(oracle, 5)
    copy = targets.copy()
    cold = solve(oracle, targets)
    warm = solve(oracle, targets, start=cold.weights + 0.3)
    np.testing.assert_array_equal(targets, copy)
    np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-8)


def test_huge_weights_do_not_overflow(oracle: MemoryOracle):
    moments = oracle.moments(np.full(4, 1e8))
    assert np.isfinite(moments.log_normaliser)
    assert np.all(np.isfinite(moments.levels))
    assert np.all(np.isfinite(moments.covariance))


def test_an_unreachable_target_is_reported_early():
    oracle = two_replies()
    solution = solve(oracle, oracle.standardise(np.array([1.2])))
    assert solution.status is Status.UNBOUNDED
    assert solution.steps < 20


def test_without_targets_the_solution_is_the_base_model(oracle: MemoryOracle):
    solution = solve(oracle, np.full(4, np.nan))
    assert solution.status is Status.CONVERGED
    assert solution.kl == 0
    np.testing.assert_allclose(solution.levels, 0, atol=1e-12)


def test_one_reply_per_prompt_has_no_per_prompt_form():
    with pytest.raises(InputError, match="every prompt has one"):
        MemoryOracle(np.ones((3, 1)), np.arange(4), ("humor",), Form.PER_PROMPT)


def test_a_budget_ends_a_solve_that_costs_more(oracle: MemoryOracle):
    targets = targets_inside(oracle, 2)
    cost = solve(oracle, targets).kl
    assert solve(oracle, targets, budget=1.001 * cost).status is Status.CONVERGED
    over_budget = solve(oracle, targets, budget=0.9 * cost)
    assert over_budget.status is Status.OVER_BUDGET
    assert over_budget.steps <= solve(oracle, targets).steps


@pytest.mark.parametrize("form", list(Form))
def test_a_large_table_starts_from_a_subsample_of_its_prompts(form: Form, monkeypatch: pytest.MonkeyPatch):
    table = make_table(prompts=4000, candidates=8)
    in_one_block = MemoryOracle.of(table, form)
    monkeypatch.setattr(memory, "BLOCK", 1024)
    in_many_blocks = MemoryOracle.of(table, form)
    assert in_many_blocks.subsample(1 / 8) is not None
    for seed in range(5):
        targets = targets_inside(in_one_block, seed)
        expected, solution = solve(in_one_block, targets), solve(in_many_blocks, targets)
        assert solution.status is Status.CONVERGED
        np.testing.assert_allclose(solution.weights, expected.weights, atol=1e-8)
        assert solution.steps <= expected.steps + 2  # a subsample of so few prompts gives no close start
    unreachable = solve(in_many_blocks, np.full(4, 9.0))
    assert unreachable.status is Status.UNBOUNDED


def test_nearly_redundant_values_keep_the_weights_that_work():
    # The second value is the first but for a millionth of its spread, and a target asks for that millionth.
    table = make_table(prompts=10, candidates=16)
    humor, wit = table.rewards[:, 2], table.rewards[:, 1]
    rewards = np.column_stack([humor, humor + 1e-6 * wit])
    oracle = MemoryOracle(rewards, table.offsets, ("humor", "wit"), Form.PER_PROMPT)
    levels = oracle.moments(np.array([3e4, 1e4])).levels
    solution = solve(oracle, levels - [0.0, 1e-9])
    assert solution.status is Status.CONVERGED
    assert solution.residual <= 1e-8
