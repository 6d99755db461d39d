"""Tests of the nearest palette: by hand, against a conic solver, budgets, locks, importance, invalid input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.nearest import nearest
from map_core.feasibility.trust import is_trusted
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.odd_tables import OddTable, odd_tables
from tests.tables import make_table


def three_replies() -> MemoryOracle:
    """Return one prompt with replies (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


@pytest.mark.parametrize(
    ("targets", "expected"), [((0.8, 0.8), (0.5, 0.5)), ((0.9, 0.5), (0.7, 0.3)), ((2, 0), (1, 0))]
)
def test_nearest_palette_is_the_orthogonal_projection(targets: tuple[float, float], expected: tuple[float, float]):
    # Targets outside the triangle, with the largest budget: the closest point on the edge from (1, 0) to (0, 1).
    oracle = three_replies()
    closest = nearest(oracle, oracle.standardise(np.array(targets)), budget=math.log(3))
    assert closest is not None
    np.testing.assert_allclose(oracle.rewards_at(closest.targets), expected, atol=1e-5)


def test_importance_by_hand():
    # (0.8, 0.8) is 0.6 too much on the edge x + y = 1; shared in the inverse ratio of importances 1 to 3.
    oracle = three_replies()
    d = oracle.standardise(np.array([0.8, 0.8]))
    closest = nearest(oracle, d, budget=math.log(3), importance=np.array([1.0, 3.0]))
    np.testing.assert_allclose(oracle.rewards_at(closest.targets), [0.8 - 0.45, 0.8 - 0.15], atol=1e-5)
    np.testing.assert_allclose(closest.given_up * oracle.scale, [0.45, 0.15], atol=1e-5)
    assert closest.distance == pytest.approx(math.sqrt(0.45**2 + 3 * 0.15**2) / oracle.scale[0], abs=1e-5)


def nearest_by_conic_solver(
    oracle: MemoryOracle, z: np.ndarray, prompts: int, d: np.ndarray, **options: np.ndarray | float
) -> np.ndarray:
    """Compute the nearest palette by cvxpy and Clarabel, over every re-weighting of the replies."""
    import cvxpy as cp

    targeted = np.flatnonzero(~np.isnan(d))
    candidates = len(z) // prompts
    p = cp.Variable((prompts, candidates), nonneg=True)
    levels = z[:, targeted].T @ cp.vec(p, order="C") / prompts
    reduced = cp.Variable(len(targeted))
    importance = np.asarray(options.get("importance", np.ones(len(d))))[targeted]
    constraints = [cp.sum(p, axis=1) == 1, reduced <= levels, reduced <= d[targeted]]
    if "budget" in options:
        constraints.append(cp.sum(-cp.entr(p)) / prompts + math.log(candidates) <= options["budget"])
    for j in np.flatnonzero(np.asarray(options.get("locked", np.zeros(len(d), bool)))[targeted]):
        constraints.append(reduced[j] == d[targeted][j])
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(importance, cp.square(reduced - d[targeted])))), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    result = np.full(len(d), np.nan)
    result[targeted] = reduced.value
    return result


