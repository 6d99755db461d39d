"""Well spread palettes on the frontier of several values: directions far apart, each followed to a budget.

Every palette lies on the frontier of the chosen values, so none is dominated by another at the same cost; together
they show which trade-offs a budget allows. Constraint: deterministic; standardised units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.analysis.frontier import TRACE
from map_core.errors import InputError
from map_core.feasibility.trust import log_trust
from map_core.oracle import Oracle
from map_core.solver.rays import solve_rays

#: Directions that the well spread ones are picked from, as a power of 2.
CANDIDATES = 11


@dataclass(frozen=True, eq=False)
class FrontierSpread:
    """Palettes on the frontier of some values, cheapest budget first.

    Args:
        values: positions of the values that are weighed.
        budget: (line,) nats that each palette may spend.
        weights: (line, value) x.
        levels: (line, value) in standard deviations above base.
        kl: (line,) nats that it spends.
        trusted: (line,) bool, the effective number of replies is large enough.
    """

    values: tuple[int, ...]
    budget: np.ndarray
    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    trusted: np.ndarray


def spread_frontier(
    oracle: Oracle,
    values: Sequence[int],
    budgets: Sequence[float],
    *,
    lines: int = 24,
    floors: np.ndarray | None = None,
) -> FrontierSpread:
    """Compute palettes in well spread directions at each budget.

    Args:
        oracle: the table.
        values: positions of two or more different values to weigh.
        budgets: nats, each above 0.
        lines: directions per budget, at least as many as there are values.
        floors: (value,) levels that the other values must keep, in standard deviations above base, NaN for free.

    Returns:
        The palettes; a budget has none where the floors alone cost more.

    Raises:
        InputError: fewer than two values or one twice, a budget that is not above 0, or too few lines.

    Example:
        >>> spread_frontier(oracle, (0, 1, 2), [1.0]).levels.shape  # doctest: +SKIP
        (24, 8)
    """
    chosen = tuple(int(j) for j in values)
    size = len(oracle.values)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen) or not all(0 <= j < size for j in chosen):
        raise InputError(f"The values are {list(values)}; expected 2 or more different positions from 0 to {size - 1}.")
    if lines < len(chosen):
        raise InputError(f"lines is {lines}; expected {len(chosen)} or more, one per value.")
    unique_budgets = np.unique(np.asarray(budgets, dtype=float))
    if not len(unique_budgets) or not np.all(np.isfinite(unique_budgets) & (unique_budgets > 0)):
        raise InputError(f"The budgets are {list(budgets)}; expected nats above 0.")
    rays = np.zeros((lines, size))
    rays[:, list(chosen)] = np.maximum(spread_directions(len(chosen), lines), TRACE)
    ray_floors = np.full(size, np.nan) if floors is None else oracle.deviations(floors).copy()
    ray_floors[list(chosen)] = np.nan
    solutions = solve_rays(oracle, rays, unique_budgets, floors=ray_floors)
    # Transposed, so that the palettes are ordered by budget and then by direction.
    row, column = np.nonzero(solutions.affordable.T)[::-1]
    weights = solutions.weights[row, column]
    batch = oracle.batch_moments(weights)
    ess = np.array([(sample.per_prompt, sample.pooled) for sample in oracle.sample_sizes(batch)]).reshape(-1, 2)
    trusted = log_trust(oracle, ess[:, 0], ess[:, 1]) >= 0
    return FrontierSpread(
        chosen, unique_budgets[column], weights, solutions.levels[row, column], solutions.kl[row, column], trusted
    )


def spread_directions(size: int, count: int) -> np.ndarray:
    """Return nonnegative directions that are far apart, the axes of the values first.

    Each further direction is the candidate whose closest neighbour is farthest away.

    Args:
        size: number of values, 1 or more.
        count: number of directions, at least ``size``.

    Returns:
        (direction, value) of length 1.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """
    from scipy.stats.qmc import Sobol

    points = Sobol(size, scramble=False).random_base2(CANDIDATES)[1:]
    # The sine spaces angles evenly, as on the quarter circle of a pair.
    candidates = np.vstack([np.ones(size), np.sin(0.5 * math.pi * points)])
    candidates /= np.linalg.norm(candidates, axis=1)[:, None]
    directions = list(np.eye(size)[:count])
    closest = np.max(candidates @ np.array(directions).T, axis=1)
    while len(directions) < count:
        best = int(np.argmin(np.round(closest, 12)))
        directions.append(candidates[best])
        closest = np.maximum(closest, candidates @ candidates[best])
    return np.array(directions)
