"""Tests of the weights for a number of candidates, with locked targets kept as on the page *Listen*."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver, WeightsSource
from map_core.core.types import Verdict
from map_core.feasibility import assess
from map_core.text.generation_weights import generation_notes
from tests.tables import make_table

#: Targets in standard deviations above base that are jointly out of reach on the table.
UNREACHABLE = (1.2, 1.2)


@pytest.fixture
def solver() -> GenerationWeightsSolver:
    return GenerationWeightsSolver(make_table(prompts=24, candidates=16, seed=3))


def target_rewards(solver: GenerationWeightsSolver, targets: tuple[float, ...]) -> np.ndarray:
    """Return levels in reward units from standardised targets for the first values."""
    standardised = np.full(len(solver.table.values), np.nan)
    standardised[: len(targets)] = targets
    return solver.oracle.rewards_at(standardised)


def lock_mask(solver: GenerationWeightsSolver, *values: int) -> np.ndarray:
    return np.isin(np.arange(len(solver.table.values)), values)


def test_weights_depend_on_the_locks(solver: GenerationWeightsSolver):
    levels, first = target_rewards(solver, (0.8, 1.2)), solver.table.values[0]
    unlocked, locked_weights = solver.solve(levels, 16), solver.solve(levels, 16, locked=lock_mask(solver, 0))
    assert unlocked.verdict is locked_weights.verdict is Verdict.OUT_OF_REACH
    assert locked_weights.targets[first] == pytest.approx(levels[0])
    assert unlocked.targets[first] < levels[0] - 1e-3
    oracle = solver.oracle
    nearest = assess(oracle, oracle.standardise(levels), locked=lock_mask(solver, 0)).nearest
    assert nearest is not None
    expected = nearest.solution.weights / oracle.scale
    for j, name in enumerate(solver.table.values):
        assert locked_weights.weights.get(name, 0.0) == pytest.approx(expected[j], abs=1e-6)


def test_locked_target_is_kept_with_fewer_candidates(solver: GenerationWeightsSolver):
    levels, first = target_rewards(solver, (0.8, 1.2)), solver.table.values[0]
    assert solver.solve(levels, 4, locked=lock_mask(solver, 0)).targets[first] == pytest.approx(levels[0])
    assert solver.solve(levels, 4).targets[first] < levels[0] - 1e-3


def test_locked_target_out_of_reach_of_few_candidates_is_lowered_and_noted(solver: GenerationWeightsSolver):
    highest = float(solver.oracle.best(np.eye(len(solver.table.values))[0])[0])
    generation = solver.solve(target_rewards(solver, (0.8 * highest,)), 2, locked=lock_mask(solver, 0))
    assert generation.facts.source is WeightsSource.NEAREST
    assert generation.weights
    assert "cannot meet the locked targets, so that it lowers them too" in " ".join(generation_notes(generation.facts))


def test_locked_targets_out_of_reach_of_the_table_give_no_weights(solver: GenerationWeightsSolver):
    for candidates in (4, 16):
        generation = solver.solve(target_rewards(solver, UNREACHABLE), candidates, locked=lock_mask(solver, 0, 1))
        assert generation.facts.source is WeightsSource.NONE
        assert generation.weights == {}