@pytest.mark.parametrize("budget", [0.3, 1.0, None])
@pytest.mark.parametrize("locks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_nearest_palette_matches_a_conic_solver(seed: int, locks: bool, budget: float | None):
    rng = np.random.default_rng(seed)
    table = make_table(prompts=8, candidates=10, seed=seed)
    oracle = MemoryOracle.of(table)
    z = oracle.standardise(table.rewards)
    d = rng.uniform(0.8, 2.5, 4)
    d[seed % 4] = np.nan
    options: dict = {"importance": np.exp(rng.normal(size=4))}
    if budget is not None:
        options["budget"] = budget
    if locks:
        options["locked"] = np.arange(4) == (seed + 1) % 4
        d[(seed + 1) % 4] = 0.3
    expected = nearest_by_conic_solver(oracle, z, 8, d, **options)
    closest = nearest(oracle, d, **(options | {"budget": math.log(10) if budget is None else budget}))
    assert closest is not None
    np.testing.assert_allclose(closest.targets, expected, atol=2e-5)
    assert closest.solution.kl <= closest.budget + 1e-8


def test_reachable_palette_is_its_own_nearest():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.2, 0.1, np.nan, 0.2])
    closest = nearest(oracle, d, budget=2.0)
    np.testing.assert_allclose(closest.targets, d, atol=1e-9)
    assert closest.distance < 1e-9
    np.testing.assert_array_equal(closest.solution.weights, solve(oracle, d).weights)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_palette_is_reachable_and_a_closer_one_is_not(seed: int):
    oracle = MemoryOracle.of(make_table(prompts=30, candidates=32, seed=seed))
    d = np.random.default_rng(seed).uniform(1.0, 3.0, 4)
    d[seed % 4] = np.nan
    closest = nearest(oracle, d)
    targeted = ~np.isnan(d)
    assert np.all(closest.targets[targeted] <= d[targeted] + 1e-12)
    assert is_trusted(oracle, closest.solution)
    # A slightly closer palette, in the direction of the targets, is not reachable any more.
    closer = closest.targets + 1e-3 * (d - closest.targets)
    assert assess(oracle, closer, closest=False).verdict is not Verdict.REACHABLE
    assessment = assess(oracle, closest.targets)
    assert assessment.verdict is Verdict.REACHABLE
    np.testing.assert_allclose(assessment.solution.weights, closest.solution.weights, atol=1e-5)


def test_nearest_palette_is_closer_than_random_attainable_ones():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.full(4, 1.5)
    closest = nearest(oracle, d, budget=1.0)
    rng = np.random.default_rng(0)
    for x in rng.exponential(0.6, (300, 4)):
        moments = oracle.moments(x)
        if x @ moments.levels - moments.log_normaliser <= 1.0:
            assert np.linalg.norm(np.maximum(0, d - moments.levels)) >= closest.distance - 1e-6


@pytest.mark.parametrize("form", list(Form))
def test_a_larger_budget_is_never_further(form: Form):
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16), form)
    d = np.array([2.0, 1.0, 1.5, np.nan])
    budgets = [1e-12, 1e-6, 0.01, 0.1, 0.5, 1.0, 2.0, 2.5, oracle.log_candidates, 50.0]
    closest = [nearest(oracle, d, budget=budget) for budget in budgets]
    distances = [palette.distance for palette in closest]
    assert np.all(np.diff(distances) <= 1e-6)
    assert all(palette.solution.kl <= budget + 1e-8 for palette, budget in zip(closest, budgets, strict=True))
    assert closest[0].solution.kl <= 1e-9
    # No weights cost more than log K, so larger budgets are reduced to it.
    assert closest[-1].budget == closest[-2].budget == oracle.log_candidates
    assert closest[-1].distance == pytest.approx(closest[-2].distance, abs=1e-9)


def test_locked_values_are_not_lowered():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.5, 1.6, 1.6, np.nan])
    locked = np.array([True, False, False, False])
    closest = nearest(oracle, d, locked=locked)
    assert closest.targets[0] == pytest.approx(0.5, abs=1e-8)
    assert closest.given_up[0] == pytest.approx(0.0, abs=1e-8)
    assert closest.given_up[1] > 0


def test_locked_values_out_of_reach_or_over_budget_have_no_nearest():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    locked = np.array([True, False, False, False])
    assert nearest(oracle, np.array([9.0, 0.1, 0.1, np.nan]), locked=locked) is None
    d = np.array([1.2, 0.1, 0.1, np.nan])
    assert nearest(oracle, d, locked=locked, budget=0.1) is None
    assert nearest(oracle, d, locked=locked, budget=2.0) is not None


def test_without_a_budget_locked_values_have_to_be_trusted():
    oracle = MemoryOracle.of(make_table(prompts=40, candidates=32))
    top = AttainableLevels(oracle).highest(np.full(4, np.nan), 2)
    d, locked = np.array([1.0, np.nan, top - 0.02, np.nan]), np.array([False, False, True, False])
    assert nearest(oracle, d, locked=locked, budget=oracle.log_candidates) is not None
    assert nearest(oracle, d, locked=locked) is None


