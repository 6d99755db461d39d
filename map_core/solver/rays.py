"""Find the points along directions of weights that spend a budget: many directions and budgets at once.

Along x = t w + nu, with nu >= 0 the weights that hold the floors,

    B(t) = min over nu >= 0 of A(t w + nu) - nu . floors,    u(t) = B'(t) = w . levels,    KL(t) = t u - B

so d KL / d u = t, and with s = sqrt(KL - KL(0)) the level u(s) is smooth with the slope 2 s / t.
Each pass over the table therefore gives a value and a slope of u at no extra cost. The Hermite polynomial through the
points of a ray proposes the next one, and all budgets of a ray share its points. A bracket in t safeguards every root.
Constraint: standardised units; each pass advances every root that has not converged.

Source: the conjugate of A, see Boyd and Vandenberghe, "Convex Optimization", 2004, section 3.3; the polynomial is
Hermite's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many

#: Largest length of weights, in nats per standard deviation of the direction, that stands for the limit; with floors.
LONGEST, LONGEST_FLOORED = 1e7, 1e4
#: How often the length of a ray is shortened after the weights that hold the floors could not be solved for.
MAX_FAILURES = 6
#: Relative tolerance of the budget.
BUDGET_TOLERANCE = 1e-10
#: A value or direction with less variance than this, in standardised units, counts as constant.
LEAST_VARIANCE = 1e-11
#: Points of a ray that the polynomial interpolates, and most passes.
NEIGHBOURS, MAX_PASSES = 5, 100
#: Points of a ray that are closer than this share of the goal count as one for the polynomial.
CLOSE = 1e-4


@dataclass(frozen=True, eq=False)
class RaySolutions:
    """The points at which each budget is spent along each ray.

    Args:
        weights: (ray, budget, value) x = t w + nu.
        levels: (ray, budget, value) in standard deviations above base.
        kl: (ray, budget) nats spent.
        saturated: (ray, budget) bool: even the limit of infinite length costs no more than the budget; the point is
            that of the largest length tried.
        affordable: (ray, budget) bool: the floors are reachable and cost no more; where not, the point is
            meaningless.
        passes: over the table, of all rays that were not finished.
        rows: weight vectors evaluated in all.
    """

    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    saturated: np.ndarray
    affordable: np.ndarray
    passes: int
    rows: int


def solve_rays(
    oracle: Oracle, directions: np.ndarray, budgets: np.ndarray | float, *, floors: np.ndarray | None = None
) -> RaySolutions:
    """Return the points that maximise w . levels subject to KL <= b and the floors, for directions w and budgets b.

    Args:
        oracle: the table.
        directions: (ray, value) w >= 0 of any length, not all 0.
        budgets: nats, 0 or more: a number, (budget,) or (ray, budget).
        floors: (value,) or (ray, value) levels that must be kept, in standard deviations above base, NaN for free;
            a direction must be 0 for values with a floor.

    Returns:
        The points; each is a root t of KL(t) = b.

    Raises:
        InputError: a direction or a budget is negative or not finite, a direction is all 0, or it weighs a value that
            has a floor.
    """
    w = np.atleast_2d(np.asarray(directions, dtype=float))
    if not np.all(np.isfinite(w)) or np.any(w < 0) or np.any(w.sum(axis=1) <= 0):
        raise InputError("Directions of weights must be finite, 0 or more, and above 0 for one value at least.")
    nats = np.atleast_1d(np.asarray(budgets, dtype=float))
    if not np.all(np.isfinite(nats) & (nats >= 0)):
        raise InputError(f"The budgets are {np.asarray(budgets).tolist()} nats; expected finite numbers, 0 or more.")
    nats = np.broadcast_to(nats, (len(w), nats.shape[-1]))
    # A constant value gets no weight: that changes no level.
    w = np.where(np.diag(oracle.base_moments.covariance) > LEAST_VARIANCE, w, 0.0)
    w = w / np.maximum(np.linalg.norm(w, axis=1), 1e-300)[:, None]
    if floors is None or np.all(np.isnan(floors)):
        return _roots(_FreeRays(oracle, w), nats)
    return _roots(_FlooredRays(oracle, w, np.broadcast_to(oracle.deviations(floors), w.shape), nats.shape), nats)


class _RayFunction(Protocol):
    """KL and u at lengths along rays, and their values at t = 0: what the root finder needs.

    ``kl`` (ray,) is KL(0), infinite where floors cannot be met; ``levels`` and ``floor_weights`` (ray, value) are the
    levels and weights at t = 0; ``variance`` (ray,) is B''(0), and ``w`` (ray, value) are the directions.
    """

    oracle: Oracle
    longest: float
    w: np.ndarray
    kl: np.ndarray
    levels: np.ndarray
    floor_weights: np.ndarray
    variance: np.ndarray
    passes: int
    rows: int

    def evaluate(self, ray: np.ndarray, budget: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return weights (row, value), levels (row, value) and KL (row,) at lengths t (row,) of these rays and budgets.

        KL is infinite where the weights that hold the floors could not be solved for numerically.
        """


