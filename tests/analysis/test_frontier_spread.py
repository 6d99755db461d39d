"""Tests of palettes spread over the frontier: directions by hand, optimality, floors, trust and invalid input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from map_core.analysis.frontier import frontier
from map_core.analysis.frontier_spread import spread_directions, spread_frontier
from map_core.errors import InputError
from map_core.feasibility.trust import trust
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table


@pytest.fixture(scope="module")
def oracle() -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32))


def test_directions_of_two_values_by_hand():
    # The axes first, then the middle of the widest gap each time: 45 degrees, then 22.5 and 67.5.
    palettes = spread_directions(2, 5)
    angles = np.sort(np.degrees(np.arctan2(palettes[:, 0], palettes[:, 1])))
    assert angles == pytest.approx([0, 22.5, 45, 67.5, 90], abs=0.1)
    assert palettes[:2].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_directions_have_unit_length_and_are_spread(size):
    palettes = spread_directions(size, size + 12)
    assert np.all(palettes >= 0)
    assert np.linalg.norm(palettes, axis=1) == pytest.approx(1.0)
    assert palettes[:size] == pytest.approx(np.eye(size))
    if size > 2:
        assert np.max((palettes @ palettes.T)[np.triu_indices(len(palettes), 1)]) < 0.99
    assert np.array_equal(palettes, spread_directions(size, size + 12))


def test_palettes_of_two_values_lie_on_their_frontier(oracle):
    palettes = spread_frontier(oracle, (0, 1), [0.5], lines=5)
    contour = frontier(oracle, (0, 1), [0.5], directions=5, limit=False).contours[0]
    order = np.argsort(palettes.levels[:, 0])
    assert palettes.levels[order] == pytest.approx(contour.levels, abs=2e-3)
    assert palettes.kl == pytest.approx(0.5)


def test_palettes_are_optimal_for_their_cost(oracle):
    palettes = spread_frontier(oracle, (0, 1, 3), [0.25, 1.0], lines=9)
    assert palettes.values == (0, 1, 3)
    assert palettes.budget.tolist() == [0.25] * 9 + [1.0] * 9
    for line in range(18):
        targets = np.full(4, np.nan)
        targets[[0, 1, 3]] = palettes.levels[line, [0, 1, 3]]
        # Meeting the same levels at the least cost takes the same KL.
        assert solve(oracle, targets).kl == pytest.approx(palettes.kl[line], abs=1e-6)


def test_floors_are_kept_and_unaffordable_budgets_are_left_out(oracle):
    floors = np.array([np.nan, np.nan, 0.6, np.nan])
    palettes = spread_frontier(oracle, (0, 1), [0.01, 1.0], lines=4, floors=floors)
    assert palettes.budget.tolist() == [1.0] * 4
    assert np.all(palettes.levels[:, 2] >= 0.6 - 1e-6)


def test_palettes_are_trusted_by_effective_sample_size():
    small = MemoryOracle.of(make_table(prompts=12, candidates=16))
    palettes = spread_frontier(small, (0, 1), [0.1, 2.4], lines=3)
    expected = [trust(small, small.effective_sample_size(x)) >= 0 for x in palettes.weights]
    assert palettes.trusted.tolist() == expected == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    ("values", "budgets", "lines", "message"),
    [
        ((0,), [1.0], 4, "2 or more different positions"),
        ((0, 0), [1.0], 4, "2 or more different positions"),
        ((0, 9), [1.0], 4, "2 or more different positions"),
        ((0, 1, 2), [1.0], 2, "one per value"),
        ((0, 1), [], 4, "nats above 0"),
        ((0, 1), [-1.0], 4, "nats above 0"),
        ((0, 1), [math.inf], 4, "nats above 0"),
    ],
)
def test_invalid_arguments_are_refused(oracle, values, budgets, lines, message):
    with pytest.raises(InputError, match=message):
        spread_frontier(oracle, values, budgets, lines=lines)
