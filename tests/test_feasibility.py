"""Margin, certificate, verdict: a triangle by hand, a full linear program beside it, the boundary from both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from map_core.dual import solve
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess, default_budget, is_trusted, margin, nearest
from map_core.glossary import Form, Verdict
from map_core.oracle import MemoryOracle, Oracle
from tests.tables import make_table


def three_replies() -> MemoryOracle:
    """One prompt whose replies are (0, 0), (1, 0), (0, 1): what can be had is that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


def test_triangle_by_hand():
    # (c, c) lies on the edge between the two good replies at c = 1/2; the certificate weighs both alike, and the
    # margin is the distance to the edge in standard deviations, s = sqrt(2)/3 for both.
    oracle = three_replies()
    s = math.sqrt(2) / 3
    for c in (0.4, 0.5, 0.7):
        found = margin(oracle, oracle.standardise(np.array([c, c])))
        assert found.value == pytest.approx((0.5 - c) / s, abs=1e-9)
        np.testing.assert_allclose(found.certificate, [0.5, 0.5], atol=1e-9)


def full_linear_program(oracle: MemoryOracle, table_z: np.ndarray, offsets: np.ndarray, d: np.ndarray) -> float:
    """The margin from the other side: the largest t such that some re-weighting gives every target d + t."""
    replies = len(table_z)
    prompts = len(offsets) - 1
    share = np.repeat(np.eye(prompts), np.diff(offsets), axis=1)
    wanted = ~np.isnan(d)
    answer = linprog(
        np.append(np.zeros(replies), -1.0),
        A_ub=np.column_stack([-table_z[:, wanted].T / prompts, np.ones(wanted.sum())]),
        b_ub=-d[wanted],
        A_eq=np.column_stack([share, np.zeros(prompts)]),
        b_eq=np.ones(prompts),
        bounds=[(0, None)] * replies + [(None, None)],
        method="highs",
    )
    return -float(answer.fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", list(Form))
def test_margin_is_the_full_linear_program(form: Form, seed: int):
    table = make_table(prompts=8, candidates=10, seed=seed)
    oracle = MemoryOracle.of(table, form)
    d = np.random.default_rng(seed).uniform(-0.5, 2.0, 4)
    d[seed % 4] = np.nan
    offsets = table.offsets if form is Form.PER_PROMPT else np.array([0, len(table.rewards)])
    found = margin(oracle, d)
    assert found.gap <= 1e-9
    assert found.value == pytest.approx(
        full_linear_program(oracle, oracle.standardise(table.rewards), offsets, d), abs=1e-8
    )
    assert found.certificate.sum() == pytest.approx(1.0)
    assert np.all(found.certificate >= 0)


def test_five_palettes_of_every_kind():
    # The same shape as the published check: loose, firm, tight, by a hair, impossible.
    table = make_table(prompts=60, candidates=32, seed=5)
    oracle = MemoryOracle.of(table)
    direction = np.array([0.8, 0.5, 0.6, 0.3])
    edge = 1.0
    for _ in range(60):  # Newton on the margin, which is concave and falls along the ray
        edge += margin(oracle, edge * direction).value / direction.max()
    seen = []
    for share in (0.2, 0.4, 0.6, 0.999999, 1.3):
        d = share * edge * direction
        found = assess(oracle, d)
        seen.append(found.verdict)
        offsets = table.offsets
        expected = full_linear_program(oracle, oracle.standardise(table.rewards), offsets, d)
        assert found.margin.value == pytest.approx(expected, abs=1e-8)
        if found.solution:
            assert found.solution.residual < 1e-8
    assert seen == [Verdict.REACHABLE] * 3 + [Verdict.ON_PAPER, Verdict.OUT_OF_REACH]


@pytest.mark.parametrize(
    ("offset", "verdict"), [(-1e-6, Verdict.ON_PAPER), (0, Verdict.ON_PAPER), (1e-6, Verdict.OUT_OF_REACH)]
)
def test_the_boundary_from_both_sides(offset: float, verdict: Verdict):
    oracle = three_replies()
    found = assess(oracle, oracle.standardise(np.array([0.5, 0.5]) + offset))
    assert found.verdict is verdict
    if verdict is Verdict.ON_PAPER:
        assert found.solution is not None
        assert np.isfinite(found.solution.weights).all()
        assert found.solution.residual < 1e-6


def test_the_certificate_is_a_proof():
    # Even the best reply of every prompt for the mix falls short of the mix of the targets.
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    d = np.array([2.0, 2.0, 2.0, np.nan])
    found = assess(oracle, d)
    w = found.margin.certificate
    assert found.verdict is Verdict.OUT_OF_REACH
    assert w[3] == 0
    assert w @ oracle.best(w) < w[:3] @ d[:3]
    assert found.margin.value == pytest.approx(w @ oracle.best(w) - w[:3] @ d[:3], abs=1e-12)


def test_corners_found_before_do_not_change_an_answer():
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    shared = AttainableLevels(oracle)
    rng = np.random.default_rng(3)
    for d in rng.uniform(0, 1.5, (10, 4)):
        again = shared.margin(d)
        assert again.value == pytest.approx(margin(oracle, d).value, abs=2e-9)


@pytest.mark.parametrize("value", range(4))
def test_highest_level_is_the_edge(value: int):
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=16))
    attainable = AttainableLevels(oracle)
    d = np.array([0.4, 0.3, np.nan, 0.2])
    top = attainable.highest(d, value)
    d[value] = top
    assert attainable.margin(d).value >= -1e-9
    d[value] = top + 1e-3
    assert attainable.margin(d).value < 0


