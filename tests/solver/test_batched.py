"""Tests of the batched solver: rows equal single solves, and a prompt that counts twice equals a duplicated one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.oracle import MemoryOracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import Status, solve
from tests.tables import make_table


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32), request.param)


def mixed_targets(rows: int, seed: int = 0) -> np.ndarray:
    """Return targets from easy to impossible, some of them free."""
    rng = np.random.default_rng(seed)
    targets = rng.uniform(-0.3, 3.2, (rows, 4))
    targets[rng.random(targets.shape) < 0.25] = np.nan
    return targets


def test_two_replies_by_hand():
    # As for a single solve: levels q need lambda = log(q / (1 - q)); the last one is beyond every reply.
    oracle = MemoryOracle(np.array([[0.0], [1.0]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)
    levels = np.array([[0.3], [0.5], [0.75], [0.9], [1.1]])
    solutions = solve_many(oracle, oracle.standardise(levels))
    assert list(solutions.status) == [Status.CONVERGED] * 4 + [Status.UNBOUNDED]
    expected = [0.0, 0.0, math.log(3), math.log(9)]
    np.testing.assert_allclose(solutions.weights[:4, 0] / oracle.scale[0], expected, atol=1e-9)
    # Two replies with probability q and 1 - q: 1 / (q^2 + (1 - q)^2) of them carry the weight.
    assert solutions.ess[2] == pytest.approx(1 / (0.75**2 + 0.25**2))


def test_each_row_equals_a_single_solve(oracle: MemoryOracle):
    targets = mixed_targets(60)
    solutions = solve_many(oracle, targets)
    assert set(solutions.status) == {Status.CONVERGED, Status.UNBOUNDED}
    for row, d in enumerate(targets):
        single = solve(oracle, d)
        assert solutions.status[row] is single.status
        if single.status is Status.CONVERGED:
            np.testing.assert_allclose(solutions.weights[row], single.weights, atol=1e-7)
            np.testing.assert_allclose(solutions.levels[row], single.levels, atol=1e-8)
            np.testing.assert_allclose(solutions.covariance[row], single.covariance, atol=1e-7)
            assert solutions.kl[row] == pytest.approx(single.kl, abs=1e-8)
            sizes = oracle.effective_sample_size(single.weights)
            assert solutions.ess[row] == pytest.approx(sizes.per_prompt, rel=1e-6)
            assert solutions.pooled_ess[row] == pytest.approx(sizes.pooled, rel=1e-6)


def test_the_order_of_rows_does_not_matter(oracle: MemoryOracle):
    targets = mixed_targets(15, seed=1)
    in_order, reversed_order = solve_many(oracle, targets), solve_many(oracle, targets[::-1])
    np.testing.assert_array_equal(in_order.status, reversed_order.status[::-1])
    np.testing.assert_allclose(in_order.weights, reversed_order.weights[::-1], atol=1e-8)


def test_tilt_ridge_and_start_act_as_in_a_single_solve(oracle: MemoryOracle):
    rng = np.random.default_rng(2)
    targets = rng.uniform(0.0, 0.8, (8, 4))
    tilt, ridge, start = rng.exponential(0.3, (8, 4)), rng.uniform(0.05, 1.0, (8, 4)), rng.exponential(0.5, (8, 4))
    solutions = solve_many(oracle, targets, tilt=tilt, ridge=ridge, start=start)
    assert solutions.converged.all()
    for row in range(8):
        single = solve(oracle, targets[row], tilt=tilt[row], ridge=ridge[row])
        np.testing.assert_allclose(solutions.weights[row], single.weights, atol=1e-8)
        assert solutions.kl[row] == pytest.approx(single.kl, abs=1e-8)


def test_unreachable_targets_are_proved_with_and_without_a_tilt(oracle: MemoryOracle):
    rng = np.random.default_rng(6)
    targets = mixed_targets(60, seed=6)
    # As large as the range of a value, towards the targets and away from them.
    tilt = np.where(np.isnan(targets), rng.uniform(-40.0, 40.0, targets.shape), 0.0)
    untilted, tilted = solve_many(oracle, targets), solve_many(oracle, targets, tilt=tilt, tolerance=1e-6)
    np.testing.assert_array_equal(tilted.status, untilted.status)
    assert 5 < untilted.unbounded.sum() < 55
    for row in np.flatnonzero(untilted.unbounded):
        assert solve(oracle, targets[row], tilt=tilt[row]).status is Status.UNBOUNDED


@pytest.mark.parametrize("form", list(Form))
def test_a_prompt_that_counts_twice_equals_one_that_is_duplicated(form: Form):
    table = make_table(prompts=10, candidates=12)
    oracle = MemoryOracle.of(table, form)
    draws = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), size=6)
    targets = np.array([0.3, 0.1, np.nan, 0.2])
    solutions = solve_many(oracle, targets, multiplicity=draws)
    for row, draw in enumerate(draws):
        chosen = np.repeat(np.arange(10), draw)
        rewards = table.rewards.reshape(10, 12, 4)[chosen].reshape(-1, 4)
        duplicated = MemoryOracle(rewards, np.arange(len(chosen) + 1) * 12, table.values, form)
        levels = oracle.rewards_at(targets)
        single = solve(duplicated, duplicated.standardise(levels))
        assert solutions.status[row] is single.status
        np.testing.assert_allclose(solutions.weights[row] / oracle.scale, single.weights / duplicated.scale, atol=1e-6)
        np.testing.assert_allclose(
            oracle.rewards_at(solutions.levels[row]), duplicated.rewards_at(single.levels), atol=1e-7
        )
        assert solutions.kl[row] == pytest.approx(single.kl, abs=1e-8)


def test_a_budget_ends_rows_that_cost_more(oracle: MemoryOracle):
    targets = mixed_targets(30, seed=4)
    unlimited = solve_many(oracle, targets)
    budgets = np.where(np.arange(30) % 2, 0.5 * unlimited.kl, 1.1 * unlimited.kl + 1e-6)
    solutions = solve_many(oracle, targets, budget=budgets)
    for row in np.flatnonzero(unlimited.converged):
        costs_more = unlimited.kl[row] > budgets[row]
        assert solutions.over_budget[row] == costs_more
        assert solve(oracle, targets[row], budget=budgets[row]).status is solutions.status[row]
    assert not solutions.converged[unlimited.unbounded].any()


def test_redundant_rows_share_their_weight():
    table = make_table(prompts=10, candidates=16)
    humor = table.rewards[:, [2]]
    oracle = MemoryOracle(np.hstack([humor, 3 * humor, 0 * humor + 7]), table.offsets, ("a", "b", "c"), Form.PER_PROMPT)
    solutions = solve_many(oracle, np.array([[0.5, 0.5, 0.0], [0.5, np.nan, np.nan], [0.5, 0.1, np.nan]]))
    assert list(solutions.redundant) == [True, False, True]
    assert solutions.converged.all()
    full_weight = solutions.weights[1, 0]
    np.testing.assert_allclose(
        solutions.weights, [[full_weight / 2, full_weight / 2, 0], [full_weight, 0, 0], [full_weight, 0, 0]], atol=1e-6
    )


def test_twenty_values_converge():
    rng = np.random.default_rng(5)
    rewards = rng.normal(size=(40 * 32, 20)) @ rng.normal(size=(20, 20))
    oracle = MemoryOracle(rewards, np.arange(41) * 32, tuple(map(str, range(20))), Form.PER_PROMPT)
    targets = oracle.batch_moments(rng.exponential(0.3, (25, 20))).levels - rng.choice([0.0, 0.3], (25, 20))
    solutions = solve_many(oracle, targets)
    assert solutions.converged.all()
    assert solutions.residual.max() <= 1e-10
    for row in range(5):
        np.testing.assert_allclose(solutions.weights[row], solve(oracle, targets[row]).weights, atol=1e-6)


def test_inputs_are_not_modified_and_one_row_is_accepted(oracle: MemoryOracle):
    targets, start = np.array([0.3, np.nan, 0.1, 0.2]), np.array([1.0, 1.0, 1.0, 1.0])
    copies = targets.copy(), start.copy()
    solutions = solve_many(oracle, targets, start=start)
    assert solutions.weights.shape == (1, 4)
    assert solutions.weights[0, 1] == 0
    np.testing.assert_array_equal(targets, copies[0])
    np.testing.assert_array_equal(start, copies[1])


def test_inputs_with_different_numbers_of_rows_are_refused(oracle: MemoryOracle):
    with pytest.raises(ValueError, match="rows of a batch differ"):
        solve_many(oracle, np.zeros((3, 4)), start=np.zeros((2, 4)))


def test_the_step_limit_is_reported(oracle: MemoryOracle):
    solutions = solve_many(oracle, np.array([[0.5, 0.1, 0.4, 0.2]]), max_steps=1)
    assert solutions.status[0] is Status.STEP_LIMIT
    assert solutions.steps == 1
