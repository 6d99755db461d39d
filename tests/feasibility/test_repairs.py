"""Tests of repairs of a palette out of reach: a triangle by hand, locks, and that every repair is reachable."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form, Verdict
from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.repairs import MAX_SINGLE_TARGET, Repairs, repairs
from map_core.oracle import MemoryOracle
from tests.tables import make_table

NOTHING_LOCKED = np.zeros(4, dtype=bool)


def repairs_of(oracle: MemoryOracle, targets: np.ndarray, locked: np.ndarray) -> Repairs:
    attainable = AttainableLevels(oracle)
    return repairs(attainable, assess(oracle, targets, attainable=attainable, locked=locked), locked)


def triangle(copies: int = 40) -> MemoryOracle:
    """Return prompts whose replies fill the triangle x + y <= 1 evenly, so that inner levels are trusted."""
    steps = np.linspace(0.0, 1.0, 9)
    replies = np.array([(x, y) for x in steps for y in steps if x + y <= 1 + 1e-9])
    return MemoryOracle(
        np.tile(replies, (copies, 1)), np.arange(copies + 1) * len(replies), ("humor", "calm"), Form.PER_PROMPT
    )


def test_two_conflicting_targets_can_be_lowered_alone_or_together():
    oracle = triangle()
    levels = np.array([0.7, 0.7])
    result = repairs_of(oracle, oracle.standardise(levels), np.zeros(2, dtype=bool))
    assert result.conflict is not None
    assert result.conflict.members == (0, 1)
    assert [repair.values for repair in result.ways[:2]] in ([(0,), (1,)], [(1,), (0,)])
    first, second, shared = (oracle.rewards_at(repair.targets) for repair in result.ways)
    # By symmetry the step is the same on either value, and equal on both when shared.
    assert np.nanmax(first) == pytest.approx(np.nanmax(second), abs=1e-6)
    assert shared[0] == pytest.approx(shared[1], abs=1e-6)
    assert shared[0] > np.nanmax(first)
    assert shared.sum() <= 1.0


def test_locked_target_is_never_lowered():
    oracle = triangle()
    locked = np.array([True, False])
    result = repairs_of(oracle, oracle.standardise(np.array([0.6, 0.7])), locked)
    assert result.ways
    for repair in result.ways:
        assert 0 not in repair.values
        assert np.isnan(repair.targets[0])


def test_conflict_of_locked_targets_has_no_repair():
    oracle = triangle()
    result = repairs_of(oracle, oracle.standardise(np.array([0.8, 0.8])), np.array([True, True]))
    assert result.conflict is not None
    assert result.ways == ()


def test_attainable_palette_needs_no_repair():
    oracle = triangle()
    result = repairs_of(oracle, oracle.standardise(np.array([0.4, np.nan])), np.zeros(2, dtype=bool))
    assert result.conflict is None
    assert result.ways == ()


@pytest.mark.parametrize("levels", [(0.9, 0.9, 0.8, np.nan), (1.5, 0.1, 0.1, 0.1), (0.7, 0.8, np.nan, 0.9)])
def test_every_repair_is_attainable_and_trusted(levels: tuple[float, ...]):
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=5))
    targets = np.array(levels)
    result = repairs_of(oracle, targets, NOTHING_LOCKED)
    assert 1 <= len(result.ways) <= MAX_SINGLE_TARGET + 1
    for repair in result.ways:
        repaired = np.where(np.isnan(repair.targets), targets, repair.targets)
        assert assess(oracle, repaired).verdict is Verdict.REACHABLE
        # No target is raised, and the lowered ones are named.
        assert np.all(repaired[~np.isnan(repaired)] <= targets[~np.isnan(targets)] + 1e-9)
        assert set(repair.values) == set(np.flatnonzero(~np.isnan(repair.targets)))
