"""Find the attainable palette closest to one that is not attainable, or that costs too much.

    minimise  sum_j importance_j (d_j - d'_j)^2   over attainable d' with KL <= budget

For fixed rho > 0 its dual is the solver's with a ridge 1 / (rho importance_j) on the weights, and 0 on locked values,
which must not be lowered; then d' = d - x / (rho importance). The nats spent grow with rho, so the budget determines
it: a root in log rho, by Newton steps with the solver's derivatives. Constraint: the result is attainable: its levels
are those of a distribution within the budget.

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

#: log rho is searched up to this distance from 0, and further down where targets are far away or very important. At the
#: upper end the palette is as near as the precision of levels allows; at the lower end nothing is spent on what is not
#: locked.
FURTHEST = math.log(1e8)
#: Tolerance of the budget in nats, and of log rho.
BUDGET_TOLERANCE, RHO_TOLERANCE = 1e-9, 1e-9
#: Width in log rho to which the end of the trusted weights is bracketed.
TRUST_TOLERANCE = 1e-5
#: Longest step in log rho, and the maximum number of steps.
LONGEST, MAX_STEPS = 3.0, 60
#: Slope of log KL in log rho below which a larger rho brings the palette no nearer.
SATURATED = 1e-7
#: Width in log rho to which the end of the usable weights is bracketed.
COARSE = 0.5
#: Largest residual, in standard deviations, of a solution that is used where rounding allows no better.
LEVEL_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class NearestPalette:
    """The attainable palette closest to one that is not attainable.

    Args:
        targets: (value,) d' in standard deviations above base, never above the requested ones; NaN for free values.
        given_up: (value,) d - d', in standard deviations; 0 for free values.
        solution: the weights that reach them.
        distance: square root of the sum of squared changes times importance, in standard deviations.
        budget: maximum number of nats that it was allowed to spend; at most log K.
    """

    targets: np.ndarray
    given_up: np.ndarray
    solution: Solution
    distance: float
    budget: float


def default_budget(oracle: Oracle) -> float:
    """Return a default budget: half of log K, at which the effective sample size is about sqrt(K)."""
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
        budget: nats; by default as many as trusted weights can spend, so that the palette is *reachable*.
        locked: (value,) bool, values that must not be lowered.
        importance: (value,) positive numbers; a value with 4 is lowered about a quarter as much as one with 1.
        attainable: corners to start from.

    Returns:
        The palette, or None when the locked targets alone are not possible together, cost more than the budget, or,
        without a budget, have no trusted weights.

    Raises:
        InputError: a target is infinite, the budget or an importance is not a number above 0, or an array does not
            have one entry per value.
    """
    targets = checked_targets(oracle, targets)
    trusted_only = budget is None
    budget = oracle.log_candidates if budget is None else float(budget)
    if not (budget > 0 or trusted_only):  # with a single candidate log K is 0, which is no error
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
    """Solutions as a function of log rho, each started from the nearest known one."""

    def __init__(self, oracle: Oracle, targets: np.ndarray, price: np.ndarray) -> None:
        self._oracle, self._targets, self._locked = oracle, targets, bool(np.any((price == 0) & ~np.isnan(targets)))
        wanted = ~np.isnan(targets) & ~oracle.constant
        # A common factor of all importances only rescales rho.
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
            # KL is nearly a power of rho far below the budget, and nearly linear in log rho close to it.
            return math.log(max(solution.kl, 1e-300) / budget), self._slope(log_rho) / max(solution.kl, 1e-300)

        _increasing_root(surplus, self.low, self.high)
        usable = [
            log_rho
            for log_rho, solution in self._solutions.items()
            if self._usable(solution) and solution.kl <= budget + BUDGET_TOLERANCE
        ]
        if usable:
            return self.at(max(usable))
        # Without locked targets the base model is always within the budget; the lowest rho gives it up to rounding.
        return None if self._locked else self.at(self.low)

    def trusted(self) -> Solution | None:
        """Return the solution at the largest rho whose weights are trusted; None where locked targets allow none.

        On a table that is too small for any trust, the base model's weights are returned unless targets are locked.
        """
        low = high = 0.0
        # Trust falls almost linearly with log rho, so the last two points predict where it ends.
        step = 1.0
        if self._trusted(low):
            while high < self.high and self._trusted(high):
                low, high = high, min(high + step, self.high)
                step = self._predicted_step(low, high)
        else:
            while not self._trusted(low):
                if low == self.low:
                    return None if self._locked else self.at(low)
                high, low, step = low, max(low - step, self.low), 2 * step
        if not self._trusted(high):
            if self._usable(self.at(high)):
                brentq(lambda log_rho: _log_trust(self._oracle, self.at(log_rho)), low, high, xtol=TRUST_TOLERANCE)
            else:
                self._bisect(low, high)
        return self.at(max(log_rho for log_rho in self._solutions if log_rho <= high and self._trusted(log_rho)))

    def _predicted_step(self, low: float, high: float) -> float:
        """Return the step from ``high`` to slightly beyond the end of trust, extrapolated from two log rho."""
        trust_low, trust_high = (
            _log_trust(self._oracle, solution) if self._usable(solution) else -math.inf
            for solution in (self.at(low), self.at(high))
        )
        slope = (trust_high - trust_low) / max(high - low, RHO_TOLERANCE)
        return min(max(-trust_high / slope, 0.0) + 0.1, LONGEST) if -math.inf < slope < 0 else LONGEST

    def _bisect(self, low: float, high: float) -> None:
        """Narrow the end of trust by bisection between a trusted log rho and one whose solution is not usable."""
        while high - low > TRUST_TOLERANCE:
            middle = (low + high) / 2
            low, high = (middle, high) if self._trusted(middle) else (low, middle)

    def _trusted(self, log_rho: float) -> bool:
        """Return whether a solution is usable and its weights are trusted."""
        solution = self.at(log_rho)
        return self._usable(solution) and _log_trust(self._oracle, solution) >= 0

    def _usable(self, solution: Solution) -> bool:
        """Return whether a solution meets its optimality conditions to the tolerance."""
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
    # The initial bracket contains both ends of the range.
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
        newton = min(max(log_rho + min(max(step, -LONGEST), LONGEST), lowest), highest)
        log_rho = newton if low < newton < high else (low + high) / 2


def _log_trust(oracle: Oracle, solution: Solution) -> float:
    """Return the log ratio of a solution's effective sample size to the threshold of trust."""
    return trust(oracle, oracle.effective_sample_size(solution.weights))


def _flags(locked: np.ndarray | None, size: int) -> np.ndarray:
    flags = np.zeros(size, dtype=bool) if locked is None else np.asarray(locked)
    if flags.shape != (size,) or flags.dtype != bool:
        raise InputError(f"Locked is {flags.tolist()}; expected {size} of True and False, one per value.")
    return flags


def _importance(importance: np.ndarray | None, size: int) -> np.ndarray:
    weight = np.ones(size) if importance is None else np.asarray(importance, dtype=float)
    if weight.shape != (size,) or not np.all((weight > 0) & np.isfinite(weight)):
        raise InputError(f"Importance is {weight.tolist()}; expected {size} numbers above 0, one per value.")
    return weight
