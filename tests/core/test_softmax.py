"""Tests of the softmax over candidates: cases by hand, extreme scores, and scipy as reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.special import softmax as scipy_softmax

from map_core.core.softmax import softmax


def test_two_candidates_by_hand():
    # Two scores, log 3 apart: a quarter and three quarters; the KL is log 2 - H(1/4) nats, of at most log 2.
    distribution = softmax(np.array([0.0, np.log(3.0)]))
    assert distribution.probabilities == pytest.approx([0.25, 0.75])
    assert distribution.order.tolist() == [1, 0]
    assert distribution.effective_sample_size == pytest.approx(1 / (1 / 16 + 9 / 16))
    assert distribution.kl == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5))
    assert distribution.log_mean == pytest.approx(np.log(2.0))
    assert distribution.expectation(np.array([4.0, 8.0])) == pytest.approx(7.0)
    assert distribution.standard_error(np.array([4.0, 8.0])) == pytest.approx(np.hypot(0.25 * 3, 0.75 * 1))


def test_equal_scores_cost_nothing():
    even = softmax(np.zeros(2))
    assert (even.effective_sample_size, even.kl) == (pytest.approx(2.0), pytest.approx(0.0))
    assert even.order.tolist() == [0, 1]


def test_large_scores_do_not_overflow():
    assert softmax(np.array([0.0, 1e6])).probabilities.tolist() == [0.0, 1.0]
    far_below_zero = softmax(np.array([-1e6, -1e6 - 1.0]))
    assert far_below_zero.probabilities == pytest.approx(scipy_softmax([0.0, -1.0]))


@pytest.mark.parametrize("seed", range(20))
def test_random_scores_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=rng.uniform(0.1, 30.0), size=rng.integers(1, 40))
    distribution = softmax(scores)
    np.testing.assert_allclose(distribution.probabilities, scipy_softmax(scores), atol=1e-14)
    assert distribution.log_mean == pytest.approx(logsumexp(scores) - np.log(len(scores)))
    assert 1.0 - 1e-12 <= distribution.effective_sample_size <= len(scores) + 1e-9
    assert 0.0 <= distribution.kl <= np.log(len(scores))
