"""Tests of fast, smoothed ranges: a triangle by hand, the exact linear program, warm starts and invalid input."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.feasibility.ranges import MOST_PASSES, smoothed_ranges
from map_core.oracle import MemoryOracle
from tests.tables import make_table

#: Largest error of smoothing at either end, in standard deviations, on tables of 32 candidates.
GAP = 0.05


def three_replies() -> MemoryOracle:
    """Return one prompt with replies (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


def test_the_end_of_a_range_is_the_edge_of_the_triangle():
    # With humor at 0.6 or more, helpfulness goes from 0 to 0.4; the range of humor ignores its own target.
    oracle = three_replies()
    ranges = smoothed_ranges(oracle, oracle.standardise(np.array([np.nan, 0.6]))).ranges
    levels = oracle.base[:, None] + ranges * oracle.scale[:, None]
    np.testing.assert_allclose(levels, [[0.0, 0.4], [0.0, 1.0]], atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_smoothed_ranges_are_close_to_the_exact_ranges(seed: int):
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=seed))
    attainable = AttainableLevels(oracle)
    targets = np.array([0.3, np.nan, 0.2, 0.1])
    exact = attainable.ranges(targets)
    result = smoothed_ranges(oracle, targets).ranges
    np.testing.assert_allclose(result, exact, atol=GAP)
    # The smoothed range lies within the exact one, up to the solver's tolerance.
    assert np.all(result[:, 1] <= exact[:, 1] + 0.02)
    assert np.all(result[:, 0] >= exact[:, 0] - 0.02)


def test_warm_start_gives_the_same_ranges_in_fewer_passes():
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=4))
    before = smoothed_ranges(oracle, np.array([0.3, np.nan, 0.2, np.nan]))
    targets = np.array([0.32, np.nan, 0.2, np.nan])
    cold, warm = smoothed_ranges(oracle, targets), smoothed_ranges(oracle, targets, before)
    np.testing.assert_allclose(warm.ranges, cold.ranges, atol=0.02)
    assert warm.passes < cold.passes


def test_targets_out_of_reach_leave_no_range():
    oracle = three_replies()
    result = smoothed_ranges(oracle, oracle.standardise(np.array([0.9, 0.9])))
    # Each target alone is attainable, so each value has a range; a target out of reach leaves the other none.
    assert np.all(np.isfinite(result.ranges))
    out_of_reach = smoothed_ranges(oracle, oracle.standardise(np.array([1.5, np.nan])))
    assert np.isfinite(out_of_reach.ranges[0]).all()
    assert np.isnan(out_of_reach.ranges[1]).all()
    assert not np.any(out_of_reach.weights[2:])  # a diverging row is no warm start


def test_infeasible_targets_are_detected_early():
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=5))
    result = smoothed_ranges(oracle, np.full(4, 1.7))
    assert np.isnan(result.ranges).all()
    assert result.passes < MOST_PASSES / 2


def test_range_of_a_constant_value_is_its_base_level():
    rewards = np.array([[0.0, 2.0], [1.0, 2.0], [0.5, 2.0], [0.2, 2.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("humor", "length"), Form.PER_PROMPT)
    np.testing.assert_array_equal(smoothed_ranges(oracle, np.array([0.1, np.nan])).ranges[1], [0.0, 0.0])


def test_wrong_number_of_targets_is_refused():
    with pytest.raises(InputError, match=r"expected one per value, \(2,\)"):
        smoothed_ranges(three_replies(), np.array([0.1]))
