"""Tests of prices and sensitivity curves: derivatives match finite differences, switches match a bisection."""

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
from tests.odd_tables import OddTable, odd_tables
from tests.tables import make_table

TARGETS = np.array([0.4, 0.2, np.nan, 0.3])


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32))


@pytest.fixture(scope="module", params=list(Form))
def correlated_oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    """Return a table of correlated values, so that a target of one may be met by raising another."""
    return MemoryOracle.of(make_table(prompts=20, candidates=32, correlation=0.6), request.param)


def test_the_price_and_its_change_for_one_value_by_hand():
    # Replies 0 and 1: at the level q the weight is log(q / (1 - q)), which moves by 1 / (q (1 - q)).
    oracle = MemoryOracle(np.array([[0.0], [1.0]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)
    q, s = 0.8, float(oracle.scale[0])
    kl = math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)
    sensitivity = local_sensitivity(solve(oracle, oracle.standardise(np.array([q]))))
    assert sensitivity.price[0] / s == pytest.approx(math.log(q / (1 - q)))
    assert sensitivity.weights[0, 0] / s**2 == pytest.approx(1 / (q * (1 - q)))
    assert sensitivity.levels[0, 0] == pytest.approx(1.0)
    assert sensitivity.elasticity[0] == pytest.approx(sensitivity.price[0] / kl)
    assert sensitivity.share[0] == 1.0


def test_derivatives_are_finite_differences(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    sensitivity = local_sensitivity(solution)
    h = 1e-5
    for j in np.flatnonzero(sensitivity.active):
        step = np.zeros(4)
        step[j] = h
        up, down = solve(oracle, TARGETS + step), solve(oracle, TARGETS - step)
        assert sensitivity.price[j] == pytest.approx((up.kl - down.kl) / (2 * h), abs=1e-7)
        assert sensitivity.elasticity[j] == pytest.approx((math.log(up.kl) - math.log(down.kl)) / (2 * h), abs=1e-6)
        np.testing.assert_allclose(sensitivity.weights[:, j], (up.weights - down.weights) / (2 * h), atol=1e-6)
        np.testing.assert_allclose(sensitivity.levels[:, j], (up.levels - down.levels) / (2 * h), atol=1e-6)


def test_the_second_order_change_leaves_a_third_order_error(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    sensitivity = local_sensitivity(solution)
    direction = np.array([1.0, -0.5, 0.0, 0.7])
    errors = []
    for size in (0.08, 0.04, 0.02):
        shifted = solve(oracle, TARGETS + size * direction)
        errors.append(abs(shifted.kl - solution.kl - sensitivity.extra_nats(size * direction)))
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(8, rel=0.2)


def test_prices_add_up_and_name_the_bottleneck(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    sensitivity = local_sensitivity(solution)
    assert sensitivity.share.sum() == pytest.approx(1.0)
    assert sensitivity.elasticity == pytest.approx(solution.weights / solution.kl)
    assert sensitivity.bottleneck == int(np.argmax(solution.weights))
    without_cost = local_sensitivity(solve(oracle, np.full(4, -1.0)))
    assert without_cost.bottleneck is None
    assert not without_cost.share.any()
    assert not without_cost.elasticity.any()
    assert without_cost.extra_nats(np.ones(4)) == 0.0


def test_redundant_values_share_the_price_and_the_weights():
    rewards = make_table(prompts=12, candidates=16).rewards
    oracle = MemoryOracle(
        np.column_stack([rewards, rewards[:, 0]]), np.arange(13) * 16, tuple("abcde"), Form.PER_PROMPT
    )
    targets = np.array([0.4, 0.2, np.nan, np.nan, 0.4])
    sensitivity = local_sensitivity(solve(oracle, targets))
    single = local_sensitivity(solve(oracle, np.array([0.4, 0.2, np.nan, np.nan, np.nan])))
    assert sensitivity.price[0] == pytest.approx(sensitivity.price[4])
    assert sensitivity.price[0] + sensitivity.price[4] == pytest.approx(single.price[0])
    np.testing.assert_allclose(sensitivity.weights[0, [0, 4]].sum() * 2, single.weights[0, 0], rtol=1e-6)
    curve = sensitivity_curve(oracle, np.array([np.nan, 0.2, np.nan, np.nan, 0.4]), 0, points=11)
    assert np.all(np.isfinite(curve.weights))
    # At the level of its twin both targets bind; beyond it the twin is slack.
    twin_switches = [switch for switch in curve.switches if switch.value == 4]
    assert [switch.active for switch in twin_switches] == [False]
    assert twin_switches[0].target == pytest.approx(0.4, abs=1e-8)


def test_cost_of_a_curve_rises_with_the_target(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, TARGETS, 0, points=21)
    assert len(curve.targets) == 21
    assert curve.targets[0] == 0.0
    assert curve.highest * 0.99 < curve.targets[-1] < curve.highest
    assert np.all(np.diff(curve.kl) >= -1e-9)
    # The price is the slope of the cost: its integral by the trapezoidal rule is the cost.
    integral = np.sum((curve.weights[1:, 0] + curve.weights[:-1, 0]) / 2 * np.diff(curve.targets))
    assert integral == pytest.approx(curve.kl[-1] - curve.kl[0], rel=0.1)
    for level, weights in zip(curve.targets, curve.weights, strict=True):
        targets = TARGETS.copy()
        targets[0] = level
        np.testing.assert_allclose(weights, solve(oracle, targets).weights, atol=1e-6)


def bisect_switch(oracle: MemoryOracle, targets: np.ndarray, swept: int, approximate: float, value: int) -> float:
    """Locate a switch by bisection on the weight minus the slack of the solver's solution."""

    def is_active(level: float) -> bool:
        shifted = targets.copy()
        shifted[swept] = level
        solution = solve(oracle, shifted, tolerance=1e-12)
        return bool(solution.weights[value] - (solution.levels[value] - shifted[value]) > 0)

    low, high = approximate - 1e-3, approximate + 1e-3
    below, above = is_active(low), is_active(high)
    assert below != above
    while high - low > 1e-11:
        middle = (low + high) / 2
        low, high = (middle, high) if is_active(middle) == below else (low, middle)
    return (low + high) / 2


def test_switches_are_exact(correlated_oracle: MemoryOracle):
    """Each switch agrees with a bisection within 1e-8, and its value becomes active or inactive there as reported."""
    rng = np.random.default_rng(4)
    switch_count = 0
    for _ in range(6):
        targets = rng.uniform(0.0, 0.35, 4)
        swept = int(rng.integers(4))
        for switch in sensitivity_curve(correlated_oracle, targets, swept, points=9).switches:
            switch_count += 1
            expected = bisect_switch(correlated_oracle, targets, swept, switch.target, switch.value)
            assert switch.target == pytest.approx(expected, abs=1e-8)
            shifted = targets.copy()
            shifted[swept] = switch.target + 1e-4
            assert (solve(correlated_oracle, shifted).weights[switch.value] > ACTIVE) == switch.active
    assert switch_count >= 6


def test_no_switch_is_missed(correlated_oracle: MemoryOracle):
    """A coarse and a fine curve list the same switches, so none is missed between two points."""
    rng = np.random.default_rng(1)
    for _ in range(6):
        targets, swept = rng.uniform(-0.1, 0.4, 4), int(rng.integers(4))
        coarse, fine = (sensitivity_curve(correlated_oracle, targets, swept, points=points) for points in (12, 160))
        switches = [[(s.value, s.active, s.target) for s in curve.switches] for curve in (coarse, fine)]
        assert [entry[:2] for entry in switches[0]] == [entry[:2] for entry in switches[1]]
        np.testing.assert_allclose([e[2] for e in switches[0]], [e[2] for e in switches[1]], atol=1e-9)


def between_switches(curve: SensitivityCurve) -> np.ndarray:
    """Return the positions of points whose neighbours lie on the same side of every switch."""
    switch_targets = np.array([switch.target for switch in curve.switches])
    section = np.searchsorted(switch_targets, curve.targets)
    return np.flatnonzero((section[1:-1] == section[:-2]) & (section[1:-1] == section[2:])) + 1


def test_a_curve_is_smooth_between_its_switches(oracle: MemoryOracle):
    """Second differences of the weights stay small away from the switches."""
    curve = sensitivity_curve(oracle, np.array([np.nan, 0.2, 0.3, np.nan]), 0, points=81)
    interior = between_switches(curve)
    interior = interior[interior < 60]
    second_differences = np.abs(
        curve.weights[interior + 1] - 2 * curve.weights[interior] + curve.weights[interior - 1]
    ).max(axis=1)
    assert second_differences.max() < 0.05


def test_curve_of_a_value_held_below_base_starts_lower():
    """A target of 1.2 on the opposite value holds this one below its base level."""
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


def test_curves_of_a_constant_value_and_of_a_single_value():
    rewards = make_table(prompts=8, candidates=8).rewards[:, :2].copy()
    rewards[:, 1] = 4.0
    oracle = MemoryOracle(rewards, np.arange(9) * 8, ("a", "b"), Form.PER_PROMPT)
    curve = sensitivity_curve(oracle, np.array([0.2, np.nan]), 1, points=5)
    assert curve.highest == pytest.approx(0.0, abs=1e-9)
    assert np.all(np.isfinite(curve.weights))
    single_value = MemoryOracle(rewards[:, :1], np.arange(9) * 8, ("a",), Form.PER_PROMPT)
    assert len(sensitivity_curve(single_value, np.array([np.nan]), 0, points=5).targets) == 5


def test_a_curve_beside_targets_out_of_reach_is_empty(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, np.array([np.nan, 9.0, np.nan, np.nan]), 0)
    assert math.isnan(curve.highest)
    assert curve.targets.size == 0
    assert curve.weights.shape == (0, 4)


def test_highest_level_is_the_limit_of_what_is_reachable(oracle: MemoryOracle):
    curve = sensitivity_curve(oracle, TARGETS, 1, points=5, attainable=AttainableLevels(oracle))
    targets = TARGETS.copy()
    targets[1] = curve.highest + 1e-3
    assert solve(oracle, targets).status is Status.UNBOUNDED


@pytest.mark.parametrize(("value", "points"), [(7, 10), (0, 1)])
def test_invalid_values_and_point_counts_are_refused(oracle: MemoryOracle, value: int, points: int):
    with pytest.raises(InputError, match="A curve needs"):
        sensitivity_curve(oracle, TARGETS, value, points=points)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(odd=odd_tables(), value=st.integers(0, 19))
def test_odd_tables_give_curves_and_prices_without_a_nan(odd: OddTable, value: int):
    value %= len(odd.oracle.values)
    (targets,) = odd.targets(1)
    curve = sensitivity_curve(odd.oracle, targets, value, points=7)
    assert np.all(np.isfinite(curve.weights))
    # At the limit of the reachable levels weights of 1e9 leave the KL only half of its digits.
    assert np.all(np.diff(curve.kl) >= -1e-5)
    assert all(curve.targets[0] - 1e-6 <= switch.target <= curve.targets[-1] + 1e-6 for switch in curve.switches)
    solution = solve(odd.oracle, targets)
    if solution.status is Status.CONVERGED:
        sensitivity = local_sensitivity(solution)
        for array in (
            sensitivity.price,
            sensitivity.share,
            sensitivity.elasticity,
            sensitivity.weights,
            sensitivity.levels,
        ):
            assert np.all(np.isfinite(array))
