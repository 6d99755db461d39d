"""Tests of budgets along directions: each point spends its budget, whatever the table, the budget or the floors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from map_core.solver.rays import solve_rays
from tests.tables import make_table


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=15, candidates=16), request.param)


def kl_at(oracle: MemoryOracle, x: np.ndarray) -> float:
    moments = oracle.moments(x)
    return float(x @ moments.levels - moments.log_normaliser)


def test_two_replies_by_hand():
    # Replies 0 and 1: P(1) = q costs log 2 + q log q + (1 - q) log(1 - q), at a weight of log q / (1 - q).
    oracle = MemoryOracle(np.array([[0.0], [1.0]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)
    q = np.array([0.6, 0.8, 0.99])
    budgets = math.log(2) + q * np.log(q) + (1 - q) * np.log(1 - q)
    points = solve_rays(oracle, np.array([[3.0]]), budgets)
    assert oracle.rewards_at(points.levels)[0, :, 0] == pytest.approx(q, abs=1e-9)
    assert (points.weights / oracle.scale)[0, :, 0] == pytest.approx(np.log(q / (1 - q)), rel=1e-8)
    assert not points.saturated.any()


def test_roots_are_those_of_a_scalar_search(oracle: MemoryOracle):
    rng = np.random.default_rng(0)
    directions, budgets = rng.dirichlet(np.ones(4), 12), np.array([1e-6, 0.01, 0.3, 1.0, 1.8])
    points = solve_rays(oracle, directions, budgets)
    assert points.kl == pytest.approx(np.broadcast_to(budgets, points.kl.shape), rel=1e-9)
    assert points.passes <= 12
    for w, ray_weights in zip(directions, points.weights, strict=True):
        for b, x in zip(budgets[2:], ray_weights[2:], strict=True):
            t = brentq(lambda t, w=w, b=b: kl_at(oracle, t * w) - b, 1e-9, 1e4, xtol=1e-13)
            np.testing.assert_allclose(x, t * w, rtol=1e-7)


def test_a_ray_does_not_depend_on_the_others(oracle: MemoryOracle):
    directions = np.eye(4) + 0.2
    together = solve_rays(oracle, directions, np.array([0.4, 1.2]))
    for row, w in enumerate(directions):
        for column, b in enumerate((0.4, 1.2)):
            single = solve_rays(oracle, 7 * w, b)
            np.testing.assert_allclose(single.weights[0, 0], together.weights[row, column], rtol=1e-8)


def test_each_ray_may_have_its_own_budget(oracle: MemoryOracle):
    points = solve_rays(oracle, np.eye(4), np.array([[0.1], [0.2], [0.3], [0.0]]))
    assert points.kl[:, 0] == pytest.approx([0.1, 0.2, 0.3, 0.0], abs=1e-10)
    assert not points.weights[3].any()


@pytest.mark.parametrize("beyond", [0.0, 1e-9, 5.0])
def test_at_and_beyond_the_largest_possible_budget(oracle: MemoryOracle, beyond: float):
    directions = np.array([[0.5, 0.2, 0.2, 0.1], [0.0, 0.0, 1.0, 0.0]])
    points = solve_rays(oracle, directions, oracle.log_candidates + beyond)
    assert points.saturated[:, 0].all()
    for w, levels in zip(directions, points.levels[:, 0], strict=True):
        np.testing.assert_allclose(levels, oracle.best(w), atol=1e-6)


def test_just_below_the_largest_possible_budget(oracle: MemoryOracle):
    budgets = oracle.log_candidates - np.array([1e-2, 1e-5, 1e-8])
    points = solve_rays(oracle, np.eye(4) + 0.1, budgets)
    assert np.abs(points.kl - budgets).max() < 1e-8
    assert not points.saturated.any()


def test_values_that_never_vary_get_no_weight():
    rewards = make_table(prompts=6, candidates=8).rewards.copy()
    rewards[:, 1] = 3.0  # constant
    rewards[:, 2] = np.repeat(np.arange(6.0), 8)  # the same for all replies to a prompt
    oracle = MemoryOracle(rewards, np.arange(7) * 8, tuple("abcd"), Form.PER_PROMPT)
    points = solve_rays(oracle, np.array([[1e-6, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]), 0.5)
    np.testing.assert_allclose(points.levels[0], points.levels[2], atol=1e-9)
    assert points.kl[0, 0] == pytest.approx(0.5)
    assert points.saturated[1, 0]
    assert not points.weights[1].any()


def test_floors_are_met_and_the_point_is_optimal(oracle: MemoryOracle):
    floors = np.array([np.nan, np.nan, 0.3, 0.2])
    directions = np.column_stack([np.linspace(0.05, 1, 6), np.linspace(1, 0.05, 6), np.zeros((6, 2))])
    budgets = np.array([0.4, 0.9, 1.5])
    points = solve_rays(oracle, directions, budgets, floors=floors)
    np.testing.assert_allclose(points.kl, np.broadcast_to(budgets, (6, 3)), rtol=1e-9)
    assert np.all(points.levels[..., 2:] >= floors[2:] - 1e-9)
    # Complementary slackness: weight on a floor only where it binds; elsewhere proportional to the direction.
    slack = points.levels[..., 2:] - floors[2:]
    assert np.abs(points.weights[..., 2:] * slack).max() < 1e-8
    ratio = points.weights[..., 0] / points.weights[..., 1]
    np.testing.assert_allclose(ratio, np.broadcast_to((directions[:, 0] / directions[:, 1])[:, None], (6, 3)))
    np.testing.assert_allclose(
        oracle.batch_moments(points.weights.reshape(-1, 4)).levels, points.levels.reshape(-1, 4), atol=1e-9
    )


def test_a_budget_equal_to_the_cost_of_the_floors_gives_their_solution(oracle: MemoryOracle):
    floors = np.array([np.nan, np.nan, 0.4, np.nan])
    floor_solution = solve(oracle, floors)
    points = solve_rays(oracle, np.array([[1.0, 1.0, 0.0, 0.0]]), floor_solution.kl, floors=floors)
    np.testing.assert_allclose(points.weights[0, 0], floor_solution.weights, atol=1e-6)


def test_floors_that_cost_too_much_or_cannot_be_met_are_reported(oracle: MemoryOracle):
    nan = math.nan
    floors = np.array([[nan, 0.5, nan, nan], [nan, 50.0, nan, nan], [nan, nan, nan, nan]])
    points = solve_rays(oracle, np.eye(4)[[0, 0, 0]], np.array([1e-3, 1.0]), floors=floors)
    assert points.affordable.tolist() == [[False, True], [False, False], [True, True]]
    for array in (points.weights, points.levels, points.kl):
        assert np.all(np.isfinite(array))
    single = solve_rays(oracle, np.eye(4)[[0]], 1.0, floors=floors[0])
    np.testing.assert_allclose(points.weights[0, 1], single.weights[0, 0], rtol=1e-8)


@pytest.mark.parametrize(
    ("directions", "budget", "floors", "message"),
    [
        ([[0.0, 0, 0, 0]], 1.0, None, "Directions"),
        ([[-1.0, 2, 0, 0]], 1.0, None, "Directions"),
        ([[math.nan, 2, 0, 0]], 1.0, None, "Directions"),
        ([[1.0, 0, 0, 0]], -1.0, None, "budgets"),
        ([[1.0, 0, 0, 0]], math.inf, None, "budgets"),
        ([[1.0, 0, 0, 0]], 1.0, [0.1, math.nan, math.nan, math.nan], "has a floor"),
    ],
)
def test_directions_and_budgets_out_of_range_are_refused(
    oracle: MemoryOracle, directions: list, budget: float, floors: list | None, message: str
):
    with pytest.raises(InputError, match=message):
        solve_rays(oracle, np.array(directions), budget, floors=None if floors is None else np.array(floors))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10_000),
    prompts=st.integers(1, 4),
    candidates=st.integers(2, 9),
    values=st.integers(1, 5),
    kind=st.sampled_from(["normal", "integers", "tied", "scales"]),
    budget=st.floats(1e-9, 3.0),
    form=st.sampled_from(list(Form)),
)
def test_odd_tables_never_give_nan_nor_overspend(seed, prompts, candidates, values, kind, budget, form):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(prompts * candidates, values))
    if kind == "integers":
        rewards = np.round(rewards)
    elif kind == "tied":
        rewards = np.repeat(rewards[:, :1], values, axis=1) > 0
    elif kind == "scales":
        rewards = rewards * 10.0 ** rng.uniform(-9, 9, values)
    oracle = MemoryOracle(rewards.astype(float), np.arange(prompts + 1) * candidates, tuple("abcde"[:values]), form)
    directions = np.maximum(rng.dirichlet(np.ones(values), 4), 1e-6)
    points = solve_rays(oracle, directions, np.array([budget, 2 * budget]))
    for array in (points.weights, points.levels, points.kl):
        assert np.all(np.isfinite(array))
    budgets = np.array([budget, 2 * budget])
    assert np.all(points.kl <= budgets * (1 + 1e-6) + 1e-7)
    assert np.all((np.abs(points.kl - budgets) <= 1e-6 * budgets + 1e-7) | points.saturated)
