"""Prices and curves: derivatives are finite differences of the solver, switches lie exactly where they are said to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from map_core.analysis.sensitivity import ACTIVE, SensitivityCurve, local_sensitivity, sensitivity_curve
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Status, solve
from tests.odd_tables import Odd, odd_tables
from tests.tables import make_table

TARGETS = np.array([0.4, 0.2, np.nan, 0.3])


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32))


@pytest.fixture(scope="module", params=list(Form))
def pulled(request: pytest.FixtureRequest) -> MemoryOracle:
    """Return a table whose first two values rise together, so a target of one may come with the other."""
    return MemoryOracle.of(make_table(prompts=20, candidates=32, correlation=0.6), request.param)


def test_the_price_and_its_change_for_one_value_by_hand():
    # Replies 0 and 1: at the level q the weight is log(q / (1 - q)), which moves by 1 / (q (1 - q)).
    oracle = MemoryOracle(np.array([[0.0], [1.0]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)
    q, s = 0.8, float(oracle.scale[0])
    kl = math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)
    at = local_sensitivity(solve(oracle, oracle.standardise(np.array([q]))))
    assert at.price[0] / s == pytest.approx(math.log(q / (1 - q)))
    assert at.weights[0, 0] / s**2 == pytest.approx(1 / (q * (1 - q)))
    assert at.levels[0, 0] == pytest.approx(1.0)
    assert at.elasticity[0] == pytest.approx(at.price[0] / kl)
    assert at.share[0] == 1.0


def test_derivatives_are_finite_differences(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    at = local_sensitivity(solution)
    h = 1e-5
    for j in np.flatnonzero(at.active):
        step = np.zeros(4)
        step[j] = h
        up, down = solve(oracle, TARGETS + step), solve(oracle, TARGETS - step)
        assert at.price[j] == pytest.approx((up.kl - down.kl) / (2 * h), abs=1e-7)
        assert at.elasticity[j] == pytest.approx((math.log(up.kl) - math.log(down.kl)) / (2 * h), abs=1e-6)
        np.testing.assert_allclose(at.weights[:, j], (up.weights - down.weights) / (2 * h), atol=1e-6)
        np.testing.assert_allclose(at.levels[:, j], (up.levels - down.levels) / (2 * h), atol=1e-6)


def test_the_second_order_change_leaves_a_third_order_error(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    at = local_sensitivity(solution)
    direction = np.array([1.0, -0.5, 0.0, 0.7])
    errors = []
    for size in (0.08, 0.04, 0.02):
        moved = solve(oracle, TARGETS + size * direction)
        errors.append(abs(moved.kl - solution.kl - at.extra_nats(size * direction)))
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(8, rel=0.2)


def test_prices_add_up_and_name_the_bottleneck(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    at = local_sensitivity(solution)
    assert at.share.sum() == pytest.approx(1.0)
    assert at.elasticity == pytest.approx(solution.weights / solution.kl)
    assert at.bottleneck == int(np.argmax(solution.weights))
    free = local_sensitivity(solve(oracle, np.full(4, -1.0)))
    assert free.bottleneck is None
    assert not free.share.any()
    assert not free.elasticity.any()
    assert free.extra_nats(np.ones(4)) == 0.0


def test_redundant_values_share_what_moves():
    rewards = make_table(prompts=12, candidates=16).rewards
    oracle = MemoryOracle(
        np.column_stack([rewards, rewards[:, 0]]), np.arange(13) * 16, tuple("abcde"), Form.PER_PROMPT
    )
    targets = np.array([0.4, 0.2, np.nan, np.nan, 0.4])
    at = local_sensitivity(solve(oracle, targets))
    single = local_sensitivity(solve(oracle, np.array([0.4, 0.2, np.nan, np.nan, np.nan])))
    assert at.price[0] == pytest.approx(at.price[4])
    assert at.price[0] + at.price[4] == pytest.approx(single.price[0])
    np.testing.assert_allclose(at.weights[0, [0, 4]].sum() * 2, single.weights[0, 0], rtol=1e-6)
    curve = sensitivity_curve(oracle, np.array([np.nan, 0.2, np.nan, np.nan, 0.4]), 0, points=11)
    assert np.all(np.isfinite(curve.weights))
    # At the level of its twin both bind; beyond it the twin is slack.
    twin = [switch for switch in curve.switches if switch.value == 4]
    assert [switch.active for switch in twin] == [False]
    assert twin[0].target == pytest.approx(0.4, abs=1e-8)


def test_a_curve_costs_more_the_more_is_asked(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, TARGETS, 0, points=21)
    assert len(curve.targets) == 21
    assert curve.targets[0] == 0.0
    assert curve.highest * 0.99 < curve.targets[-1] < curve.highest
    assert np.all(np.diff(curve.kl) >= -1e-9)
    # The price is the slope of the cost: trapezoids under it give the cost back.
    gained = np.sum((curve.weights[1:, 0] + curve.weights[:-1, 0]) / 2 * np.diff(curve.targets))
    assert gained == pytest.approx(curve.kl[-1] - curve.kl[0], rel=0.1)
    for level, weights in zip(curve.targets, curve.weights, strict=True):
        targets = TARGETS.copy()
        targets[0] = level
        np.testing.assert_allclose(weights, solve(oracle, targets).weights, atol=1e-6)


def bisected(oracle: MemoryOracle, targets: np.ndarray, swept: int, place: float, value: int) -> float:
    """Find a switch by bisection on the solver's own slack and weight."""

    def side(level: float) -> bool:
        moved = targets.copy()
        moved[swept] = level
        solution = solve(oracle, moved, tolerance=1e-12)
        return bool(solution.weights[value] - (solution.levels[value] - moved[value]) > 0)

    low, high = place - 1e-3, place + 1e-3
    below, above = side(low), side(high)
    assert below != above
    while high - low > 1e-11:
        middle = (low + high) / 2
        low, high = (middle, high) if side(middle) == below else (low, middle)
    return (low + high) / 2