def test_nearest_palette_with_all_values_locked_is_the_palette_itself():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.2, 0.1, np.nan, 0.2])
    closest = nearest(oracle, d, locked=np.ones(4, bool), budget=2.0)
    np.testing.assert_allclose(closest.targets, d, atol=1e-8)
    assert nearest(oracle, np.array([0.2, 9.0, np.nan, 0.2]), locked=np.ones(4, bool)) is None


def test_common_factor_of_the_importance_changes_nothing():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d, importance = np.full(4, 1.5), np.array([1.0, 2.0, 5.0, 0.3])
    plain, scaled = (nearest(oracle, d, importance=factor * importance, budget=1.0) for factor in (1.0, 1e9))
    np.testing.assert_allclose(plain.targets, scaled.targets, atol=1e-8)


def test_without_targets_nothing_is_given_up():
    oracle = MemoryOracle.of(make_table())
    closest = nearest(oracle, np.full(4, np.nan))
    assert np.isnan(closest.targets).all()
    assert closest.distance == 0
    assert closest.solution.kl == 0


def test_shared_corners_do_not_change_the_nearest_palette():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d, locked = np.array([0.5, 1.6, 1.6, np.nan]), np.array([True, False, False, False])
    shared = AttainableLevels(oracle)
    shared.margin(d)
    first, second = nearest(oracle, d, locked=locked), nearest(oracle, d, locked=locked, attainable=shared)
    np.testing.assert_array_equal(first.targets, second.targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0.0}, "budget is 0.0 nats; expected a number above 0"),
        ({"budget": -1.0}, "above 0"),
        ({"budget": math.nan}, "budget is nan"),
        ({"importance": np.array([1.0, 0.0])}, "expected 2 numbers above 0"),
        ({"importance": np.array([1.0, math.nan])}, "expected 2 numbers above 0"),
        ({"importance": np.array([1.0, math.inf])}, "expected 2 numbers above 0"),
        ({"importance": np.ones(3)}, "expected 2 numbers above 0"),
        ({"locked": np.ones(3, bool)}, "expected 2 of True and False"),
        ({"locked": np.array([0, 1])}, "expected 2 of True and False"),
    ],
)
def test_invalid_budgets_importances_and_locks_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        nearest(three_replies(), np.array([2.0, 2.0]), **options)


def test_invalid_targets_are_refused():
    with pytest.raises(InputError, match="expected 2 finite numbers"):
        nearest(three_replies(), np.array([2.0, math.inf]))


@settings(max_examples=200)
@given(odd_tables(), st.sampled_from([None, 1e-9, 0.1, 1.0, 50.0]), st.booleans(), st.booleans())
def test_the_nearest_targets_on_odd_tables_keep_locks_and_budget(
    odd: OddTable, budget: float | None, with_locks: bool, with_importance: bool
):
    d, size = odd.targets(1)[0], len(odd.table.values)
    locked = odd.rng.random(size) < 0.2 if with_locks else None
    importance = 10.0 ** odd.rng.uniform(-3, 3, size) if with_importance else None
    closest = nearest(odd.oracle, d, budget=budget, locked=locked, importance=importance)
    if closest is None:
        assert with_locks
        return
    targeted = ~np.isnan(d)
    assert np.isfinite(closest.distance)
    assert np.isfinite(closest.solution.weights).all()
    assert np.array_equal(np.isnan(closest.targets), ~targeted)
    assert np.all(closest.targets[targeted] <= d[targeted])
    assert closest.solution.kl <= closest.budget + 1e-8
    # They are attainable, up to rounding errors of the weights.
    assert odd.true_margin(closest.targets) >= -1e-7
    if locked is not None:
        kept_locks = locked & targeted & ~odd.oracle.constant
        np.testing.assert_allclose(closest.targets[kept_locks], d[kept_locks], atol=1e-6)
