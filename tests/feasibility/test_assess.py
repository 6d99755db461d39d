"""Tests of the verdict: palettes of every kind, checked by a full linear program, and the boundary."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess, margin
from map_core.feasibility.trust import is_trusted
from map_core.oracle import MemoryOracle, Oracle
from map_core.solver.newton import solve
from tests.linear_program import full_margin
from tests.tables import make_table


def three_replies() -> MemoryOracle:
    """Return one prompt with replies (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


def test_verdicts_from_easy_to_impossible_palettes():
    # The same kinds as in the published check: loose, firm, tight, almost impossible, impossible.
    table = make_table(prompts=60, candidates=32, seed=5)
    oracle = MemoryOracle.of(table)
    direction = np.array([0.8, 0.5, 0.6, 0.3])
    edge = 1.0
    for _ in range(60):  # Newton on the margin, which is concave and falls along the ray
        edge += margin(oracle, edge * direction).value / direction.max()
    verdicts = []
    for share in (0.2, 0.4, 0.6, 0.999999, 1.3):
        d = share * edge * direction
        assessment = assess(oracle, d)
        verdicts.append(assessment.verdict)
        expected = full_margin(oracle.standardise(table.rewards), table.offsets, oracle.form, d)
        assert assessment.margin.value == pytest.approx(expected, abs=1e-8)
        if assessment.solution:
            assert assessment.solution.residual < 1e-8
    assert verdicts == [Verdict.REACHABLE] * 3 + [Verdict.ON_PAPER, Verdict.OUT_OF_REACH]


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        (-1e-6, Verdict.ON_PAPER),
        (0, Verdict.ON_PAPER),
        (2e-10, Verdict.ON_PAPER),  # 4e-10 standard deviations outside: on the boundary
        (1.5e-9, Verdict.OUT_OF_REACH),
        (1e-6, Verdict.OUT_OF_REACH),
    ],
)
def test_the_boundary_from_both_sides(offset: float, verdict: Verdict):
    oracle = three_replies()
    assessment = assess(oracle, oracle.standardise(np.array([0.5, 0.5]) + offset))
    assert assessment.verdict is verdict
    if verdict is Verdict.ON_PAPER:
        assert assessment.solution is not None
        assert np.isfinite(assessment.solution.weights).all()
        assert assessment.solution.residual < 1e-6


def test_the_certificate_is_a_proof():
    # Even the best reply to every prompt has a lower weighted sum than the targets.
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    d = np.array([2.0, 2.0, 2.0, np.nan])
    assessment = assess(oracle, d)
    w = assessment.margin.certificate
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert w[3] == 0
    assert w @ oracle.best(w) < w[:3] @ d[:3]
    assert assessment.margin.value == pytest.approx(w @ oracle.best(w) - w[:3] @ d[:3], abs=1e-12)


def test_palettes_that_rest_on_few_replies_are_on_paper():
    oracle = MemoryOracle.of(make_table(prompts=40, candidates=32))
    top = AttainableLevels(oracle).highest(np.full(4, np.nan), 2)
    assessment = assess(oracle, np.array([np.nan, np.nan, top - 0.02, np.nan]))
    assert assessment.verdict is Verdict.ON_PAPER
    assert assessment.ess.per_prompt < 4
    assert assessment.nearest is not None
    assert is_trusted(oracle, assessment.nearest.solution)


def test_a_constant_value_is_kept_or_out_of_reach():
    table = make_table(prompts=10, candidates=16)
    rewards = np.hstack([table.rewards[:, :1], np.full((len(table.rewards), 1), 3.0)])
    oracle: Oracle = MemoryOracle(rewards, table.offsets, ("helpfulness", "constant"), Form.PER_PROMPT)
    for level, verdict in ((3.0, Verdict.REACHABLE), (2.0, Verdict.REACHABLE), (3.1, Verdict.OUT_OF_REACH)):
        assessment = assess(oracle, oracle.standardise(np.array([table.rewards[:, 0].mean(), level])))
        assert assessment.verdict is verdict


def test_palette_without_targets_is_reachable():
    oracle = MemoryOracle.of(make_table())
    assessment = assess(oracle, np.full(4, np.nan))
    assert assessment.verdict is Verdict.REACHABLE
    assert assessment.solution.kl == 0


@pytest.mark.parametrize("targets", [np.array([np.inf, 0, 0, 0]), np.zeros(3)])
def test_invalid_targets_are_refused(targets: np.ndarray):
    with pytest.raises(InputError, match="expected 4 finite numbers"):
        assess(MemoryOracle.of(make_table()), targets)


def test_assess_reuses_a_given_solution():
    oracle = MemoryOracle.of(make_table())
    d = np.array([0.3, np.nan, 0.2, np.nan])
    solution = solve(oracle, d)
    assert assess(oracle, d, solution=solution).solution is solution
