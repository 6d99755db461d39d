"""Property tests on odd tables: verdict and solver agree with the full linear program, and nothing is NaN.

With ``ODD_TABLES=10`` in the environment ten times as many tables are tried, for changes of the solver.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess, margin
from map_core.oracle import MemoryOracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import Status, solve
from tests.odd_tables import OddTable, odd_tables
from tests.tables import make_table

#: Distance to the boundary, in standard deviations, below which either verdict is right: the linear program's error.
BOUNDARY_TOLERANCE = 3e-7


#: Factor of the number of odd tables.
EXAMPLES_FACTOR = float(os.environ.get("ODD_TABLES", "1"))


def scaled_examples(examples: int):
    return settings(max_examples=max(round(examples * EXAMPLES_FACTOR), 1))


def all_finite(*arrays: object) -> bool:
    return all(np.isfinite(np.asarray(array, dtype=float)).all() for array in arrays)


@pytest.mark.slow
@scaled_examples(300)
@given(odd_tables())
def test_margin_and_solvers_agree_with_the_linear_program(odd: OddTable):
    oracle, rows = odd.oracle, odd.targets(3)
    batch = solve_many(oracle, rows)
    assert all_finite(batch.weights, batch.levels, batch.kl, batch.residual, batch.ess, batch.covariance)
    attainable = AttainableLevels(oracle)
    for row, targets in enumerate(rows):
        expected, edge, result = odd.true_margin(targets), attainable.margin(targets), solve(oracle, targets)
        assert edge.value == pytest.approx(expected, abs=BOUNDARY_TOLERANCE * (1 + abs(expected)))
        assert edge.gap <= 1e-8 * (1 + abs(edge.value))
        assert all_finite(result.weights, result.levels, result.kl, result.residual, edge.certificate)
        assert result.kl <= oracle.log_candidates + 1e-9
        assert (result.weights >= 0).all()
        targeted = ~np.isnan(targets) & ~oracle.constant
        movable = ~np.any(oracle.constant & (targets > 0))
        for status, levels in ((result.status, result.levels), (batch.status[row], batch.levels[row])):
            if expected > BOUNDARY_TOLERANCE:
                assert status == Status.CONVERGED
            if expected < -BOUNDARY_TOLERANCE and movable:
                assert status != Status.CONVERGED
            if status == Status.CONVERGED:
                assert np.all(levels[targeted] >= targets[targeted] - 1e-7)
        if expected > BOUNDARY_TOLERANCE:
            # Single and batched solves agree on levels and cost; weights agree only where they are unique.
            np.testing.assert_allclose(batch.levels[row], result.levels, atol=2e-6)
            assert batch.kl[row] == pytest.approx(result.kl, abs=1e-7)


@scaled_examples(150)
@given(odd_tables(most_values=6))
def test_verdicts_and_nearest_palettes(odd: OddTable):
    targets = odd.targets(1)[0]
    expected, assessment = odd.true_margin(targets), assess(odd.oracle, targets)
    if abs(expected) > BOUNDARY_TOLERANCE:
        assert (assessment.verdict is Verdict.OUT_OF_REACH) == (expected < 0)
    if assessment.solution is not None:
        assert all_finite(assessment.solution.weights, assessment.solution.kl)
    if assessment.nearest is not None:
        nearest = assessment.nearest
        assert all_finite(nearest.distance, nearest.solution.weights)
        free = np.isnan(targets)
        assert np.array_equal(np.isnan(nearest.targets), free)
        assert np.all(nearest.targets[~free] <= targets[~free] + 1e-9)
        assert odd.true_margin(nearest.targets) > -BOUNDARY_TOLERANCE


@scaled_examples(160)
@given(odd_tables(most_values=6), st.sampled_from([0.0, 1e-12, 1e-3, 0.3, 50.0]))
def test_a_budget_ends_a_solve_only_where_targets_cost_more(odd: OddTable, budget: float):
    """A budget ends a solve early only where the targets cost more; one beyond log K never does."""
    rows = odd.targets(3)
    unlimited, limited = solve_many(odd.oracle, rows), solve_many(odd.oracle, rows, budget=budget)
    for row, targets in enumerate(rows):
        single = solve(odd.oracle, targets, budget=budget)
        solved = (
            unlimited.converged[row]
            and unlimited.residual[row] < 1e-9
            and odd.true_margin(targets) > BOUNDARY_TOLERANCE
        )
        for status in (single.status, limited.status[row]):
            if solved:
                if unlimited.kl[row] > budget + 1e-7:
                    assert status == Status.OVER_BUDGET
                elif unlimited.kl[row] < budget - 1e-7:
                    assert status == Status.CONVERGED
            if status == Status.OVER_BUDGET:
                assert not (unlimited.converged[row] and unlimited.kl[row] < budget - 1e-7)
    assert all_finite(limited.weights, limited.levels, limited.kl)


@pytest.mark.slow
@scaled_examples(100)
@given(odd_tables(), st.sampled_from([0.0, 1e-300, 1.0, 1e4, 1e8, 1e150]))
def test_moments_of_huge_weights_stay_finite_and_within_the_replies(odd: OddTable, size: float):
    """Moments stay finite and within the replies, however large the weights."""
    oracle, z = odd.oracle, odd.z
    weights = odd.rng.normal(size=(3, z.shape[1])) * size
    batch = oracle.batch_moments(weights, covariance=True)
    assert all_finite(batch.log_normaliser, batch.levels, batch.covariance, batch.ess, batch.concentration)
    assert np.all(batch.levels <= z.max(axis=0) + 1e-9 * (1 + np.abs(z).max()))
    assert np.all(batch.levels >= z.min(axis=0) - 1e-9 * (1 + np.abs(z).max()))
    for targets in odd.targets(2):
        start = np.minimum(np.abs(weights), 1e8)
        single, many = solve(oracle, targets, start=start[0]), solve_many(oracle, targets, start=start)
        for result in (single, many):
            assert all_finite(result.weights, result.levels, result.kl, result.residual)
        if odd.true_margin(targets) > BOUNDARY_TOLERANCE:
            # Any start leads to the same levels, or to a status that is not CONVERGED.
            expected = solve(oracle, targets).levels
            for status, levels in ((single.status, single.levels), *zip(many.status, many.levels, strict=True)):
                assert status != Status.UNBOUNDED
                if status == Status.CONVERGED:
                    np.testing.assert_allclose(levels, expected, atol=2e-6)


def test_per_prompt_form_is_refused_for_single_replies():
    with pytest.raises(InputError, match="Use the pooled form"):
        MemoryOracle.of(make_table(prompts=5, candidates=1), Form.PER_PROMPT)


@pytest.mark.parametrize("targets", [[np.inf, 0, 0, 0], [0.0, 1.0], 3.0])
def test_invalid_targets_are_refused(targets: object):
    oracle = MemoryOracle.of(make_table())
    for function in (assess, margin):
        with pytest.raises(InputError, match="expected 4 finite numbers"):
            function(oracle, np.asarray(targets, dtype=float))
