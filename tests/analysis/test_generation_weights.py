"""Weights for a number of candidates, solved beside the pages: locked targets are kept as *Listen* keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver, WeightsSource
from map_core.core.types import Verdict
from map_core.feasibility import assess
from map_core.text.generation_weights import generation_notes
from tests.tables import make_table

#: Targets in standard deviations above base that no replies of the table reach together.
FAR = (1.2, 1.2)


@pytest.fixture
def solver() -> GenerationWeightsSolver:
    return GenerationWeightsSolver(make_table(prompts=24, candidates=16, seed=3))


def rewards(solver: GenerationWeightsSolver, targets: tuple[float, ...]) -> np.ndarray:
    """Levels in reward units of targets for the first values."""
    wanted = np.full(len(solver.table.values), np.nan)
    wanted[: len(targets)] = targets
    return solver.oracle.rewards_at(wanted)


def locks(solver: GenerationWeightsSolver, *values: int) -> np.ndarray:
    return np.isin(np.arange(len(solver.table.values)), values)


def test_equal_targets_with_other_locks_have_weights_of_their_own(solver: GenerationWeightsSolver):
    levels, first = rewards(solver, (0.8, 1.2)), solver.table.values[0]
    without, kept = solver.solve(levels, 16), solver.solve(levels, 16, locked=locks(solver, 0))
    assert without.verdict is kept.verdict is Verdict.OUT_OF_REACH
    assert kept.targets[first] == pytest.approx(levels[0])
    assert without.targets[first] < levels[0] - 1e-3
    oracle = solver.oracle
    nearest = assess(oracle, oracle.standardise(levels), locked=locks(solver, 0)).nearest
    assert nearest is not None
    wanted = nearest.solution.weights / oracle.scale
    for j, name in enumerate(solver.table.values):
        assert kept.weights.get(name, 0.0) == pytest.approx(wanted[j], abs=1e-6)


def test_a_locked_target_is_kept_among_fewer_candidates(solver: GenerationWeightsSolver):
    levels, first = rewards(solver, (0.8, 1.2)), solver.table.values[0]
    assert solver.solve(levels, 4, locked=locks(solver, 0)).targets[first] == pytest.approx(levels[0])
    assert solver.solve(levels, 4).targets[first] < levels[0] - 1e-3


def test_a_locked_target_that_so_few_candidates_cannot_meet_is_lowered_and_said(solver: GenerationWeightsSolver):
    best = float(solver.oracle.best(np.eye(len(solver.table.values))[0])[0])
    solved = solver.solve(rewards(solver, (0.8 * best,)), 2, locked=locks(solver, 0))
    assert solved.facts.source is WeightsSource.NEAREST
    assert solved.weights
    assert "cannot meet the locked targets, so that it lowers them too" in " ".join(generation_notes(solved.facts))


def test_locked_targets_that_the_whole_table_cannot_meet_leave_no_weights(solver: GenerationWeightsSolver):
    for candidates in (4, 16):
        solved = solver.solve(rewards(solver, FAR), candidates, locked=locks(solver, 0, 1))
        assert solved.facts.source is WeightsSource.NONE
        assert solved.weights == {}
