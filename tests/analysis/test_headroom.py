"""Tests of the headroom of a race: the effect of capping the weights, on a table small enough to enumerate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from map_core.analysis.headroom import LEAST, headroom_for, share_lost
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.text.sentences import race

REWARDS = np.array([[0.0], [1.0], [3.0], [2.0], [2.5]])
TABLE = RewardTable(("calm",), REWARDS, np.array([0, 3, 5]), ("1", "2"), ("Hi", "Ho"), ("", ""))


@pytest.mark.parametrize("within", [0.01, 0.1, 0.3])
def test_capped_tilt_stays_within_the_distance_and_needs_the_expected_candidates(within: float) -> None:
    headroom = headroom_for(TABLE, {"calm": 1.5}, within)
    distances, candidates = [], []
    for rewards in (REWARDS[:3, 0], REWARDS[3:, 0]):
        weights = np.exp(1.5 * rewards)
        bound = np.exp(1.5 * rewards.mean() + headroom.nats)
        capped = np.minimum(weights, bound)
        distances.append(np.abs(weights / weights.sum() - capped / capped.sum()).sum() / 2)
        least, error = bound / capped.mean(), 1.5 * rewards.std(ddof=1)
        candidates.append(brentq(lambda n: least * np.exp(error / np.sqrt(max(n, 2.0))) - n, 1.0, 1e3))  # noqa: B023
    assert 0.0 < np.mean(distances) <= within
    assert headroom.candidates == pytest.approx(np.mean(candidates))


def test_share_lost_depends_on_the_weights() -> None:
    headroom = headroom_for(TABLE, {"calm": 1.5}, 0.05)
    assert share_lost(TABLE, {"calm": 1.5}, headroom.nats) == pytest.approx(0.05)
    assert share_lost(TABLE, {"calm": 0.5}, headroom.nats) < 0.05 < share_lost(TABLE, {"calm": 3.0}, headroom.nats)
    sentence = race(share_lost(TABLE, {"calm": 3.0}, headroom.nats), decided=False)
    assert sentence.startswith("A further candidate could still be picked. With these targets up to ")
    assert "fewer than 1 of 100" in race(0.001, decided=True)


def test_smaller_shares_need_more_candidates() -> None:
    few, many = (headroom_for(TABLE, {"calm": 1.5}, within) for within in (0.2, 0.01))
    assert few.nats < many.nats
    assert few.candidates < many.candidates


def test_zero_weights_need_one_candidate() -> None:
    headroom = headroom_for(TABLE, {}, 0.02)
    assert (headroom.nats, headroom.candidates) == (LEAST, pytest.approx(1.0, abs=2 * LEAST))


def test_large_rewards_do_not_overflow() -> None:
    scaled = RewardTable(("calm",), 1e6 * REWARDS, TABLE.offsets, ("1", "2"), ("Hi", "Ho"), ("", ""))
    assert headroom_for(scaled, {"calm": 1.5e-6}, 0.1).nats == pytest.approx(
        headroom_for(TABLE, {"calm": 1.5}, 0.1).nats
    )
    assert np.isfinite(headroom_for(scaled, {"calm": 1.0}, 0.1).nats)


def test_share_of_a_value_equals_its_indicator_column() -> None:
    share = headroom_for(TABLE, {"calm>=1.0": 1.0}, 0.05)
    column = RewardTable(("calm",), (REWARDS >= 1.0).astype(float), TABLE.offsets, ("1", "2"), ("Hi", "Ho"), ("", ""))
    assert share == headroom_for(column, {"calm": 1.0}, 0.05)


def test_invalid_arguments_are_refused() -> None:
    single = RewardTable(("calm",), REWARDS, np.arange(6), tuple("12345"), tuple("abcde"), ("",) * 5)
    for table, weights, within, message in (
        (TABLE, {"calm": 1.0}, 0.0, "between 0 and 1"),
        (TABLE, {"calm": 1.0}, float("nan"), "between 0 and 1"),
        (TABLE, {"wit": 1.0}, 0.1, "no value 'wit'; it has calm"),
        (single, {"calm": 1.0}, 0.1, "one reply"),
    ):
        with pytest.raises(InputError, match=message):
            headroom_for(table, weights, within)
