"""Tests of the frontier: points spend their budget, and no distribution over replies dominates them."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from map_core.analysis.frontier import Contour, frontier, frontiers, surface
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from tests.lazy import LazyModule
from tests.odd_tables import OddTable, odd_tables
from tests.tables import make_table

cvxpy = LazyModule("cvxpy")
NO_FLOORS = np.full(4, np.nan)
FLOORS = np.array([np.nan, np.nan, 0.3, 0.1])


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=15, candidates=16), request.param)


@pytest.fixture(scope="module")
def small() -> tuple[MemoryOracle, np.ndarray]:
    """Return six prompts of eight replies, and their standardised rewards (prompt, candidate, value)."""
    table = make_table(prompts=6, candidates=8)
    oracle = MemoryOracle.of(table)
    return oracle, oracle.standardise(table.rewards).reshape(6, 8, 4)


def test_one_value_alone_by_hand():
    # Two replies (0, 0) and (1, 0): all weight on the first value, KL(q) = log 2 + q log q + (1-q) log(1-q) = b.
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("helpfulness", "humor"), Form.PER_PROMPT)
    q = 0.8
    budget = math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)
    contour = frontier(oracle, (0, 1), [budget], directions=5).contours[0]
    assert oracle.rewards_at(contour.levels[-1])[0] == pytest.approx(q, abs=1e-6)


def test_points_spend_their_budget_and_lie_in_order(oracle: MemoryOracle):
    result = frontier(oracle, (0, 1), [1.0, 0.25])
    assert [c.budget for c in result.contours] == [0.25, 1.0, math.inf]
    for contour in result.contours[:2]:
        np.testing.assert_allclose(contour.kl, contour.budget, rtol=1e-9)
        assert np.all(np.diff(contour.levels[:, 0]) >= -1e-9)
        assert np.all(np.diff(contour.levels[:, 1]) <= 1e-9)
        assert np.all(contour.weights >= 0)
        assert not contour.saturated.any()
        for x, levels in zip(contour.weights, contour.levels, strict=True):
            np.testing.assert_allclose(oracle.moments(x).levels, levels, atol=1e-9)


def test_all_pairs_at_once_equal_separate_pairs(oracle: MemoryOracle):
    joint = frontiers(oracle, [0.5, 1.5], directions=7)
    assert [result.pair for result in joint] == list(combinations(range(4), 2))
    for result in joint:
        separate = frontier(oracle, result.pair, [0.5, 1.5], directions=7)
        for contour, separate_contour in zip(result.contours, separate.contours, strict=True):
            assert contour.budget == separate_contour.budget
            np.testing.assert_allclose(contour.levels, separate_contour.levels, atol=1e-8)


def test_all_pairs_with_floors_equal_separate_pairs(oracle: MemoryOracle):
    floors = np.array([0.1, 0.0, 0.2, np.nan])
    for result in frontiers(oracle, [0.5], directions=5, floors=floors):
        separate = frontier(oracle, result.pair, [0.5], directions=5, floors=floors)
        floored = [j for j in range(3) if j not in result.pair]
        assert list(np.flatnonzero(~np.isnan(result.floors))) == floored
        for contour, separate_contour in zip(result.contours, separate.contours, strict=True):
            np.testing.assert_allclose(contour.levels, separate_contour.levels, atol=1e-7)
            assert np.all(contour.levels[:, floored] >= floors[floored] - 1e-8)


def largest_gain(z: np.ndarray, contour: Contour, point: int, values: tuple[int, ...], floors: np.ndarray) -> float:
    """Return the largest gain over a point by any distribution over replies within the budget.

    It maximises the smallest gain among ``values``, over all distributions with KL <= b that keep the floors; ``z`` are
    standardised rewards (prompt, candidate, value).
    """
    prompts, candidates, size = z.shape
    p = cvxpy.Variable((prompts, candidates), nonneg=True)
    gain = cvxpy.Variable()
    levels = [cvxpy.sum(cvxpy.multiply(p, z[:, :, j])) / prompts for j in range(size)]
    constraints = [cvxpy.sum(p, axis=1) == 1, *(levels[j] >= contour.levels[point, j] + gain for j in values)]
    if math.isfinite(contour.budget):
        constraints.append(cvxpy.sum(cvxpy.kl_div(p, 1 / candidates)) / prompts <= contour.budget)
    constraints += [levels[j] >= floors[j] for j in np.flatnonzero(~np.isnan(floors))]
    problem = cvxpy.Problem(cvxpy.Maximize(gain), constraints)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(gain.value)


@pytest.mark.parametrize("floors", [NO_FLOORS, FLOORS], ids=["free", "floors"])
def test_linear_weights_suffice(small: tuple[MemoryOracle, np.ndarray], floors: np.ndarray):
    """A conic solver over all distributions finds none that dominates a point of the frontier."""
    oracle, z = small
    for contour in frontier(oracle, (0, 1), [0.2, 0.8], floors=floors, directions=7).contours:
        for point in range(1, 6):
            assert abs(largest_gain(z, contour, point, (0, 1), floors)) < 1e-6


def test_linear_weights_suffice_for_three_values(small: tuple[MemoryOracle, np.ndarray]):
    oracle, z = small
    floors = np.array([np.nan, np.nan, np.nan, 0.2])
    for contour in surface(oracle, (0, 1, 2), [0.5], floors=floors, directions=5).contours:
        for point in range(0, 15, 2):
            assert largest_gain(z, contour, point, (0, 1, 2), floors) < 1e-6


def test_no_random_distribution_dominates_the_frontier(small: tuple[MemoryOracle, np.ndarray]):
    """Random distributions are mixed with the base model until they fit the budget."""
    oracle, z = small
    rng = np.random.default_rng(0)
    points = frontier(oracle, (0, 1), [0.5], limit=False).contours[0].levels[:, :2]
    for _ in range(3000):
        p = rng.dirichlet(np.full(8, rng.choice([0.1, 0.5, 2.0])), 6)
        for share in (1.0, 0.7, 0.4):
            mixture = share * p + (1 - share) / 8
            with np.errstate(divide="ignore", invalid="ignore"):
                nats = np.nansum(mixture * np.log(8 * mixture)) / 6
            if nats <= 0.5:
                levels = np.einsum("ik,ikj->j", mixture, z)[:2] / 6
                assert not np.any(np.all(levels > points + 1e-6, axis=1))
                break


def test_floors_are_kept_and_lower_the_contour(oracle: MemoryOracle):
    floors = np.array([np.nan, np.nan, 0.3, np.nan])
    without_floors = frontier(oracle, (0, 1), [0.5], directions=9, limit=False).contours[0]
    floored = frontier(oracle, (0, 1), [0.5], floors=floors, directions=9).contours[0]
    np.testing.assert_allclose(floored.kl, 0.5, rtol=1e-9)
    assert np.all(floored.levels[:, 2] >= 0.3 - 1e-9)
    directions = np.column_stack([np.sin(np.linspace(0, np.pi / 2, 9)), np.cos(np.linspace(0, np.pi / 2, 9))])
    reach_without_floors = np.sum(directions * without_floors.levels[:, :2], axis=1)
    reach_floored = np.sum(directions * floored.levels[:, :2], axis=1)
    assert np.all(reach_floored <= reach_without_floors + 1e-6)
    assert np.any(reach_floored < reach_without_floors - 1e-3)


def test_the_limit_with_floors_is_a_linear_program(small: tuple[MemoryOracle, np.ndarray]):
    oracle, z = small
    limit = frontier(oracle, (0, 1), [], floors=FLOORS, directions=5).contours[-1]
    mix = np.repeat(np.eye(6), 8, axis=1)
    for angle, levels in zip(np.linspace(0, np.pi / 2, 5), limit.levels, strict=True):
        w = np.array([math.sin(angle), math.cos(angle), 0, 0])
        contributions = z.reshape(48, 4) / 6
        best = linprog(-contributions @ w, A_ub=-contributions[:, 2:].T, b_ub=-FLOORS[2:], A_eq=mix, b_eq=np.ones(6))
        assert w @ levels == pytest.approx(-best.fun, abs=1e-5)
        assert np.all(levels[2:] >= FLOORS[2:] - 1e-7)


def test_floors_beyond_the_budget_leave_an_empty_contour(oracle: MemoryOracle):
    floors = np.array([np.nan, np.nan, 0.6, np.nan])
    result = frontier(oracle, (0, 1), [0.01, 1.0], floors=floors, directions=5)
    assert result.contours[0].levels.shape == (0, 4)
    assert len(result.contours[1].levels) == 5


def test_floors_out_of_reach_give_empty_contours(oracle: MemoryOracle):
    result = frontier(oracle, (0, 1), [0.5, 1.0], floors=np.array([np.nan, np.nan, 40.0, np.nan]))
    assert [len(contour.levels) for contour in result.contours] == [0, 0]


def test_budget_above_the_largest_kl_gives_the_limit():
    oracle = MemoryOracle.of(make_table(prompts=10, candidates=4))
    large_budget, limit = frontier(oracle, (0, 1), [50.0], directions=7).contours
    np.testing.assert_allclose(large_budget.levels, limit.levels, atol=1e-6)
    np.testing.assert_allclose(limit.kl, oracle.log_candidates, atol=1e-6)
    assert large_budget.saturated.all()
    assert np.all(np.isfinite(large_budget.weights))


def test_edges_of_a_surface_are_frontiers_of_pairs(oracle: MemoryOracle):
    result = surface(oracle, (0, 1, 2), [0.7], directions=9)
    assert [contour.budget for contour in result.contours] == [0.7, math.inf]
    sheet = result.contours[0]
    assert sheet.levels.shape == (45, 4)
    edge = np.flatnonzero(sheet.weights[:, 2] < 1e-3)
    pair = frontier(oracle, (0, 1), [0.7], directions=9, limit=False).contours[0]
    order = np.argsort(sheet.levels[edge, 0])
    np.testing.assert_allclose(sheet.levels[edge][order], pair.levels, atol=1e-4)


def test_the_triangles_of_a_surface_cover_it_once(oracle: MemoryOracle):
    result = surface(oracle, (0, 1, 2), [0.7], directions=6, limit=False)
    assert result.triangles.shape == (25, 3)
    sides = np.sort(result.triangles[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1)
    _, counts = np.unique(sides, axis=0, return_counts=True)
    # Inner sides belong to two triangles, the fifteen sides on the boundary (five per edge) to one.
    assert np.sum(counts == 1) == 15
    assert np.all(counts <= 2)
    assert set(result.triangles.ravel()) == set(range(21))


@pytest.mark.parametrize(
    ("pair", "budgets"),
    [((0, 0), [1.0]), ((0, 9), [1.0]), ((0, 1), [0.0]), ((0, 1), [-1.0]), ((0, 1), [math.nan]), ((0, 1), [math.inf])],
)
def test_invalid_pairs_and_budgets_are_refused(oracle: MemoryOracle, pair: tuple[int, int], budgets: list[float]):
    with pytest.raises(InputError, match="expected"):
        frontier(oracle, pair, budgets)


def test_invalid_triples_directions_and_floors_are_refused(oracle: MemoryOracle):
    with pytest.raises(InputError, match="triple"):
        surface(oracle, (0, 1, 1), [1.0])
    with pytest.raises(InputError, match="directions"):
        frontier(oracle, (0, 1), [1.0], directions=1)
    with pytest.raises(InputError, match="points per edge"):
        surface(oracle, (0, 1, 2), [1.0], directions=1)
    with pytest.raises(InputError, match="floors"):
        frontier(oracle, (0, 1), [1.0], floors=np.array([1.0]))
    with pytest.raises(InputError, match="floors"):
        frontier(oracle, (0, 1), [1.0], floors=np.array([np.nan, np.nan, math.inf, np.nan]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(odd=odd_tables(), budget=st.floats(1e-6, 6.0), with_floors=st.booleans())
def test_points_of_odd_tables_keep_budgets_and_floors(odd: OddTable, budget: float, with_floors: bool):
    last = len(odd.oracle.values) - 1
    if last < 1:
        return
    floors = odd.targets(1)[0] if with_floors else None
    for result in frontiers(odd.oracle, [budget], pairs=[(0, 1), (last, 0)], floors=floors, directions=5):
        floored = ~np.isnan(result.floors)
        for contour in result.contours:
            assert np.all(np.isfinite(contour.weights))
            assert np.all(contour.levels[:, floored] >= result.floors[floored] - 1e-5)
            if math.isfinite(contour.budget):
                spent = np.abs(contour.kl - budget) <= 1e-6 * budget + 1e-7
                assert np.all(spent | (contour.saturated & (contour.kl <= budget)))
