"""Tests of monitored promises: by hand, the error rate of both verdicts by simulation, and the saved state."""

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


def promise_after(levels: np.ndarray, targets: WatchedTargets = TARGETS) -> RunningPromise:
    promise = RunningPromise(targets)
    for row in levels:
        promise.add(row)
    return promise


def test_capital_by_hand():
    # Bets of 0.8, 0.2 and 0.05 for a deviation of 0.4 are 2 (capped at 0.9), 0.5 and 0.125; their shares are 4:4:2.
    promise = promise_after(np.array([[1.0, 0.5]]))
    humor = 0.4 * 1.9 + 0.4 * 1.5 + 0.2 * 1.125
    kindness = 0.4 * (1 + 0.9 / 2) + 0.4 * (1 + 0.4 / 2) + 0.2 * (1 + 0.1 / 2)
    assert np.exp(promise.most_above) == pytest.approx([humor, kindness])
    assert promise.most_below == 0.0
    # For kindness, 0.4 (1.9^5 + 1.4^5) + 0.2 1.1^5 = 12.4, and 22.2 after six: six requests at the upper end suffice.
    assert promise_after(np.ones((5, 2))).standing is Standing.IN_DOUBT
    assert promise_after(np.ones((6, 2))).standing is Standing.KEPT
    assert promise_after(-np.ones((6, 2))).standing is Standing.BROKEN


def test_promise_is_broken_by_a_single_value():
    levels = np.tile([0.8, -0.8], (40, 1))
    assert promise_after(levels).standing is Standing.BROKEN
    assert promise_after(np.tile([0.8, 0.0], (40, 1))).standing is Standing.IN_DOUBT


def test_error_rate_of_both_verdicts_under_continuous_monitoring():
    rng = np.random.default_rng(3)
    errors = {Standing.KEPT: 0, Standing.BROKEN: 0}
    for _ in range(200):
        levels = np.clip(rng.normal(0.0, 0.4, (300, 2)), -1, 1)
        # The mean is the target, so neither verdict may be reached.
        standing = promise_after(levels).standing
        if standing in errors:
            errors[standing] += 1
    assert max(errors.values()) <= 200 * ALPHA


def test_saved_promise_continues_and_other_targets_start_anew():
    levels = np.clip(np.random.default_rng(0).normal(0.2, 0.4, (60, 2)), -1, 1)
    uninterrupted, interrupted = promise_after(levels), promise_after(levels[:30])
    saved = json.loads(json.dumps(interrupted.as_dict()))
    restored = RunningPromise.restored(TARGETS, saved)
    for row in levels[30:]:
        restored.add(row)
    assert restored.as_dict() == uninterrupted.as_dict()
    other_targets = replace(TARGETS, promised=TARGETS.promised + 0.1)
    assert RunningPromise.restored(other_targets, saved).requests == 0
    assert RunningPromise(TARGETS).described()["values"]["humor"]["mean"] is None


def test_range_of_levels_must_contain_the_promise():
    with pytest.raises(InputError, match="below and above the promised levels"):
        WatchedTargets(("humor",), np.array([1.0]), np.array([-1.0]), np.array([1.0]), np.array([0.4]))
    with pytest.raises(InputError, match="expected numbers above 0"):
        replace(TARGETS, deviation=np.zeros(2))


@pytest.mark.parametrize("levels", [[np.nan, 0.2], [np.inf, 0.2], [0.2], [0.2, 0.2, 0.2]])
def test_invalid_levels_are_refused_without_a_change(levels):
    promise = promise_after(np.array([[0.3, 0.2]]))
    before = promise.as_dict()
    with pytest.raises(InputError, match="expected 2 finite numbers, one per value"):
        promise.add(np.array(levels))
    assert promise.as_dict() == before


@pytest.mark.parametrize(
    "change",
    [{"total": [float("nan"), 1.0]}, {"above": [[0.0, 0.0]]}, {"most_below": float("inf")}, {"requests": "many"}],
)
def test_invalid_saved_state_starts_anew(change):
    saved = promise_after(np.full((20, 2), 0.3)).as_dict()
    assert RunningPromise.restored(TARGETS, saved).requests == 20
    assert RunningPromise.restored(TARGETS, saved | change).requests == 0
    for invalid in ({"targets": saved["targets"]}, [3], None):
        assert RunningPromise.restored(TARGETS, invalid).requests == 0