class _FreeRays:
    """Rays without floors: B is A itself."""

    longest = LONGEST

    def __init__(self, oracle: Oracle, w: np.ndarray) -> None:
        self.oracle, self.w = oracle, w
        self.kl, self.levels, self.floor_weights = np.zeros(len(w)), np.zeros(w.shape), np.zeros(w.shape)
        self.variance = np.maximum(np.einsum("ri,ij,rj->r", w, oracle.base_moments.covariance, w), 0.0)
        self.passes = self.rows = 0

    def evaluate(self, ray: np.ndarray, budget: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = t[:, None] * self.w[ray]
        moments = self.oracle.batch_moments(x)
        self.passes, self.rows = self.passes + 1, self.rows + len(x)
        return x, moments.levels, moments.kl(x)


class _FlooredRays:
    """Rays with floors: each length needs a solve for nu, warm-started by the derivative of nu in t.

    On the floors F that bind, d nu_F / dt = -(H_FF)^-1 H_F. w, and B'' is the variance of w . r that they do not
    explain.
    """

    longest = LONGEST_FLOORED

    def __init__(self, oracle: Oracle, w: np.ndarray, floors: np.ndarray, shape: tuple[int, ...]) -> None:
        self.oracle, self.w, self._floors = oracle, w, floors
        floored = ~np.isnan(floors)
        if np.any(w[floored] > 0):
            raise InputError("A direction weighs a value that has a floor; expected one or the other.")
        distinct, row = np.unique(floors, axis=0, return_inverse=True, equal_nan=True)
        row = row.reshape(-1)
        base = solve_many(oracle, distinct)
        self.levels, self.floor_weights = base.levels[row], base.weights[row]
        met = base.converged[row] & np.all(np.where(floored, self.levels >= floors - 1e-6, True), axis=1)
        self.kl = np.where(met, base.kl[row], np.inf)
        slope, self.variance = self._slopes(w, base.covariance[row], self.floor_weights)
        self.passes, self.rows = base.steps, base.steps * len(distinct)
        self._t = np.zeros(shape)
        self._nu = np.repeat(self.floor_weights[:, None], shape[1], axis=1)
        self._slope = np.repeat(slope[:, None], shape[1], axis=1)

    def evaluate(self, ray: np.ndarray, budget: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w, index = self.w[ray], (ray, budget)
        start = self._nu[index] + (t - self._t[index])[:, None] * self._slope[index]
        solution = solve_many(self.oracle, self._floors[ray], tilt=t[:, None] * w, start=np.maximum(start, 0.0))
        self.passes, self.rows = self.passes + solution.steps, self.rows + solution.steps * len(t)
        slope = self._slopes(w, solution.covariance, solution.weights)[0]
        solved = solution.converged
        index = (ray[solved], budget[solved])
        self._t[index], self._nu[index], self._slope[index] = t[solved], solution.weights[solved], slope[solved]
        return t[:, None] * w + solution.weights, solution.levels, np.where(solved, solution.kl, np.inf)

    @staticmethod
    def _slopes(w: np.ndarray, hessian: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivative of nu in t, (row, value), and B'', (row,)."""
        binds = nu > 0
        both = binds[:, :, None] & binds[:, None, :]
        product = np.einsum("rij,rj->ri", hessian, w)
        # The ridge, above rounding, keeps redundant floors solvable; the slope is only used for warm starts.
        ridge = (1e-12 * np.trace(hessian, axis1=1, axis2=2) + 1e-30)[:, None, None] * np.eye(w.shape[1])
        restricted = np.where(both, hessian + ridge, np.eye(w.shape[1]))
        slope = -np.linalg.solve(restricted, (product * binds)[..., None])[..., 0]
        return slope, np.maximum(np.sum(w * product, axis=1) + np.sum(slope * product, axis=1), 0.0)


def _roots(along: _RayFunction, nats: np.ndarray) -> RaySolutions:
    """Find the root t of KL(t) = b for each ray and budget.

    Args:
        along: the rays.
        nats: (ray, budget) b.
    """
    rays, budgets = nats.shape
    unit = np.sqrt(along.variance)
    moves = unit > np.sqrt(LEAST_VARIANCE)
    # Within rounding, the cost of the floors is affordable.
    affordable = nats >= along.kl[:, None] - 1e-12
    kl_at_zero = np.where(np.isfinite(along.kl), along.kl, 0.0)[:, None]
    goal = np.sqrt(np.maximum(nats - kl_at_zero, 0.0))
    weights, levels = (
        np.repeat(along.floor_weights[:, None], budgets, axis=1),
        np.repeat(along.levels[:, None], budgets, axis=1),
    )
    kl, saturated = np.repeat(kl_at_zero, budgets, axis=1), np.zeros(nats.shape, dtype=bool)
    # Lengths in nats per standard deviation of the direction: there KL grows as t^2 / 2 at first.
    unit = np.where(moves, unit, 1.0)
    longest = along.longest / unit
    saturated[~moves] = True
    live = moves[:, None] & (goal > 0) & affordable
    low, high = np.zeros(nats.shape), np.full(nats.shape, np.inf)
    t = np.minimum(np.sqrt(2.0) * goal / unit[:, None], longest[:, None])
    t = np.where(nats >= along.oracle.log_candidates, longest[:, None], t)  # no direction can spend it
    nodes = np.zeros((3, rays, 1))
    nodes[1] = np.sum(along.w * along.levels, axis=1)[:, None]
    nodes[2] = (np.sqrt(2.0) * unit)[:, None]
    error, failures = np.full(nats.shape, np.inf), np.zeros(nats.shape, dtype=int)
    for _ in range(MAX_PASSES):
        ray, budget = pending = np.nonzero(live)
        if not len(ray):
            break
        x, level, nats_here = along.evaluate(ray, budget, t[pending])
        solved = np.isfinite(nats_here)
        unsolved = (ray[~solved], budget[~solved])
        failures[unsolved] += 1
        high[unsolved] = np.minimum(high[unsolved], t[unsolved])
        live[unsolved] = False
        evaluated = (ray[solved], budget[solved])
        weights[evaluated], levels[evaluated], kl[evaluated] = x[solved], level[solved], nats_here[solved]
        s = np.sqrt(np.maximum(kl - kl_at_zero, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.where(live & (s > 0), [s, np.einsum("rbi,ri->rb", levels, along.w), 2.0 * s / t], np.nan)
        nodes = np.concatenate([nodes, new], axis=2)
        # Where the last guess reduced the error by less than this, the bracket is bisected or widened instead.
        improves, error = np.abs(kl - nats) <= 0.25 * error, np.abs(kl - nats)
        rounding = 1e-15 * (1.0 + np.abs(np.sum(weights * levels, axis=2)))
        saturated |= live & (kl <= nats + rounding) & (t >= longest[:, None])
        for other in range(budgets):
            # Every point of a ray tightens the brackets of all of its budgets.
            less, active = kl[:, other, None] < nats, live[:, other, None]
            low = np.where(active & less, np.maximum(low, t[:, other, None]), low)
            high = np.where(active & ~less, np.minimum(high, t[:, other, None]), high)
        converged = (np.abs(kl - nats) <= BUDGET_TOLERANCE * nats + rounding) | (high <= (1.0 + 4e-16) * low)
        # The weights of the last solvable length stand for the limit.
        live[unsolved], converged[unsolved] = True, False
        saturated |= live & ((failures > MAX_FAILURES) | ((failures > 0) & (high <= 1.01 * low)))
        live &= ~converged & ~saturated
        ray, budget = pending = np.nonzero(live)
        if not len(ray):
            break
        s_goal = goal[pending]
        slope = _slope_at(nodes[:, ray], s_goal)
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = np.where(slope > 0, 2.0 * s_goal / slope, np.inf)
        a, b = low[pending], np.minimum(high[pending], longest[ray])
        bounded = np.isfinite(high[pending])
        middle = np.where(bounded, np.sqrt(np.maximum(a, 0.01 * b) * b), np.minimum(16.0 * a, b))
        safe = improves[pending] & (guess > a) & np.where(bounded, guess < b, guess <= middle)
        t[pending] = np.where(safe, guess, middle)
    saturated |= affordable & (kl < nats * (1.0 - 1e-6) - 1e-9)  # a plateau whose end is hidden by rounding
    return RaySolutions(weights, levels, kl, saturated, affordable, along.passes, along.rows)


def _slope_at(nodes: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return u'(s) of the Hermite polynomial through the values and slopes of u at the nearest nodes.

    Args:
        nodes: (3, row, node) s, u and u', NaN for missing ones.
        s: (row,).

    Returns:
        (row,).
    """
    order = np.argsort(np.abs(nodes[0] - s[:, None]), axis=1)[:, : 2 * NEIGHBOURS]  # NaN come last
    near = np.take_along_axis(nodes, order[None], axis=2)
    # Of nearly coincident nodes only the nearest counts: differences of the others would be rounding.
    gaps = np.abs(near[0][:, :, None] - near[0][:, None, :])
    distinct = ~np.any(np.tril(gaps < CLOSE * s[:, None, None], -1), axis=2)
    order = np.argsort(~distinct, axis=1, kind="stable")[:, :NEIGHBOURS]
    node_s, u, slope = np.take_along_axis(np.where(distinct, near, np.nan), order[None], axis=2)
    x = np.repeat(node_s, 2, axis=1)
    # Divided differences with every node twice: the first ones of equal nodes are slopes.
    size = x.shape[1]
    table = np.repeat(u, 2, axis=1)
    coefficients = [table[:, 0]]
    with np.errstate(divide="ignore", invalid="ignore"):
        for k in range(1, size):
            table = (table[:, 1:] - table[:, :-1]) / (x[:, k:] - x[:, :-k])
            if k == 1:
                table[:, ::2] = slope
            coefficients.append(table[:, 0])
    value, product, derivative = np.zeros(len(s)), np.ones(len(s)), np.zeros(len(s))
    usable = np.ones(len(s), dtype=bool)
    for k, coefficient in enumerate(coefficients):
        usable &= np.isfinite(coefficient)
        value += np.where(usable, coefficient, 0.0) * derivative
        step = np.where(np.isfinite(x[:, k]), s - x[:, k], 0.0)
        derivative, product = derivative * step + product, product * step
    return value
