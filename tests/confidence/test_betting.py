"""Tests of betting on means: by hand, against likelihood ratios, and with an enumerated error rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from map_core.confidence.betting import MOST_STAKED, log_capital, numbers_needed, planned_bet


def test_capital_after_three_numbers_by_hand():
    # c = 0.5, b = 1: gains of 1 pay 1.5, of 0 half. 1.5 * 1.5 * 0.5 = 1.125.
    gaps = np.array([[0.5], [0.5], [-0.5]])
    assert np.exp(log_capital(gaps, np.array([[1.0]]))[:, 0]) == pytest.approx([1.5, 2.25, 1.125])
    # Half of the capital is not staked, so the result is the mean of both.
    assert np.exp(log_capital(gaps, np.array([[1.0], [0.0]]))[-1, 0]) == pytest.approx((1.125 + 1) / 2)


def test_capital_of_shares_is_a_likelihood_ratio():
    c, b, yes, n = 0.4, 0.9, 13, 20
    p = c * (1 + b * (1 - c))  # the share for which this bet is optimal
    gaps = np.array([1.0] * yes + [0.0] * (n - yes))[:, None] - c
    ratio = binom.logpmf(yes, n, p) - binom.logpmf(yes, n, c)
    assert log_capital(gaps, np.array([[b]]))[-1, 0] == pytest.approx(ratio)


@pytest.mark.parametrize("c", [0.3, 0.5, 0.8])
def test_false_statement_rate_of_a_mean_at_the_target(c: float):
    """Enumerate all sequences of 60 shares: the probability of ever reaching 1 / alpha is at most alpha."""
    n, alpha = 60, 0.05
    bet = float(planned_bet(np.array([math.sqrt(c * (1 - c))]), np.array([c]), n, alpha)[0])
    undecided, reached = {0: 1.0}, 0.0
    for step in range(1, n + 1):
        extended: dict[int, float] = {}
        for yes, mass in undecided.items():
            for share, probability in ((1, c), (0, 1 - c)):
                successes = yes + share
                log = successes * math.log1p(bet * (1 - c)) + (step - successes) * math.log1p(-bet * c)
                if log >= math.log(1 / alpha):
                    reached += mass * probability
                else:
                    extended[successes] = extended.get(successes, 0.0) + mass * probability
        undecided = extended
    assert 0.001 < reached <= alpha


@settings(max_examples=30)
@given(st.floats(0.01, 5.0), st.floats(0.01, 5.0), st.integers(1, 500))
def test_a_bet_never_loses_more_than_its_share(deviation: float, room: float, prompts: int):
    bet = planned_bet(np.array([deviation]), np.array([room]), prompts, 0.05)
    assert 0 < bet[0] * room <= MOST_STAKED + 1e-12


def test_number_of_samples_needed():
    # b = 0.2 / 0.25 = 0.8; growth 0.8 * 0.2 - 0.64 * 0.25 / 2 = 0.08; log 20 / 0.08 = 37.4.
    assert numbers_needed(np.array([0.2]), np.array([0.5]), np.array([1.0]), 0.05) == pytest.approx(math.log(20) / 0.08)
    assert numbers_needed(np.array([0.0]), np.array([0.5]), np.array([1.0]), 0.05) == math.inf
    # On average, this many numbers reach the threshold.
    rng = np.random.default_rng(0)
    gaps = 0.2 + 0.5 * rng.choice([-1.0, 1.0], size=(38, 4000))
    assert float(np.mean(log_capital(gaps, np.full((1, 4000), 0.8))[-1])) == pytest.approx(math.log(20), abs=0.35)
