"""Hundreds of odd tables: verdict and solver never contradict the whole linear program, and nothing is ever NaN.

``ODD_TABLES=10`` in the environment tries ten times as many, for whoever has changed the solver.
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
from tests.odd_tables import Odd, odd_tables
from tests.tables import make_table

#: How near the boundary, in standard deviations, a verdict may go either way: what the linear program leaves open.
EDGE = 3e-7


#: How many times as many odd tables as usual are tried.
TIMES = float(os.environ.get("ODD_TABLES", "1"))


def check(examples: int):
    return settings(max_examples=max(round(examples * TIMES), 1), deadline=None, derandomize=True, database=None)


def finite(*arrays: object) -> bool:
    return all(np.isfinite(np.asarray(array, dtype=float)).all() for array in arrays)


@pytest.mark.slow
@check(300)
@given(odd_tables())
def test_margin_and_solvers_agree_with_the_linear_program(odd: Odd):
    oracle, rows = odd.oracle, odd.targets(3)
    together = solve_many(oracle, rows)
    assert finite(together.weights, together.levels, together.kl, together.residual, together.ess, together.covariance)
    attainable = AttainableLevels(oracle)
    for row, targets in enumerate(rows):
        expected, edge, result = odd.most(targets), attainable.margin(targets), solve(oracle, targets)
        assert edge.value == pytest.approx(expected, abs=EDGE * (1 + abs(expected)))
        assert edge.gap <= 1e-8 * (1 + abs(edge.value))
        assert finite(result.weights, result.levels, result.kl, result.residual, edge.certificate)
        assert result.kl <= oracle.log_candidates + 1e-9
        assert (result.weights >= 0).all()
        wanted = ~np.isnan(targets) & ~oracle.constant
        movable = ~np.any(oracle.constant & (targets > 0))
        for status, levels in ((result.status, result.levels), (together.status[row], together.levels[row])):
            if expected > EDGE:
                assert status == Status.CONVERGED
            if expected < -EDGE and movable:
                assert status != Status.CONVERGED
            if status == Status.CONVERGED:
                assert np.all(levels[wanted] >= targets[wanted] - 1e-7)
        if expected > EDGE:
            # The same levels and cost, one by one or side by side; the weights too where they are unique.
            np.testing.assert_allclose(together.levels[row], result.levels, atol=2e-6)
            assert together.kl[row] == pytest.approx(result.kl, abs=1e-7)


@check(150)
@given(odd_tables(most_values=6))
def test_verdicts_and_nearest_palettes(odd: Odd):
    targets = odd.targets(1)[0]
    expected, judged = odd.most(targets), assess(odd.oracle, targets)
    if abs(expected) > EDGE:
        assert (judged.verdict is Verdict.OUT_OF_REACH) == (expected < 0)
    if judged.solution is not None:
        assert finite(judged.solution.weights, judged.solution.kl)
    if judged.nearest is not None:
        closest = judged.nearest
        assert finite(closest.distance, closest.solution.weights)
        free = np.isnan(targets)
        assert np.array_equal(np.isnan(closest.targets), free)
        assert np.all(closest.targets[~free] <= targets[~free] + 1e-9)
        assert odd.most(closest.targets) > -EDGE


@check(160)
@given(odd_tables(most_values=6), st.sampled_from([0.0, 1e-12, 1e-3, 0.3, 50.0]))
def test_a_budget_ends_a_solve_only_where_targets_cost_more(odd: Odd, budget: float):
    """A budget ends a solve early only where the targets cost more; one beyond log K never does."""
    rows = odd.targets(3)
    free, bound = solve_many(odd.oracle, rows), solve_many(odd.oracle, rows, budget=budget)
    for row, targets in enumerate(rows):
        single = solve(odd.oracle, targets, budget=budget)
        solved = free.converged[row] and free.residual[row] < 1e-9 and odd.most(targets) > EDGE
        for status in (single.status, bound.status[row]):
            if solved:
                if free.kl[row] > budget + 1e-7:
                    assert status == Status.OVER_BUDGET
                elif free.kl[row] < budget - 1e-7:
                    assert status == Status.CONVERGED
            if status == Status.OVER_BUDGET:
                assert not (free.converged[row] and free.kl[row] < budget - 1e-7)
    assert finite(bound.weights, bound.levels, bound.kl)


@pytest.mark.slow
@check(100)
@given(odd_tables(), st.sampled_from([0.0, 1e-300, 1.0, 1e4, 1e8, 1e150]))
def test_moments_of_huge_weights_stay_finite_and_within_the_replies(odd: Odd, size: float):
    """Moments stay finite and within the replies, however large the weights."""
    oracle, z = odd.oracle, odd.z
    weights = odd.rng.normal(size=(3, z.shape[1])) * size
    batch = oracle.batch_moments(weights, covariance=True)
    assert finite(batch.log_normaliser, batch.levels, batch.covariance, batch.ess, batch.concentration)
    assert np.all(batch.levels <= z.max(axis=0) + 1e-9 * (1 + np.abs(z).max()))
    assert np.all(batch.levels >= z.min(axis=0) - 1e-9 * (1 + np.abs(z).max()))
    for targets in odd.targets(2):
        start = np.minimum(np.abs(weights), 1e8)
        single, many = solve(oracle, targets, start=start[0]), solve_many(oracle, targets, start=start)
        for result in (single, many):
            assert finite(result.weights, result.levels, result.kl, result.residual)
        if odd.most(targets) > EDGE:
            # Wherever they start from, they end at the same levels, or say that they did not get there.
            expected = solve(oracle, targets).levels
            for status, levels in ((single.status, single.levels), *zip(many.status, many.levels, strict=True)):
                assert status != Status.UNBOUNDED
                if status == Status.CONVERGED:
                    np.testing.assert_allclose(levels, expected, atol=2e-6)


def test_single_replies_per_prompt_are_refused_in_words():
    with pytest.raises(InputError, match="Use the pooled form"):
        MemoryOracle.of(make_table(prompts=5, candidates=1), Form.PER_PROMPT)


@pytest.mark.parametrize("targets", [[np.inf, 0, 0, 0], [0.0, 1.0], 3.0])
def test_odd_targets_are_refused_in_words(targets: object):
    oracle = MemoryOracle.of(make_table())
    for ask in (assess, margin):
        with pytest.raises(InputError, match="expected 4 finite numbers"):
            ask(oracle, np.asarray(targets, dtype=float))