def test_switches_are_exact(pulled: MemoryOracle):
    """Each within 1e-8 of a bisection, on several palettes; and its value changes sides there as it says."""
    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(6):
        targets = rng.uniform(0.0, 0.35, 4)
        swept = int(rng.integers(4))
        for switch in sensitivity_curve(pulled, targets, swept, points=9).switches:
            seen += 1
            place = bisected(pulled, targets, swept, switch.target, switch.value)
            assert switch.target == pytest.approx(place, abs=1e-8)
            moved = targets.copy()
            moved[swept] = switch.target + 1e-4
            assert (solve(pulled, moved).weights[switch.value] > ACTIVE) == switch.active
    assert seen >= 6


def test_no_switch_is_missed(pulled: MemoryOracle):
    """A coarse curve and a fine one name the same places: none hides between two points."""
    rng = np.random.default_rng(1)
    for _ in range(6):
        targets, swept = rng.uniform(-0.1, 0.4, 4), int(rng.integers(4))
        coarse, fine = (sensitivity_curve(pulled, targets, swept, points=points) for points in (12, 160))
        at = [[(s.value, s.active, s.target) for s in curve.switches] for curve in (coarse, fine)]
        assert [entry[:2] for entry in at[0]] == [entry[:2] for entry in at[1]]
        np.testing.assert_allclose([e[2] for e in at[0]], [e[2] for e in at[1]], atol=1e-9)


def between_switches(curve: SensitivityCurve) -> np.ndarray:
    """Points of a curve whose neighbours are on the same side of every switch."""
    marks = np.array([switch.target for switch in curve.switches])
    zone = np.searchsorted(marks, curve.targets)
    return np.flatnonzero((zone[1:-1] == zone[:-2]) & (zone[1:-1] == zone[2:])) + 1


def test_a_curve_is_smooth_between_its_switches(oracle: MemoryOracle):
    """Second differences of the weights stay those of a smooth line away from the switches."""
    curve = sensitivity_curve(oracle, np.array([np.nan, 0.2, 0.3, np.nan]), 0, points=81)
    inner = between_switches(curve)
    inner = inner[inner < 60]
    bends = np.abs(curve.weights[inner + 1] - 2 * curve.weights[inner] + curve.weights[inner - 1]).max(axis=1)
    assert bends.max() < 0.05


def test_a_value_that_cannot_rise_is_swept_from_below():
    """A target of 1.2 on its opposite holds the value below its base level."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    oracle = MemoryOracle(
        np.column_stack([first, -first + 0.05 * rng.normal(size=400)]), np.arange(11) * 40, ("a", "b"), Form.PER_PROMPT
    )
    curve = sensitivity_curve(oracle, np.array([np.nan, 1.2]), 0, points=11)
    assert curve.highest < -0.9
    assert len(curve.targets) == 11
    assert np.all(np.diff(curve.targets) > 0)
    assert curve.targets[-1] < curve.highest


def test_a_constant_value_and_one_value():
    rewards = make_table(prompts=8, candidates=8).rewards[:, :2].copy()
    rewards[:, 1] = 4.0
    oracle = MemoryOracle(rewards, np.arange(9) * 8, ("a", "b"), Form.PER_PROMPT)
    curve = sensitivity_curve(oracle, np.array([0.2, np.nan]), 1, points=5)
    assert curve.highest == pytest.approx(0.0, abs=1e-9)
    assert np.all(np.isfinite(curve.weights))
    alone = MemoryOracle(rewards[:, :1], np.arange(9) * 8, ("a",), Form.PER_PROMPT)
    assert len(sensitivity_curve(alone, np.array([np.nan]), 0, points=5).targets) == 5


def test_a_curve_beside_targets_out_of_reach_is_empty(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, np.array([np.nan, 9.0, np.nan, np.nan]), 0)
    assert math.isnan(curve.highest)
    assert curve.targets.size == 0
    assert curve.weights.shape == (0, 4)


def test_the_highest_level_is_the_edge(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, TARGETS, 1, points=5, attainable=AttainableLevels(oracle))
    targets = TARGETS.copy()
    targets[1] = curve.highest + 1e-3
    assert solve(oracle, targets).status is Status.UNBOUNDED


@pytest.mark.parametrize(("value", "points"), [(7, 10), (0, 1)])
def test_curves_with_impossible_points_are_refused(oracle: MemoryOracle, value: int, points: int):
    with pytest.raises(InputError, match="A curve needs"):
        sensitivity_curve(oracle, TARGETS, value, points=points)


@settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(odd=odd_tables(), value=st.integers(0, 19))
def test_odd_tables_give_curves_and_prices_without_a_nan(odd: Odd, value: int):
    value %= len(odd.oracle.values)
    (targets,) = odd.targets(1)
    curve = sensitivity_curve(odd.oracle, targets, value, points=7)
    assert np.all(np.isfinite(curve.weights))
    # At the very edge weights of 1e9 leave the distance only half of its digits.
    assert np.all(np.diff(curve.kl) >= -1e-5)
    assert all(curve.targets[0] - 1e-6 <= switch.target <= curve.targets[-1] + 1e-6 for switch in curve.switches)
    solution = solve(odd.oracle, targets)
    if solution.status is Status.CONVERGED:
        at = local_sensitivity(solution)
        for array in (at.price, at.share, at.elasticity, at.weights, at.levels):
            assert np.all(np.isfinite(array))
