"""The Pareto frontier of a pair of values at a budget of nats.

For each direction w on the quarter circle of the pair: maximise w . mu subject to KL <= b, the other values free
or kept at or above their targets. Linear weights suffice: without floors the answer is x = t w with
KL(t w) = b, a monotone root in t; with floors it is x = t w + nu, nu >= 0 on the floors. Constraint: standardised
units throughout; every point is returned with the weights that give it.

Source: Wang et al., ICLR 2025, Theorem 2 (any point of the frontier is reached by linear weights).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, elementwise

from map_core.dual import Status, solve
from map_core.errors import InputError
from map_core.oracle import Oracle

#: Weights of a pair beyond this many nats per standard deviation are taken for the limit.
LONGEST = 1e4


@dataclass(frozen=True, eq=False)
class Contour:
    """One budget's frontier.

    Args:
        budget: nats; infinite for the limit, where every prompt answers with its best reply.
        weights: (direction, value) x; the bare direction at the limit.
        levels: (direction, value) in standard deviations above base.
        kl: (direction,) nats spent.
    """

    budget: float
    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray


@dataclass(frozen=True, eq=False)
class Frontier:
    """Contours of a pair of values, a budget each; empty where the floors alone cost more than the budget."""

    pair: tuple[int, int]
    floors: np.ndarray
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
    """The frontier of a pair at each budget.

    Args:
        oracle: the table.
        pair: positions of two different values.
        budgets: nats, each above 0.
        floors: (value,) levels in standard deviations above base that the other values must keep, NaN for free.
        directions: points a contour, from all weight on the second value to all on the first.
        limit: add the limit contour; only without floors.

    Returns:
        The contours, cheapest first.

    Raises:
        InputError: the pair is no pair, or a budget is not above 0.
    """
    size = len(oracle.values)
    first, second = pair
    if first == second or not (0 <= first < size and 0 <= second < size):
        raise InputError(f"The pair is {pair}; expected two different positions from 0 to {size - 1}.")
    if any(not (math.isfinite(b) and b > 0) for b in budgets):
        raise InputError(f"The budgets are {list(budgets)}; expected nats above 0.")
    kept = np.full(size, np.nan) if floors is None else np.array(floors, dtype=float)
    kept[[first, second]] = np.nan
    angles = np.linspace(0.0, math.pi / 2, directions)
    w = np.zeros((directions, size))
    w[:, first], w[:, second] = np.sin(angles), np.cos(angles)
    # The end points may drop a value altogether; a trace of weight keeps them on the frontier, not on a flat edge.
    w[0, first] = w[-1, second] = 1e-6

    if np.isnan(kept).all():
        contours = _free_contours(oracle, w, sorted(budgets))
        if limit:
            levels = np.array([oracle.best(row) for row in w])
            contours.append(Contour(math.inf, w, levels, np.full(directions, math.nan)))
    else:
        contours = [_floored_contour(oracle, w, budget, kept) for budget in sorted(budgets)]
    return Frontier((first, second), kept, tuple(contours))


def _free_contours(oracle: Oracle, w: np.ndarray, budgets: Sequence[float]) -> list[Contour]:
    """All budgets and directions at once: the root t of KL(t w) = b."""
    which = np.tile(np.arange(len(w)), len(budgets))
    budget = np.repeat(budgets, len(w))

    def spent_over(log_t: np.ndarray, row: np.ndarray, budget: np.ndarray) -> np.ndarray:
        x = np.exp(log_t)[:, None] * w[row.astype(int)]
        at = oracle.many(x)
        return np.sum(x * at.levels, axis=1) - at.log_normaliser - budget

    low, high = np.full(len(which), math.log(1e-6)), np.full(len(which), math.log(LONGEST))
    root = elementwise.find_root(
        spent_over, (low, high), args=(which.astype(float), budget), tolerances={"xatol": 1e-9}
    )
    # No sign change means that even the limit costs less than the budget: its weights stand for it.
    log_t = np.where(root.success, root.x, high)
    x = np.exp(log_t)[:, None] * w[which]
    at = oracle.many(x)
    levels, kl = at.levels, np.sum(x * at.levels, axis=1) - at.log_normaliser
    parts = [slice(i * len(w), (i + 1) * len(w)) for i in range(len(budgets))]
    return [Contour(float(b), x[p], levels[p], kl[p]) for b, p in zip(budgets, parts, strict=True)]


def _floored_contour(oracle: Oracle, w: np.ndarray, budget: float, floors: np.ndarray) -> Contour:
    """One budget with floors: for each direction the root t of KL(t w + nu(t)) = b, warm-started along the contour."""
    base = solve(oracle, floors)
    empty = np.empty((0, len(floors)))
    if base.status is not Status.CONVERGED or base.kl > budget:
        return Contour(budget, empty, empty, np.empty(0))
    start, guess = base.weights, 1.0
    rows = []
    for direction in w:
        solutions: dict[float, tuple[np.ndarray, np.ndarray, float]] = {}

        def over(t: float, direction: np.ndarray = direction, solutions: dict = solutions) -> float:
            nonlocal start
            solution = solve(oracle, floors, tilt=t * direction, start=start)
            start = solution.weights
            solutions[t] = (solution.weights + t * direction, solution.levels, solution.kl)
            return solution.kl - budget

        high = guess
        while over(high) < 0 and high < LONGEST:
            high *= 2.0
        t = brentq(over, 0.0, high, xtol=1e-6, rtol=1e-6) if solutions[high][2] > budget else high
        if t not in solutions:
            over(t)
        guess = max(t, 1e-3)
        rows.append(solutions[t])
    weights, levels, kl = (np.array(column) for column in zip(*rows, strict=True))
    return Contour(budget, weights, levels, kl)
