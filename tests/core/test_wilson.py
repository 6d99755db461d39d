"""Tests of Wilson's interval: scipy as reference, its ends, and ties."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from map_core.core.wilson import wilson_interval


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 12), (9, 15), (46, 50), (31, 40), (7, 100_000)])
def test_whole_counts_agree_with_scipy(successes, trials, level):
    expected = binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert wilson_interval(successes, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_tie_counts_half():
    low, high = wilson_interval(1.5, 3)
    assert low + high == pytest.approx(1.0)
    assert wilson_interval(1, 3)[0] < low < wilson_interval(2, 3)[0]


def test_intervals_of_shares_of_0_and_1_stay_within_0_and_1():
    assert wilson_interval(0, 7)[0] == 0.0
    assert 1.0 - 1e-12 < wilson_interval(7, 7)[1] <= 1.0


def test_no_trials_have_no_interval():
    assert all(map(math.isnan, wilson_interval(0, 0)))
