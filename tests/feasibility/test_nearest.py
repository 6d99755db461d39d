"""The nearest palette: a triangle by hand, a conic solver beside it, budgets, locks, importance, bad input."""

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
from tests.odd_tables import Odd, odd_tables
from tests.tables import make_table


def three_replies() -> MemoryOracle:
    """One prompt whose replies are (0, 0), (1, 0), (0, 1): the attainable levels are that triangle."""
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return MemoryOracle(rewards, np.array([0, 3]), ("helpfulness", "humor"), Form.PER_PROMPT)


@pytest.mark.parametrize(
    ("targets", "expected"), [((0.8, 0.8), (0.5, 0.5)), ((0.9, 0.5), (0.7, 0.3)), ((2, 0), (1, 0))]
)
def test_it_is_the_foot_of_the_perpendicular(targets: tuple[float, float], expected: tuple[float, float]):
    # Out of the triangle, with all nats that there are: the closest point of the edge between (1, 0) and (0, 1).
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


def conic(
    oracle: MemoryOracle, z: np.ndarray, prompts: int, d: np.ndarray, **options: np.ndarray | float
) -> np.ndarray:
    """Compute the nearest palette by cvxpy and Clarabel, over every re-weighting of the replies."""
    import cvxpy as cp

    wanted = np.flatnonzero(~np.isnan(d))
    candidates = len(z) // prompts
    p = cp.Variable((prompts, candidates), nonneg=True)
    levels = z[:, wanted].T @ cp.vec(p, order="C") / prompts
    reached = cp.Variable(len(wanted))
    importance = np.asarray(options.get("importance", np.ones(len(d))))[wanted]
    held = [cp.sum(p, axis=1) == 1, reached <= levels, reached <= d[wanted]]
    if "budget" in options:
        held.append(cp.sum(-cp.entr(p)) / prompts + math.log(candidates) <= options["budget"])
    for j in np.flatnonzero(np.asarray(options.get("locked", np.zeros(len(d), bool)))[wanted]):
        held.append(reached[j] == d[wanted][j])
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(importance, cp.square(reached - d[wanted])))), held)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    full = np.full(len(d), np.nan)
    full[wanted] = reached.value
    return full


@pytest.mark.parametrize("budget", [0.3, 1.0, None])
@pytest.mark.parametrize("locks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_conic_solver_finds(seed: int, locks: bool, budget: float | None):
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
    expected = conic(oracle, z, 8, d, **options)
    closest = nearest(oracle, d, **(options | {"budget": math.log(10) if budget is None else budget}))
    assert closest is not None
    np.testing.assert_allclose(closest.targets, expected, atol=2e-5)
    assert closest.solution.kl <= closest.budget + 1e-8


def test_a_palette_that_can_be_had_is_its_own_nearest():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.2, 0.1, np.nan, 0.2])
    closest = nearest(oracle, d, budget=2.0)
    np.testing.assert_allclose(closest.targets, d, atol=1e-9)
    assert closest.distance < 1e-9
    np.testing.assert_array_equal(closest.solution.weights, solve(oracle, d).weights)


@pytest.mark.parametrize("seed", range(5))
def test_it_can_be_had_and_trusted(seed: int):
    oracle = MemoryOracle.of(make_table(prompts=30, candidates=32, seed=seed))
    d = np.random.default_rng(seed).uniform(1.0, 3.0, 4)
    d[seed % 4] = np.nan
    closest = nearest(oracle, d)
    wanted = ~np.isnan(d)
    assert np.all(closest.targets[wanted] <= d[wanted] + 1e-12)
    assert is_trusted(oracle, closest.solution)
    # And nothing nearer can: a hair's breadth on the way to what was asked for is not to be trusted any more.
    nearer = closest.targets + 1e-3 * (d - closest.targets)
    assert assess(oracle, nearer, closest=False).verdict is not Verdict.REACHABLE
    again = assess(oracle, closest.targets)
    assert again.verdict is Verdict.REACHABLE
    np.testing.assert_allclose(again.solution.weights, closest.solution.weights, atol=1e-5)


