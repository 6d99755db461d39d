"""Promises that are watched: by hand, the error of either verdict in simulation, and what is kept over a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from map_core.confidence.running_promise import ALPHA, RunningPromise, Standing, WatchedTargets
from map_core.errors import InputError

TARGETS = WatchedTargets(
    ("humor", "kindness"), np.zeros(2), np.array([-1.0, -1.0]), np.array([1.0, 1.0]), np.array([0.4, 0.5])
)


def after(levels: np.ndarray, targets: WatchedTargets = TARGETS) -> RunningPromise:
    promise = RunningPromise(targets)
    for row in levels:
        promise.add(row)
    return promise


def test_by_hand():
    # Bets 0.8, 0.2, 0.05 a deviation of 0.4: 2, which is more than 0.9 and so 0.9, then 0.5 and 0.125; shares 4:4:2.
    promise = after(np.array([[1.0, 0.5]]))
    humor = 0.4 * 1.9 + 0.4 * 1.5 + 0.2 * 1.125
    kindness = 0.4 * (1 + 0.9 / 2) + 0.4 * (1 + 0.4 / 2) + 0.2 * (1 + 0.1 / 2)
    assert np.exp(promise.most_above) == pytest.approx([humor, kindness])
    assert promise.most_below == 0.0
    # Of kindness 0.4 (1.9^5 + 1.4^5) + 0.2 1.1^5 = 12.4, and after six 22.2: six requests at the upper end show it.
    assert after(np.ones((5, 2))).standing is Standing.IN_DOUBT
    assert after(np.ones((6, 2))).standing is Standing.KEPT
    assert after(-np.ones((6, 2))).standing is Standing.BROKEN


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
    other = replace(TARGETS, promised=TARGETS.promised + 0.1)
    assert RunningPromise.restored(other, kept).requests == 0
    assert RunningPromise(TARGETS).described()["values"]["humor"]["mean"] is None


def test_ends_lie_around_the_promise():
    with pytest.raises(InputError, match="below and above the promised levels"):
        WatchedTargets(("humor",), np.array([1.0]), np.array([-1.0]), np.array([1.0]), np.array([0.4]))
    with pytest.raises(InputError, match="expected numbers above 0"):
        replace(TARGETS, deviation=np.zeros(2))


@pytest.mark.parametrize("levels", [[np.nan, 0.2], [np.inf, 0.2], [0.2], [0.2, 0.2, 0.2]])
def test_what_is_no_level_is_refused_and_changes_nothing(levels):
    promise = after(np.array([[0.3, 0.2]]))
    before = promise.as_dict()
    with pytest.raises(InputError, match="expected 2 finite numbers, one per value"):
        promise.add(np.array(levels))
    assert promise.as_dict() == before


@pytest.mark.parametrize(
    "change",
    [{"total": [float("nan"), 1.0]}, {"above": [[0.0, 0.0]]}, {"most_below": float("inf")}, {"requests": "many"}],
)
def test_what_cannot_be_gone_on_with_begins_anew(change):
    kept = after(np.full((20, 2), 0.3)).as_dict()
    assert RunningPromise.restored(TARGETS, kept).requests == 20
    assert RunningPromise.restored(TARGETS, kept | change).requests == 0
    for broken in ({"targets": kept["targets"]}, [3], None):
        assert RunningPromise.restored(TARGETS, broken).requests == 0
