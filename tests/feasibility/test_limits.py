"""Tests of the highest level of each value beside the other targets: the verdict changes there."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.limits import limits
from map_core.feasibility.nearest import nearest
from map_core.oracle import MemoryOracle
from tests.tables import make_table

PALETTES = [(0.3, np.nan, 0.2, np.nan), (0.6, 0.5, np.nan, np.nan), (0.3, 0.3, 0.2, 0.1), (np.nan,) * 4]


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=24, candidates=32, seed=3), request.param)


def verdict(oracle: MemoryOracle, targets: np.ndarray, value: int, level: float) -> Verdict:
    changed = targets.copy()
    changed[value] = level
    return assess(oracle, changed, closest=False).verdict


@pytest.mark.parametrize("levels", PALETTES)
def test_verdict_changes_at_the_limits(oracle: MemoryOracle, levels: tuple[float, ...]):
    targets = np.array(levels)
    result = limits(oracle, targets)
    exact = AttainableLevels(oracle).ranges(targets)[:, 1]
    np.testing.assert_allclose(result.possible, exact, atol=0.05)
    assert np.all(result.reliable <= result.possible)
    for j in range(4):
        assert verdict(oracle, targets, j, result.reliable[j]) is Verdict.REACHABLE
        assert verdict(oracle, targets, j, result.reliable[j] + 0.01) is not Verdict.REACHABLE
        assert verdict(oracle, targets, j, exact[j] + 0.01) is Verdict.OUT_OF_REACH


@pytest.mark.parametrize("levels", PALETTES)
def test_nearest_palette_with_one_free_target_equals_the_limit(oracle: MemoryOracle, levels: tuple[float, ...]):
    targets = np.array(levels)
    result = limits(oracle, targets)
    for j in range(4):
        too_much = targets.copy()
        too_much[j] = result.possible[j] + 0.5
        closest = nearest(oracle, too_much, locked=np.arange(4) != j)
        assert closest is not None
        assert closest.targets[j] == pytest.approx(result.reliable[j], abs=2e-3)


def test_warm_start_gives_the_same_limits(oracle: MemoryOracle):
    before = limits(oracle, np.array([0.3, np.nan, 0.2, np.nan]))
    targets = np.array([0.35, np.nan, 0.2, np.nan])
    np.testing.assert_allclose(limits(oracle, targets, before).reliable, limits(oracle, targets).reliable, atol=2e-3)


def test_untrusted_targets_leave_no_reliable_limit():
    oracle = MemoryOracle.of(make_table(prompts=40, candidates=32))
    top = AttainableLevels(oracle).highest(np.full(4, np.nan), 2)
    result = limits(oracle, np.array([np.nan, np.nan, top - 0.02, np.nan]))
    assert np.isnan(result.reliable[[0, 1, 3]]).all()
    assert result.reliable[2] < top - 0.02 < result.possible[2] + 0.05


def test_conflicting_targets_leave_no_limits():
    oracle = MemoryOracle.of(make_table(prompts=24, candidates=32, seed=3))
    result = limits(oracle, np.array([9.0, 0.1, np.nan, np.nan]))
    assert np.isnan(result.reliable[1:]).all()
    assert np.isnan(result.possible[1:]).all()


def test_limits_of_a_constant_value_are_its_base_level():
    table = make_table(prompts=10, candidates=16)
    rewards = np.hstack([table.rewards[:, :1], np.full((len(table.rewards), 1), 3.0)])
    result = limits(
        MemoryOracle(rewards, table.offsets, ("helpfulness", "constant"), Form.PER_PROMPT), np.array([0.1, np.nan])
    )
    assert (result.reliable[1], result.possible[1]) == (0.0, 0.0)


def test_invalid_targets_are_refused():
    with pytest.raises(InputError, match="one per value"):
        limits(MemoryOracle.of(make_table()), np.array([0.1]))