def test_it_beats_other_attainable_palettes():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.full(4, 1.5)
    closest = nearest(oracle, d, budget=1.0)
    rng = np.random.default_rng(0)
    for x in rng.exponential(0.6, (300, 4)):
        at = oracle.moments(x)
        if x @ at.levels - at.log_normaliser <= 1.0:
            assert np.linalg.norm(np.maximum(0, d - at.levels)) >= closest.distance - 1e-6


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
    # Nobody can spend more than log K: such a budget is that one.
    assert closest[-1].budget == closest[-2].budget == oracle.log_candidates
    assert closest[-1].distance == pytest.approx(closest[-2].distance, abs=1e-9)


def test_locked_values_do_not_give_way():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.5, 1.6, 1.6, np.nan])
    locked = np.array([True, False, False, False])
    closest = nearest(oracle, d, locked=locked)
    assert closest.targets[0] == pytest.approx(0.5, abs=1e-8)
    assert closest.given_up[0] == pytest.approx(0.0, abs=1e-8)
    assert closest.given_up[1] > 0


def test_locked_values_that_cannot_be_had_or_cost_too_much():
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


def test_everything_locked_is_the_palette_itself():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d = np.array([0.2, 0.1, np.nan, 0.2])
    closest = nearest(oracle, d, locked=np.ones(4, bool), budget=2.0)
    np.testing.assert_allclose(closest.targets, d, atol=1e-8)
    assert nearest(oracle, np.array([0.2, 9.0, np.nan, 0.2]), locked=np.ones(4, bool)) is None


def test_importance_only_counts_against_each_other():
    oracle = MemoryOracle.of(make_table(prompts=20, candidates=16))
    d, importance = np.full(4, 1.5), np.array([1.0, 2.0, 5.0, 0.3])
    once, often = (nearest(oracle, d, importance=factor * importance, budget=1.0) for factor in (1.0, 1e9))
    np.testing.assert_allclose(once.targets, often.targets, atol=1e-8)


def test_without_targets_nothing_is_given_up():
    oracle = MemoryOracle.of(make_table())
    closest = nearest(oracle, np.full(4, np.nan))
    assert np.isnan(closest.targets).all()
    assert closest.distance == 0
    assert closest.solution.kl == 0


def test_corners_found_before_change_nothing():
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
def test_bad_budgets_importances_and_locks_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        nearest(three_replies(), np.array([2.0, 2.0]), **options)


def test_targets_that_are_no_targets():
    with pytest.raises(InputError, match="expected 2 finite numbers"):
        nearest(three_replies(), np.array([2.0, math.inf]))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(odd_tables(), st.sampled_from([None, 1e-9, 0.1, 1.0, 50.0]), st.booleans(), st.booleans())
def test_the_nearest_targets_on_odd_tables_keep_locks_and_budget(
    odd: Odd, budget: float | None, locks: bool, weighs: bool
):
    d, size = odd.targets(1)[0], len(odd.table.values)
    locked = odd.rng.random(size) < 0.2 if locks else None
    importance = 10.0 ** odd.rng.uniform(-3, 3, size) if weighs else None
    closest = nearest(odd.oracle, d, budget=budget, locked=locked, importance=importance)
    if closest is None:
        assert locks
        return
    wanted = ~np.isnan(d)
    assert np.isfinite(closest.distance)
    assert np.isfinite(closest.solution.weights).all()
    assert np.array_equal(np.isnan(closest.targets), ~wanted)
    assert np.all(closest.targets[wanted] <= d[wanted])
    assert closest.solution.kl <= closest.budget + 1e-8
    # They are attainable, within rounding of the weights that it takes.
    assert odd.most(closest.targets) >= -1e-7
    if locked is not None:
        held = locked & wanted & ~odd.oracle.constant
        np.testing.assert_allclose(closest.targets[held], d[held], atol=1e-6)
