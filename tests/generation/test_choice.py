"""Tests of choosing one of K candidates: by hand, general properties, frequencies and bad input."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import stats

from map_core.errors import InputError
from map_core.generation.choice import base_pick, choose, race


def test_two_candidates_by_hand() -> None:
    # One value, rewards 0 and log 3, weight 1: exp gives 1 and 3, so p = (1/4, 3/4).
    choice = choose([[0.0], [math.log(3.0)]], [1.0], seed=0)
    assert choice.probabilities == pytest.approx((0.25, 0.75), abs=1e-15)
    assert choice.log_z == pytest.approx(math.log((1 + 3) / 2), abs=1e-15)
    assert choice.ess == pytest.approx(1 / (1 / 16 + 9 / 16), abs=1e-14)
    assert choice.kl == pytest.approx(math.log(2) + 0.25 * math.log(0.25) + 0.75 * math.log(0.75), abs=1e-15)


def test_two_values_add_up_in_the_exponent() -> None:
    rewards, weights = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]), np.array([0.7, 0.2])
    exponent = rewards @ weights
    expected = np.exp(exponent) / np.exp(exponent).sum()
    assert choose(rewards, weights, seed=3).probabilities == pytest.approx(tuple(expected), abs=1e-15)


def test_one_candidate_is_certain_and_free() -> None:
    choice = choose([[4.0, -2.0]], [0.5, 9.0], seed=1)
    assert (choice.probabilities, choice.picked, choice.base, choice.ess, choice.kl) == ((1.0,), 0, 0, 1.0, 0.0)
    assert choice.log_z == pytest.approx(0.5 * 4 - 9 * 2)


@pytest.mark.parametrize("weights", [[0.0, 0.0], []])
def test_zero_weights_give_the_base_model(weights: list[float]) -> None:
    choice = choose(np.arange(8.0 * len(weights)).reshape(8, len(weights)), weights, seed=5)
    assert choice.probabilities == (0.125,) * 8
    assert (choice.ess, choice.kl, choice.log_z) == (8.0, 0.0, 0.0)


def test_ties_share_the_probability_equally() -> None:
    choice = choose([[2.0], [2.0], [-50.0]], [30.0], seed=2)
    assert choice.probabilities[0] == choice.probabilities[1] == pytest.approx(0.5)
    assert choice.ess == pytest.approx(2.0)
    assert choice.kl == pytest.approx(math.log(3 / 2))


def test_rewards_of_a_million_are_as_exact_as_rewards_of_one() -> None:
    rewards = np.array([[0.0, 0.25], [1.0, 0.5], [0.5, -0.75]])
    small = choose(rewards, [1.5, 0.5], seed=9)
    shifted = choose(rewards + np.array([1e6, -1e6]), [1.5, 0.5], seed=9)
    assert shifted.probabilities == small.probabilities
    assert (shifted.picked, shifted.ess, shifted.kl) == (small.picked, small.ess, small.kl)
    assert shifted.log_z == pytest.approx(small.log_z + 1.5e6 - 0.5e6)
    wide = choose([[1e6], [-1e6]], [1.0], seed=0)
    assert wide.probabilities == (1.0, 0.0)
    assert (wide.picked, wide.ess, wide.kl) == (0, 1.0, pytest.approx(math.log(2)))


def test_negative_weight_reverses_the_order() -> None:
    forwards, backwards = choose([[1e6], [1e6 + 1]], [1.0], seed=0), choose([[1e6], [1e6 + 1]], [-1.0], seed=0)
    assert forwards.probabilities == pytest.approx(backwards.probabilities[::-1], abs=1e-15)


def test_laws_on_random_tables() -> None:
    rng = np.random.default_rng(4)
    for seed in range(50):
        k, m = int(rng.integers(1, 40)), int(rng.integers(1, 6))
        rewards, weights = rng.normal(size=(k, m)) * 5, rng.exponential(size=m)
        choice = choose(rewards, weights, seed)
        p = np.array(choice.probabilities)
        assert math.isclose(p.sum(), 1.0, rel_tol=1e-12)
        assert 1.0 <= choice.ess <= k + 1e-9
        assert 0.0 <= choice.kl <= math.log(k)
        # KL = lambda . mu - log Z, with mu the level that the probabilities give (method.md, "The problem").
        assert choice.kl == pytest.approx(float(weights @ (p @ rewards)) - choice.log_z, abs=1e-9)
        order = rng.permutation(k)
        assert np.array(choose(rewards[order], weights, seed).probabilities) == pytest.approx(p[order], abs=1e-14)
        shifted = choose(rewards + rng.normal(size=m), weights, seed)
        assert shifted.probabilities == pytest.approx(choice.probabilities, abs=1e-12)


def test_picks_follow_the_exact_softmax() -> None:
    rewards, weights = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [2.0, -1.0], [-1.0, 0.3]]), np.array([0.8, 1.1])
    exact = np.array(choose(rewards, weights, seed=0).probabilities)
    draws = [choose(rewards, weights, seed) for seed in range(4000)]
    aligned = np.bincount([d.picked for d in draws], minlength=5)
    base = np.bincount([d.base for d in draws], minlength=5)
    assert stats.chisquare(aligned, exact * len(draws)).pvalue > 0.01
    assert stats.chisquare(base).pvalue > 0.01
    # The base pick and the aligned pick are independent.
    pairs = np.zeros((5, 5))
    for d in draws:
        pairs[d.picked, d.base] += 1
    assert stats.chi2_contingency(pairs).pvalue > 0.01


def test_a_candidate_of_probability_zero_is_never_picked() -> None:
    rewards = [[-1e6], [0.0], [0.0], [-1e6]]
    assert {choose(rewards, [1.0], seed).picked for seed in range(200)} == {1, 2}


def test_base_pick_depends_on_the_seed_alone() -> None:
    for seed in range(20):
        choice = choose(np.random.default_rng(seed).normal(size=(16, 2)), [3.0, 1.0], seed)
        assert choice.base == base_pick(16, seed)
    assert choose([[0.0], [0.1]], [1.0], 7) == choose([[0.0], [0.1]], [1.0], 7)
    assert len({base_pick(64, seed) for seed in range(40)}) > 20


def test_a_choice_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        choose([[0.0]], [1.0], 0).picked = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rewards", "weights", "message"),
    [
        ([[-math.inf], [0.0]], [1.0], r"reward at \(0, 0\) is -inf"),
        ([[math.nan], [math.nan]], [1.0], "no candidate"),
        ([[0.0], [math.inf]], [1.0], r"reward at \(1, 0\) is inf"),
        ([[0.0], [1.0]], [math.nan], r"weight at \(0,\) is nan"),
        ([[0.0], [1.0]], [1.0, 2.0], "one weight per value"),
        ([0.0, 1.0], [1.0], "expected"),
        (np.zeros((0, 1)), [1.0], "no candidate"),
        ([[1e200], [-1e200]], [1e200], "smaller weights"),
    ],
)
def test_error_messages_quote_the_bad_input(rewards: object, weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(rewards, weights, 0)  # type: ignore[arg-type]


def test_bad_seed_and_no_candidates() -> None:
    with pytest.raises(InputError, match="seed is -1"):
        base_pick(4, -1)
    with pytest.raises(InputError, match="candidates is 0"):
        base_pick(0, 1)


def test_a_race_caps_scores_at_the_headroom():
    # The mean is 1 with a standard error of sqrt(7 / 3), so the headroom caps the second candidate's weight exp(4) at
    # exp(3). It arrives at 1.1, and log 1.1 - 3 is below log 1.2 - 3 at the end of the row.
    scores, waiting_times = np.array([0.0, 4.0, -1.0]), np.array([0.5, 0.6, 0.1])
    headroom = 2.0 - math.sqrt(7 / 3)
    assert race(scores, headroom, waiting_times) == (1, True)
    late_second = np.array([0.3, 9.0, 0.1])
    assert race(scores, headroom, late_second)[0] == 0
    assert race(scores, 10.0, late_second) == (1, False)
    assert race(scores[:1], 10.0, waiting_times[:1]) == (0, False)
