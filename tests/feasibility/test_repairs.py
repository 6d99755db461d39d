"""Repairs of a palette that is not attainable: a triangle by hand, locks, and that every repair works."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form, Verdict
from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.repairs import MAX_SINGLE_TARGET, Repairs, repairs
from map_core.oracle import MemoryOracle
from tests.tables import make_table

NOTHING_LOCKED = np.zeros(4, dtype=bool)


def of(oracle: MemoryOracle, targets: np.ndarray, locked: np.ndarray) -> Repairs:
    attainable = AttainableLevels(oracle)
    return repairs(attainable, assess(oracle, targets, attainable=attainable, locked=locked), locked)


def square(copies: int = 40) -> MemoryOracle:
    """Prompts whose replies fill the triangle below x + y = 1 evenly, so that its middle can be trusted."""
    steps = np.linspace(0.0, 1.0, 9)
    replies = np.array([(x, y) for x in steps for y in steps if x + y <= 1 + 1e-9])
    return MemoryOracle(
        np.tile(replies, (copies, 1)), np.arange(copies + 1) * len(replies), ("humor", "calm"), Form.PER_PROMPT
    )


def test_two_targets_that_conflict_can_each_give_way_or_share():
    oracle = square()
    levels = np.array([0.7, 0.7])
    result = of(oracle, oracle.standardise(levels), np.zeros(2, dtype=bool))
    assert result.conflict is not None
    assert result.conflict.members == (0, 1)
    assert [way.values for way in result.ways[:2]] in ([(0,), (1,)], [(1,), (0,)])
    first, second, even = (oracle.rewards_at(way.targets) for way in result.ways)
    # By symmetry: the same step on either value, and half and half when shared.
    assert np.nanmax(first) == pytest.approx(np.nanmax(second), abs=1e-6)
    assert even[0] == pytest.approx(even[1], abs=1e-6)
    assert even[0] > np.nanmax(first)
    assert even.sum() <= 1.0


def test_a_locked_target_never_gives_way():
    oracle = square()
    locked = np.array([True, False])
    result = of(oracle, oracle.standardise(np.array([0.6, 0.7])), locked)
    assert result.ways
    for way in result.ways:
        assert 0 not in way.values
        assert np.isnan(way.targets[0])


def test_where_only_locked_targets_conflict_there_is_no_way():
    oracle = square()
    result = of(oracle, oracle.standardise(np.array([0.8, 0.8])), np.array([True, True]))
    assert result.conflict is not None
    assert result.ways == ()


def test_what_can_be_had_needs_no_repair():
    oracle = square()
    result = of(oracle, oracle.standardise(np.array([0.4, np.nan])), np.zeros(2, dtype=bool))
    assert result.conflict is None
    assert result.ways == ()


@pytest.mark.parametrize("levels", [(0.9, 0.9, 0.8, np.nan), (1.5, 0.1, 0.1, 0.1), (0.7, 0.8, np.nan, 0.9)])
def test_every_repair_is_attainable_and_trusted(levels: tuple[float, ...]):
    oracle = MemoryOracle.of(make_table(prompts=16, candidates=32, seed=5))
    targets = np.array(levels)
    result = of(oracle, targets, NOTHING_LOCKED)
    assert 1 <= len(result.ways) <= MAX_SINGLE_TARGET + 1
    for way in result.ways:
        new = np.where(np.isnan(way.targets), targets, way.targets)
        assert assess(oracle, new).verdict is Verdict.REACHABLE
        # No target is raised, and the lowered ones are named.
        assert np.all(new[~np.isnan(new)] <= targets[~np.isnan(targets)] + 1e-9)
        assert set(way.values) == set(np.flatnonzero(~np.isnan(way.targets)))