def test_highest_is_unknown_when_the_others_are_out_of_reach():
    oracle = MemoryOracle.of(make_table(prompts=15, candidates=8))
    assert math.isnan(AttainableLevels(oracle).highest(np.array([3.0, 3.0, np.nan, np.nan]), 2))


def test_nearest_palette_is_a_projection():
    # Out of the triangle on the diagonal: with (almost) any budget the nearest point is the middle of the edge.
    oracle = three_replies()
    found = nearest(oracle, oracle.standardise(np.array([0.8, 0.8])), budget=math.log(1.5) - 1e-6)
    assert found is not None
    np.testing.assert_allclose(oracle.rewards_at(found.targets), [0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_palette_can_be_had_and_trusted(seed: int):
    oracle = MemoryOracle.of(make_table(prompts=30, candidates=32, seed=seed))
    d = np.random.default_rng(seed).uniform(1.0, 3.0, 4)
    d[seed % 4] = np.nan
    first = assess(oracle, d)
    assert first.verdict is Verdict.OUT_OF_REACH
    assert first.nearest is not None
    assert np.all(first.nearest.targets[~np.isnan(d)] <= d[~np.isnan(d)] + 1e-12)
    assert first.nearest.solution.kl <= default_budget(oracle) + 1e-6
    again = assess(oracle, first.nearest.targets)
    assert again.verdict is Verdict.REACHABLE
    np.testing.assert_allclose(again.solution.weights, first.nearest.solution.weights, atol=1e-5)


def test_nearest_palette_beats_other_attainable_palettes():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.full(4, 1.5)
    found = nearest(oracle, d, budget=1.0)
    rng = np.random.default_rng(0)
    for x in rng.exponential(0.6, (300, 4)):
        at = oracle.moments(x)
        if x @ at.levels - at.log_normaliser <= 1.0:
            assert np.linalg.norm(np.maximum(0, d - at.levels)) >= found.distance - 1e-6


def test_locked_values_do_not_give_way():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.5, 1.6, 1.6, np.nan])
    locked = np.array([True, False, False, False])
    found = nearest(oracle, d, locked=locked)
    assert found.targets[0] == pytest.approx(0.5, abs=1e-8)
    assert nearest(oracle, np.array([9.0, 0.1, 0.1, np.nan]), locked=locked) is None


def test_few_replies_are_only_on_paper():
    oracle = MemoryOracle.of(make_table(prompts=40, candidates=32))
    top = AttainableLevels(oracle).highest(np.full(4, np.nan), 2)
    found = assess(oracle, np.array([np.nan, np.nan, top - 0.02, np.nan]))
    assert found.verdict is Verdict.ON_PAPER
    assert found.ess.per_prompt < 4
    assert found.nearest is not None
    assert is_trusted(oracle, found.nearest.solution)


def test_a_constant_value_is_kept_or_out_of_reach():
    table = make_table(prompts=10, candidates=16)
    rewards = np.hstack([table.rewards[:, :1], np.full((len(table.rewards), 1), 3.0)])
    oracle: Oracle = MemoryOracle(rewards, table.offsets, ("helpfulness", "constant"), Form.PER_PROMPT)
    for level, verdict in ((3.0, Verdict.REACHABLE), (2.0, Verdict.REACHABLE), (3.1, Verdict.OUT_OF_REACH)):
        found = assess(oracle, oracle.standardise(np.array([table.rewards[:, 0].mean(), level])))
        assert found.verdict is verdict


def test_nothing_asked_is_reachable():
    oracle = MemoryOracle.of(make_table())
    found = assess(oracle, np.full(4, np.nan))
    assert found.verdict is Verdict.REACHABLE
    assert found.solution.kl == 0


@pytest.mark.parametrize("bad", [np.array([np.inf, 0, 0, 0]), np.zeros(3)])
def test_targets_that_are_no_targets(bad: np.ndarray):
    with pytest.raises(InputError, match="expected 4 finite numbers"):
        assess(MemoryOracle.of(make_table()), bad)


def test_a_budget_must_be_above_zero():
    with pytest.raises(InputError, match="above 0"):
        nearest(three_replies(), np.array([2.0, 2.0]), budget=0.0)


def test_assess_uses_a_solution_that_is_known():
    oracle = MemoryOracle.of(make_table())
    d = np.array([0.3, np.nan, 0.2, np.nan])
    known = solve(oracle, d)
    assert assess(oracle, d, solution=known).solution is known
