"""The Pareto frontier of pairs and triples of values at budgets of nats.

For each direction w on the quarter circle of a pair, or the spherical triangle of a triple: maximise w . mu subject
to KL <= b, the other values free or kept at or above their floors. Linear weights suffice: the answer is
x = t w + nu with nu >= 0 on the floors, and t a monotone root, see :mod:`map_core.solver.rays`. Without a budget
every prompt answers with its best reply, a linear program where there are floors. Constraint: standardised units
throughout; every point is returned with the weights that give it; all pairs, budgets and directions move in one batch.

Source: Wang et al., ICLR 2025, Theorem 2 (any point of the frontier is reached by linear weights).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from map_core.errors import InputError
from map_core.feasibility import MARGIN_TOLERANCE, AttainableLevels
from map_core.feasibility.cutting_planes import Corners
from map_core.feasibility.margin import MAX_WEIGHT
from map_core.oracle import Oracle
from map_core.solver.rays import LONGEST, RaySolutions, solve_rays

#: The ends of a pair weigh the other value by this: a trace of weight keeps them on the frontier, not on a flat edge.
TRACE = 1e-6


@dataclass(frozen=True, eq=False)
class Contour:
    """One budget's frontier.

    Args:
        budget: nats; infinite for the limit, where every prompt answers with its best reply.
        weights: (direction, value) x; at the limit the bare direction, with the floors' weights in proportion.
        levels: (direction, value) in standard deviations above base.
        kl: (direction,) nats spent; NaN at the limit with floors, which many mixes of replies reach.
        saturated: (direction,) bool, the limit in this direction costs less than the budget; the weights are then
            the longest that are tried.
    """

    budget: float
    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    saturated: np.ndarray


@dataclass(frozen=True, eq=False)
class Frontier:
    """Contours of a pair of values, one per budget; a contour is empty where the floors alone cost more than that."""

    pair: tuple[int, int]
    floors: np.ndarray
    contours: tuple[Contour, ...]


@dataclass(frozen=True, eq=False)
class Surface:
    """Sheets of three values, one per budget; a sheet is empty where the floors alone cost more than that.

    Args:
        triple: positions of the values.
        floors: (value,) levels that are kept, NaN for free.
        triangles: (triangle, 3) the points of each sheet that a triangle joins.
        contours: the sheets, cheapest first.
    """

    triple: tuple[int, int, int]
    floors: np.ndarray
    triangles: np.ndarray
    contours: tuple[Contour, ...]


def frontier(
    oracle: Oracle,
    pair: tuple[int, int],
    budgets: Sequence[float],
    *,
    floors: np.ndarray | None = None,
    directions: int = 41,
    limit: bool = True,
) -> Frontier:
    """Compute the frontier of a pair at each budget; see :func:`frontiers`."""
    return frontiers(oracle, budgets, pairs=[pair], floors=floors, directions=directions, limit=limit)[0]


def frontiers(
    oracle: Oracle,
    budgets: Sequence[float],
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    floors: np.ndarray | None = None,
    directions: int = 41,
    limit: bool = True,
) -> tuple[Frontier, ...]:
    """Compute the frontiers of many pairs as one batch.

    Args:
        oracle: the table.
        budgets: nats, each above 0.
        pairs: positions of two different values each; all pairs by default.
        floors: (value,) levels in standard deviations above base that the other values must keep, NaN for free.
        directions: points per contour, from all weight on the second value to all on the first; at least 2.
        limit: add the limit contour.

    Returns:
        One frontier per pair, its contours cheapest first.

    Raises:
        InputError: a pair does not name two different values, a budget is not above 0, or there are too few directions.

    Example:
        >>> for frontier in frontiers(oracle, [0.5, 1.0]):  # doctest: +SKIP
        ...     print(frontier.pair, frontier.contours[0].levels)
    """
    chosen = list(combinations(range(len(oracle.values)), 2)) if pairs is None else list(pairs)
    if directions < 2:
        raise InputError(f"directions is {directions}; expected 2 or more points per contour.")
    angles = np.linspace(0.0, math.pi / 2, directions)
    corners = np.maximum(np.column_stack([np.sin(angles), np.cos(angles)]), TRACE)
    results = _contours(oracle, chosen, corners, budgets, floors=floors, limit=limit)
    return tuple(
        Frontier((int(pair[0]), int(pair[1])), kept, contours)
        for pair, (kept, contours) in zip(chosen, results, strict=True)
    )


def surface(
    oracle: Oracle,
    triple: tuple[int, int, int],
    budgets: Sequence[float],
    *,
    floors: np.ndarray | None = None,
    directions: int = 16,
    limit: bool = True,
) -> Surface:
    """Compute the frontier of three values at each budget, as triangles.

    Args:
        oracle: the table.
        triple: positions of three different values.
        budgets: nats, each above 0.
        floors: (value,) levels in standard deviations above base that the other values must keep, NaN for free.
        directions: points along each edge of the triangle, at least 2; an edge is the contour of its pair, with
            a trace of weight on the third value.
        limit: add the limit sheet.

    Returns:
        The sheets, cheapest first; each has directions (directions + 1) / 2 points.

    Raises:
        InputError: the triple does not name three different values, a budget is not above 0, or there are too few
            directions.
    """
    if directions < 2:
        raise InputError(f"directions is {directions}; expected 2 or more points per edge.")
    steps = directions - 1
    grid = np.array([(i, j, steps - i - j) for i in range(directions) for j in range(directions - i)])
    corners = np.maximum(np.sin(grid / steps * (math.pi / 2)), TRACE)
    ((kept, contours),) = _contours(
        oracle, [triple], corners / np.linalg.norm(corners, axis=1)[:, None], budgets, floors=floors, limit=limit
    )
    first, second, third = (int(value) for value in triple)
    return Surface((first, second, third), kept, _triangles(steps), contours)


def _triangles(steps: int) -> np.ndarray:
    """Return (triangle, 3) neighbours among the points (i, j), i + j <= steps, row after row."""
    row = np.concatenate([[0], np.cumsum(np.arange(steps + 1, 0, -1))])
    upright = [(row[i] + j, row[i] + j + 1, row[i + 1] + j) for i in range(steps) for j in range(steps - i)]
    inverted = [
        (row[i] + j + 1, row[i + 1] + j + 1, row[i + 1] + j) for i in range(steps) for j in range(steps - i - 1)
    ]
    return np.array(upright + inverted)


def _contours(
    oracle: Oracle,
    groups: Sequence[tuple[int, ...]],
    corners: np.ndarray,
    budgets: Sequence[float],
    *,
    floors: np.ndarray | None,
    limit: bool,
) -> list[tuple[np.ndarray, tuple[Contour, ...]]]:
    """Compute the floors and contours of groups of values, at directions (direction, member) within a group."""
    size = len(oracle.values)
    for group in groups:
        if len(group) != corners.shape[1] or len(set(group)) < len(group) or not all(0 <= j < size for j in group):
            noun = "pair" if corners.shape[1] == 2 else "triple"
            raise InputError(
                f"The {noun} is {group}; expected {corners.shape[1]} different positions from 0 to {size - 1}."
            )
    if any(not (math.isfinite(b) and b > 0) for b in budgets):
        raise InputError(f"The budgets are {list(budgets)}; expected nats above 0.")
    requested_floors = np.full(size, np.nan) if floors is None else oracle.deviations(floors).copy()
    if requested_floors.shape != (size,) or np.any(np.isinf(requested_floors)):
        raise InputError(
            f"The floors are {requested_floors.tolist()}; expected {size} finite numbers, NaN for a free value."
        )
    unique_budgets = np.unique(np.asarray(budgets, dtype=float))
    w = np.zeros((len(groups), len(corners), size))
    kept = np.tile(requested_floors, (len(groups), 1))
    for index, group in enumerate(groups):
        w[index][:, list(group)] = corners
        kept[index, list(group)] = np.nan
    rays, ray_floors = w.reshape(-1, size), np.repeat(kept, len(corners), axis=0)
    reached = solve_rays(oracle, rays, unique_budgets, floors=ray_floors)
    limits: list[Contour | None] = [None] * len(groups)
    if limit and np.isnan(kept).all():
        limits = _split(_limit(oracle, rays), len(groups))
    elif limit:
        limits = _floored_limits(oracle, w, kept)
    results = []
    for index, group_floors in enumerate(kept):
        part = slice(index * len(corners), (index + 1) * len(corners))
        # The floors cost the same in all directions, so the first direction says whether they are affordable.
        contours = [
            _contour(reached, part if reached.affordable[part.start, column] else slice(0), column, float(b))
            for column, b in enumerate(unique_budgets)
        ]
        limit_contour = limits[index]
        results.append((group_floors, tuple(contours) if limit_contour is None else (*contours, limit_contour)))
    return results


def _contour(reached: RaySolutions, part: slice, column: int, budget: float) -> Contour:
    """Return the contour of some rays of a batch at one budget."""
    arrays = (reached.weights, reached.levels, reached.kl, reached.saturated)
    return Contour(budget, *(array[part, column] for array in arrays))


def _split(contour: Contour, count: int) -> list[Contour | None]:
    """Split a contour into ``count`` contours of equal length."""
    columns = (np.split(array, count) for array in (contour.weights, contour.levels, contour.kl, contour.saturated))
    return [Contour(contour.budget, *arrays) for arrays in zip(*columns, strict=True)]


def _limit(oracle: Oracle, w: np.ndarray) -> Contour:
    """Compute the limit contour, where every prompt answers with its best reply."""
    batch = oracle.batch_moments(LONGEST * w)
    kl = LONGEST * np.sum(w * batch.levels, axis=1) - batch.log_normaliser
    levels = np.array([oracle.best(row) for row in w])
    return Contour(math.inf, w, levels, np.clip(kl, 0.0, oracle.log_candidates), np.ones(len(w), dtype=bool))


def _floored_limits(oracle: Oracle, w: np.ndarray, floors: np.ndarray) -> list[Contour | None]:
    """Mix the best replies for w + nu so that they keep the floors d: nu minimises h(w + nu) - nu . d.

    Args:
        oracle: the table.
        w: (group, direction, value).
        floors: (group, value).

    Returns:
        One contour per group; None where the floors cannot be met.
    """
    attainable, corners = AttainableLevels(oracle), Corners(oracle)
    results: list[Contour | None] = []
    for directions, d in zip(w, floors, strict=True):
        if not attainable.margin(d).attainable:
            results.append(None)
            continue
        kept = ~np.isnan(d) & ~oracle.constant
        cost, slack = np.where(kept, -np.nan_to_num(d), 0.0), np.where(kept, MAX_WEIGHT, 0.0)
        optima = [corners.minimise(cost, x, x + slack, mix=False, tolerance=MARGIN_TOLERANCE) for x in directions]
        weights = np.array([optimum.weights for optimum in optima])
        levels = np.array([optimum.levels for optimum in optima])
        results.append(
            Contour(math.inf, weights, levels, np.full(len(optima), math.nan), np.ones(len(optima), dtype=bool))
        )
    return results
