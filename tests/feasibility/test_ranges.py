"""Ranges that follow a hand: a triangle by hand, the exact linear program beside it, warm starts, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.feasibility.ranges import MOST_PASSES, smoothed_ranges
from map_core.oracle import MemoryOracle
from tests.tables import make_table

#: What smoothing may leave out at an end, in standard deviations, on tables of 32 candidates.
GAP = 0.05


def three_replies() -> MemoryOracle:
    """One prompt whose replies are (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


def test_the_end_of_a_range_is_the_edge_of_the_triangle():
    # With humor at 0.6 or more, helpfulness goes from 0 to 0.4; humor itself is not held by its own target.
    oracle = three_replies()
    ranges = smoothed_ranges(oracle, oracle.standardise(np.array([np.nan, 0.6]))).ranges
    result = oracle.base[:, None] + ranges * oracle.scale[:, None]
    np.testing.assert_allclose(result, [[0.0, 0.4], [0.0, 1.0]], atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_they_are_the_exact_ranges_but_for_the_smoothing(seed: int):
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=seed))
    attainable = AttainableLevels(oracle)
    targets = np.array([0.3, np.nan, 0.2, 0.1])
    exact = attainable.ranges(targets)
    result = smoothed_ranges(oracle, targets).ranges
    np.testing.assert_allclose(result, exact, atol=GAP)
    # What is said to be in reach is, to the tolerance of the solve.
    assert np.all(result[:, 1] <= exact[:, 1] + 0.02)
    assert np.all(result[:, 0] >= exact[:, 0] - 0.02)


def test_a_warm_start_gives_the_same_and_takes_fewer_passes():
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=4))
    before = smoothed_ranges(oracle, np.array([0.3, np.nan, 0.2, np.nan]))
    targets = np.array([0.32, np.nan, 0.2, np.nan])
    cold, warm = smoothed_ranges(oracle, targets), smoothed_ranges(oracle, targets, before)
    np.testing.assert_allclose(warm.ranges, cold.ranges, atol=0.02)
    assert warm.passes < cold.passes


def test_where_nothing_meets_the_others_there_is_no_range():
    oracle = three_replies()
    result = smoothed_ranges(oracle, oracle.standardise(np.array([0.9, 0.9])))
    # Each alone is attainable, so each has a range beside the other; with a third in the way neither has.
    assert np.all(np.isfinite(result.ranges))
    far = smoothed_ranges(oracle, oracle.standardise(np.array([1.5, np.nan])))
    assert np.isfinite(far.ranges[0]).all()
    assert np.isnan(far.ranges[1]).all()
    assert not np.any(far.weights[2:])  # a diverging row starts nobody


def test_that_nothing_meets_the_others_is_proved_early():
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=5))
    beyond = smoothed_ranges(oracle, np.full(4, 1.7))
    assert np.isnan(beyond.ranges).all()
    assert beyond.passes < MOST_PASSES / 2


def test_a_constant_value_stays_where_it_is():
    rewards = np.array([[0.0, 2.0], [1.0, 2.0], [0.5, 2.0], [0.2, 2.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("humor", "length"), Form.PER_PROMPT)
    np.testing.assert_array_equal(smoothed_ranges(oracle, np.array([0.1, np.nan])).ranges[1], [0.0, 0.0])


def test_one_target_a_value():
    with pytest.raises(InputError, match=r"expected one per value, \(2,\)"):
        smoothed_ranges(three_replies(), np.array([0.1]))
