"""Prices and curves: derivatives are finite differences of the solver, switches lie where they are said to lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.dual import solve
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.sensitivity import ACTIVE, curve, local
from tests.tables import make_table

TARGETS = np.array([0.4, 0.2, np.nan, 0.3])


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32))


def test_derivatives_are_finite_differences(oracle: MemoryOracle):
    at = local(solve(oracle, TARGETS))
    h = 1e-5
    for j in np.flatnonzero(at.active):
        step = np.zeros(4)
        step[j] = h
        up, down = solve(oracle, TARGETS + step), solve(oracle, TARGETS - step)
        assert at.price[j] == pytest.approx((up.kl - down.kl) / (2 * h), abs=1e-7)
        np.testing.assert_allclose(at.weights[:, j], (up.weights - down.weights) / (2 * h), atol=1e-6)
        np.testing.assert_allclose(at.levels[:, j], (up.levels - down.levels) / (2 * h), atol=1e-6)


def test_prices_add_up_and_name_the_bottleneck(oracle: MemoryOracle):
    solution = solve(oracle, TARGETS)
    at = local(solution)
    assert at.elasticity.sum() == pytest.approx(1.0)
    assert at.bottleneck == int(np.argmax(solution.weights))
    assert local(solve(oracle, np.full(4, -1.0))).bottleneck is None


def test_a_curve_costs_more_the_more_is_asked(oracle: MemoryOracle):
    found = curve(oracle, TARGETS, 0, points=21)
    assert len(found.targets) == 21
    assert found.targets[0] == 0.0
    assert found.highest * 0.99 < found.targets[-1] < found.highest
    assert np.all(np.diff(found.kl) >= -1e-9)
    # The price is the slope of the cost: trapezoids under it give the cost back.
    gained = np.sum((found.weights[1:, 0] + found.weights[:-1, 0]) / 2 * np.diff(found.targets))
    assert gained == pytest.approx(found.kl[-1] - found.kl[0], rel=0.1)
    for level, weights in zip(found.targets, found.weights, strict=True):
        targets = TARGETS.copy()
        targets[0] = level
        np.testing.assert_allclose(weights, solve(oracle, targets).weights, atol=1e-6)


def test_switches_are_where_a_target_starts_or_stops_to_bind():
    # The first two values pull against each other and their targets lie at 0: pushing the first pulls the second down.
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=32, correlation=0.6))
    targets = np.array([np.nan, 0.2, np.nan, np.nan])
    found = curve(oracle, targets, 0, points=21)
    assert found.switches
    for switch in found.switches:
        for side in (-1e-3, 1e-3):
            targets[0] = switch.target + side
            binds = solve(oracle, targets).weights[switch.value] > ACTIVE
            assert binds == (switch.active if side > 0 else not switch.active)


def test_a_curve_beside_targets_out_of_reach_is_empty(oracle: MemoryOracle):
    found = curve(oracle, np.array([np.nan, 9.0, np.nan, np.nan]), 0)
    assert math.isnan(found.highest)
    assert found.targets.size == 0
    assert found.weights.shape == (0, 4)


@pytest.mark.parametrize(("value", "points"), [(7, 10), (0, 1)])
def test_bad_input(oracle: MemoryOracle, value: int, points: int):
    with pytest.raises(InputError, match="A curve needs"):
        curve(oracle, TARGETS, value, points=points)
