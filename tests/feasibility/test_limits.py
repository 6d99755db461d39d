"""The most of each value beside the others: where the verdict changes, and what lowering one target alone gives."""

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
    moved = targets.copy()
    moved[value] = level
    return assess(oracle, moved, closest=False).verdict


@pytest.mark.parametrize("asked", PALETTES)
def test_the_verdict_changes_where_the_limits_are(oracle: MemoryOracle, asked: tuple[float, ...]):
    targets = np.array(asked)
    most = limits(oracle, targets)
    exact = AttainableLevels(oracle).ranges(targets)[:, 1]
    np.testing.assert_allclose(most.possible, exact, atol=0.05)
    assert np.all(most.reliable <= most.possible)
    for j in range(4):
        assert verdict(oracle, targets, j, most.reliable[j]) is Verdict.REACHABLE
        assert verdict(oracle, targets, j, most.reliable[j] + 0.01) is not Verdict.REACHABLE
        assert verdict(oracle, targets, j, exact[j] + 0.01) is Verdict.OUT_OF_REACH


@pytest.mark.parametrize("asked", PALETTES)
def test_lowering_one_target_alone_gives_the_same(oracle: MemoryOracle, asked: tuple[float, ...]):
    targets = np.array(asked)
    most = limits(oracle, targets)
    for j in range(4):
        too_much = targets.copy()
        too_much[j] = most.possible[j] + 0.5
        closest = nearest(oracle, too_much, locked=np.arange(4) != j)
        assert closest is not None
        assert closest.targets[j] == pytest.approx(most.reliable[j], abs=2e-3)


def test_a_start_nearby_changes_nothing(oracle: MemoryOracle):
    before = limits(oracle, np.array([0.3, np.nan, 0.2, np.nan]))
    targets = np.array([0.35, np.nan, 0.2, np.nan])
    np.testing.assert_allclose(limits(oracle, targets, before).reliable, limits(oracle, targets).reliable, atol=2e-3)


def test_where_the_others_are_not_to_be_trusted_nothing_is_reliable():
    oracle = MemoryOracle.of(make_table(prompts=40, candidates=32))
    top = AttainableLevels(oracle).highest(np.full(4, np.nan), 2)
    most = limits(oracle, np.array([np.nan, np.nan, top - 0.02, np.nan]))
    assert np.isnan(most.reliable[[0, 1, 3]]).all()
    assert most.reliable[2] < top - 0.02 < most.possible[2] + 0.05


def test_where_the_others_conflict_nothing_is_known():
    oracle = MemoryOracle.of(make_table(prompts=24, candidates=32, seed=3))
    most = limits(oracle, np.array([9.0, 0.1, np.nan, np.nan]))
    assert np.isnan(most.reliable[1:]).all()
    assert np.isnan(most.possible[1:]).all()


def test_a_constant_value_stays_where_it_is():
    table = make_table(prompts=10, candidates=16)
    rewards = np.hstack([table.rewards[:, :1], np.full((len(table.rewards), 1), 3.0)])
    most = limits(
        MemoryOracle(rewards, table.offsets, ("helpfulness", "constant"), Form.PER_PROMPT), np.array([0.1, np.nan])
    )
    assert (most.reliable[1], most.possible[1]) == (0.0, 0.0)


def test_bad_input():
    with pytest.raises(InputError, match="one per value"):
        limits(MemoryOracle.of(make_table()), np.array([0.1]))
