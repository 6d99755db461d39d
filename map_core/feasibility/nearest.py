"""The attainable palette closest to one that is not attainable, or that costs too much.

    minimise  sum_j importance_j (d_j - d'_j)^2   over attainable d' with KL <= budget

For one rho > 0 its dual is the solver's own with weights priced, a ridge of 1 / (rho importance_j), and 0 on locked
values, which must not be lowered; then d' = d - x / (rho importance). The nats spent grow with rho, so the budget fixes
it: a root in log rho, by Newton steps from the solver's own derivatives. Constraint: the result is attainable: its
levels are those of a distribution within the budget.

Source: Lagrangian duality; Boyd and Vandenberghe, "Convex Optimization", 2004, section 5.7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from map_core.errors import InputError
from map_core.feasibility.margin import AttainableLevels, checked_targets
from map_core.feasibility.trust import trust
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve

#: log rho is looked for up to this far from 0, and further down where targets are far away or very important. At one
#: end a palette is as near as levels can be told apart, at the other nothing is spent on what is not locked.
FURTHEST = math.log(1e8)
#: Nats by which the budget may be missed from below, and log rho below which nothing moves any more.
BUDGET_TOLERANCE, RHO_TOLERANCE = 1e-9, 1e-9
#: Width in log rho to which the end of trusted weights is bracketed.
TRUST_TOLERANCE = 1e-5
#: Longest step in log rho, and the step limit.
LONGEST, MAX_STEPS = 3.0, 60
#: Where log KL grows less than this with log rho, the nearest levels of all are reached but for less than that.
SATURATED = 1e-7
#: Width in log rho to which the end of the usable weights is bracketed.
COARSE = 0.5
#: A solution whose conditions hold to so many standard deviations may be used where rounding allows no better.
LEVEL_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class NearestPalette:
    """The attainable palette closest to one that is not attainable.

    Args:
        targets: (value,) d' in standard deviations above base, never above the requested ones; NaN for free values.
        given_up: (value,) d - d', in standard deviations, 0 where nothing is and for free values.
        solution: the weights that reach them.
        distance: sqrt of the sum of squared changes, each times its value's importance, in standard deviations.
        budget: most nats that it was allowed to spend; never above what re-weighting can spend at all.
    """

    targets: np.ndarray
    given_up: np.ndarray
    solution: Solution
    distance: float
    budget: float


def default_budget(oracle: Oracle) -> float:
    """Return a budget to begin with: half of the most that can be spent, about sqrt(K) replies carry the weight."""
    return 0.5 * oracle.log_candidates


def nearest(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    budget: float | None = None,
    locked: np.ndarray | None = None,
    importance: np.ndarray | None = None,
    attainable: AttainableLevels | None = None,
) -> NearestPalette | None:
    """Find the closest palette that is attainable within a budget of nats.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        budget: nats. By default all that rests on enough replies to be trusted, so that the palette is *reachable*.
        locked: (value,) bool, values that must not be lowered.
        importance: (value,) positive numbers; a value with 4 is lowered about a quarter as much as one with 1.
        attainable: corners to start from.

    Returns:
        The palette, or None when the locked targets alone are not possible together, cost more than the budget, or,
        without a budget, cannot be trusted.

    Raises:
        InputError: a target is infinite, the budget or an importance is not a number above 0, or an array does not
            have one entry a value.
    """
    targets = checked_targets(oracle, targets)
    trusted_only = budget is None
    budget = oracle.log_candidates if budget is None else float(budget)
    if not (budget > 0 or trusted_only):  # replies that are all alike leave no nats to spend
        raise InputError(f"The budget is {budget} nats; expected a number above 0.")
    budget = min(budget, oracle.log_candidates)
    movable = ~_flags(locked, len(targets))
    weight = _importance(importance, len(targets))
    fixed = np.where(movable, np.nan, targets)
    if not np.isnan(fixed).all() and not (attainable or AttainableLevels(oracle)).margin(fixed).attainable:
        return None

    solution = solve(oracle, targets, budget=budget)
    met = solution.status is Status.CONVERGED and solution.kl <= budget + BUDGET_TOLERANCE
    if not met or (trusted_only and _log_trust(oracle, solution) < 0):
        path = _RidgePath(oracle, targets, np.where(movable, 1.0 / weight, 0.0))
        closest = path.trusted() if trusted_only else path.within(budget)
        if closest is None:
            return None
        solution = closest
    reached = np.where(np.isnan(targets), np.nan, np.minimum(targets, solution.levels))
    reached = np.where(oracle.constant & (reached > 0), 0.0, reached)
    reached = np.where(movable, reached, targets)  # locked targets are met to the solve's tolerance
    given_up = np.nan_to_num(targets - reached)
    return NearestPalette(reached, given_up, solution, float(np.sqrt(weight @ given_up**2)), budget)


class _RidgePath:
    """Solutions along log rho, each started from its neighbour."""

    def __init__(self, oracle: Oracle, targets: np.ndarray, price: np.ndarray) -> None:
        self._oracle, self._targets, self._locked = oracle, targets, bool(np.any((price == 0) & ~np.isnan(targets)))
        wanted = ~np.isnan(targets) & ~oracle.constant
        # A common factor of all importances only renames rho.
        self._price = price / (float(price[wanted].max(initial=0.0)) or 1.0)
        furthest = max(1.0, float(np.abs(targets[wanted]).max(initial=0.0)))
        dearest = float((1.0 / self._price[wanted & (price > 0)]).max(initial=1.0))
        self.low, self.high = -FURTHEST - math.log(furthest) - math.log(dearest), FURTHEST
        self._tolerance = max(LEVEL_TOLERANCE, 1e-13 * furthest)
        self._solutions: dict[float, Solution] = {}

    def at(self, log_rho: float) -> Solution:
        """Return the solution at one log rho."""
        if log_rho not in self._solutions:
            known = self._solutions
            start = known[min(known, key=lambda other: abs(other - log_rho))].weights if known else None
            known[log_rho] = solve(self._oracle, self._targets, ridge=math.exp(-log_rho) * self._price, start=start)
        return self._solutions[log_rho]

    def within(self, budget: float) -> Solution | None:
        """Return the solution at the largest rho that keeps the budget; None where none does."""

        def surplus(log_rho: float) -> tuple[float, float]:
            solution = self.at(log_rho)
            if not self._usable(solution):
                return math.inf, math.nan
            # Nats are nearly a power of rho far below the budget and nearly linear in its log near it.
            return math.log(max(solution.kl, 1e-300) / budget), self._slope(log_rho) / max(solution.kl, 1e-300)

        _increasing_root(surplus, self.low, self.high)
        usable = [
            r
            for r, solution in self._solutions.items()
            if self._usable(solution) and solution.kl <= budget + BUDGET_TOLERANCE
        ]
        if usable:
            return self.at(max(usable))
        # With nothing locked the base model itself is always within the budget, and this is it but for a rounding.
        return None if self._locked else self.at(self.low)

    def trusted(self) -> Solution | None:
        """Return the solution at the largest rho whose weights are trusted; None where locked targets allow none.

        Without locked targets the base model's own weights stand in on a table that is too small for any trust.
        """
        low = high = 0.0
        # Trust falls nearly evenly with log rho, so the last two points foretell where it ends.
        step = 1.0
        if self._trusted(low):
            while high < self.high and self._trusted(high):
                low, high = high, min(high + step, self.high)
                step = self._foretold(low, high)
        else:
            while not self._trusted(low):
                if low == self.low:
                    return None if self._locked else self.at(low)
                high, low, step = low, max(low - step, self.low), 2 * step
        if not self._trusted(high):
            if self._usable(self.at(high)):
                brentq(lambda r: _log_trust(self._oracle, self.at(r)), low, high, xtol=TRUST_TOLERANCE)
            else:
                self._bisect(low, high)
        return self.at(max(r for r in self._solutions if r <= high and self._trusted(r)))

    def _foretold(self, low: float, high: float) -> float:
        """Return how far beyond the higher of two rho trust ends, by the line through both, and a little more."""
        trusts = [_log_trust(self._oracle, self.at(r)) if self._usable(self.at(r)) else -math.inf for r in (low, high)]
        slope = (trusts[1] - trusts[0]) / max(high - low, RHO_TOLERANCE)
        return min(max(-trusts[1] / slope, 0.0) + 0.1, LONGEST) if -math.inf < slope < 0 else LONGEST

    def _bisect(self, low: float, high: float) -> None:
        """Narrow the end of what is trusted between a rho that is and one whose levels are not known."""
        while high - low > TRUST_TOLERANCE:
            middle = (low + high) / 2
            low, high = (middle, high) if self._trusted(middle) else (low, middle)

    def _trusted(self, log_rho: float) -> bool:
        """Return whether a solution is usable and rests on enough replies."""
        solution = self.at(log_rho)
        return self._usable(solution) and _log_trust(self._oracle, solution) >= 0

    def _usable(self, solution: Solution) -> bool:
        """Return whether the levels of a solution are those that its conditions ask for."""
        return solution.status is Status.CONVERGED or solution.residual <= self._tolerance

    def _slope(self, log_rho: float) -> float:
        """Return d KL / d log rho: on the active values (H + R) dx = R x, and d KL = x . H dx."""
        solution = self.at(log_rho)
        active = np.flatnonzero(solution.weights > 0)
        x, hessian = solution.weights[active], solution.covariance[np.ix_(active, active)]
        ridge = math.exp(-log_rho) * self._price[active]
        dx = np.linalg.lstsq(hessian + np.diag(ridge), ridge * x, rcond=None)[0]
        return float(x @ hessian @ dx)


def _increasing_root(surplus: Callable[[float], tuple[float, float]], lowest: float, highest: float) -> None:
    """Find the root of an increasing surplus by Newton steps in log rho from 0 on, safeguarded by a bracket."""
    # Nothing is bracketed yet: the ends themselves lie between.
    low, high, log_rho = lowest - 1.0, highest + 1.0, 0.0
    for _ in range(MAX_STEPS):
        value, slope = surplus(log_rho)
        at_an_end = log_rho == (highest if value < 0 else lowest)
        saturated = value < 0 and slope < SATURATED and high > highest
        if abs(value) <= BUDGET_TOLERANCE or at_an_end or saturated:
            return
        low, high = (log_rho, high) if value < 0 else (low, log_rho)
        if high - low <= (RHO_TOLERANCE if math.isfinite(value) else COARSE):
            return
        step = -value / slope if slope > 0 and math.isfinite(value) else -math.copysign(LONGEST, value)
        following = min(max(log_rho + min(max(step, -LONGEST), LONGEST), lowest), highest)
        log_rho = following if low < following < high else (low + high) / 2


def _log_trust(oracle: Oracle, solution: Solution) -> float:
    """Return how far above the threshold of trust a solution lies, as a logarithm."""
    return trust(oracle, oracle.effective_sample_size(solution.weights))


def _flags(locked: np.ndarray | None, size: int) -> np.ndarray:
    flags = np.zeros(size, dtype=bool) if locked is None else np.asarray(locked)
    if flags.shape != (size,) or flags.dtype != bool:
        raise InputError(f"Locked is {flags.tolist()}; expected {size} of True and False, one a value.")
    return flags


def _importance(importance: np.ndarray | None, size: int) -> np.ndarray:
    weight = np.ones(size) if importance is None else np.asarray(importance, dtype=float)
    if weight.shape != (size,) or not np.all((weight > 0) & np.isfinite(weight)):
        raise InputError(f"Importance is {weight.tolist()}; expected {size} numbers above 0, one a value.")
    return weight
