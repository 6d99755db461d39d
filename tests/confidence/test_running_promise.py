"""Promises that are watched: by hand, the error of either verdict in simulation, and what is kept over a restart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from map_core.confidence.running_promise import ALPHA, RunningPromise, Standing, WatchedTargets
from map_core.errors import InputError

TARGETS = WatchedTargets(("humor", "kindness"), np.array([0.0, 0.0]), np.array([-1.0, -1.0]), np.array([1.0, 1.0]))


def after(levels: np.ndarray, targets: WatchedTargets = TARGETS) -> RunningPromise:
    promise = RunningPromise(targets)
    for row in levels:
        promise.add(row)
    return promise


def test_by_hand():
    # Stakes 0.9, 0.45, ...: after one request at 1 every bet has 1 + stake, and their mean is shown.
    promise = after(np.array([[1.0, 0.5]]))
    stakes = 0.9 * 0.5 ** np.arange(7)
    assert np.exp(promise.most_above) == pytest.approx([np.mean(1 + stakes), np.mean(1 + 0.5 * stakes)])
    assert promise.most_below == 0.0
    # 1.9^5 / 7 = 3.5 and 1.9^8 / 7 = 24: at the target's upper end eight requests show it, whatever the other bets.
    assert after(np.ones((5, 2))).standing is Standing.IN_DOUBT
    assert after(np.ones((8, 2))).standing is Standing.KEPT
    assert after(-np.ones((8, 2))).standing is Standing.BROKEN


def test_one_value_that_misses_breaks_it_and_one_that_keeps_does_not_save_it():
    levels = np.tile([0.8, -0.8], (40, 1))
    assert after(levels).standing is Standing.BROKEN
    assert after(np.tile([0.8, 0.0], (40, 1))).standing is Standing.IN_DOUBT


def test_either_verdict_is_wrong_at_most_once_in_twenty_however_often_one_looks():
    rng = np.random.default_rng(3)
    wrong = {Standing.KEPT: 0, Standing.BROKEN: 0}
    for _ in range(200):
        at_the_target = np.clip(rng.normal(0.0, 0.4, (300, 2)), -1, 1)
        # The mean is the target: neither may be shown.
        standing = after(at_the_target).standing
        if standing in wrong:
            wrong[standing] += 1
    assert max(wrong.values()) <= 200 * ALPHA


def test_what_was_kept_goes_on_and_other_targets_begin_anew():
    levels = np.clip(np.random.default_rng(0).normal(0.2, 0.4, (60, 2)), -1, 1)
    whole, half = after(levels), after(levels[:30])
    kept = json.loads(json.dumps(half.as_dict()))
    again = RunningPromise.restored(TARGETS, kept)
    for row in levels[30:]:
        again.add(row)
    assert again.as_dict() == whole.as_dict()
    other = WatchedTargets(TARGETS.values, TARGETS.promised + 0.1, TARGETS.low, TARGETS.high)
    assert RunningPromise.restored(other, kept).requests == 0
    assert RunningPromise(TARGETS).described()["values"]["humor"]["mean"] is None


def test_ends_lie_around_the_promise():
    with pytest.raises(InputError, match="do not lie around"):
        WatchedTargets(("humor",), np.array([1.0]), np.array([-1.0]), np.array([1.0]))
