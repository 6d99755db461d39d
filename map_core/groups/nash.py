"""The Nash bargaining palette: the largest product of satisfactions within a budget of nats.

    maximise  sum_g w_g log s_g   subject to   s_g d_gj <= mu_j for each target d_gj > 0,   s_g <= 1,   KL <= budget

with targets at or below base as conditions mu_j >= d_gj. For a price tau of a nat, with
weights theta >= 0 on the conditions and x their sums by value, the dual is smooth and concave,

    maximise over theta >= 0   sum_g psi_g(a_g) + sum_j floor_j theta_j - A(x),     a_g = sum_j d_gj theta_gj
    psi_g(a) = a  up to  k_g = w_g / tau,   k_g (1 + log(a / k_g))  beyond,         s_g = psi_g'(a_g) = min(1, k_g / a)

and is solved by the projected Newton steps of :mod:`map_core.solver.newton`. The nats spent fall with tau, so the
budget fixes it. Weak duality bounds what any other palette could give: the gap that is reported.

Source: Nash, "The Bargaining Problem", 1950; with importances, Kalai, "Nonsymmetric Nash Solutions", 1977.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from map_core.groups.common import NO_BUDGET, BindingLimit, CommonPalette, is_met, max_min
from map_core.groups.group import Group, joint_targets, satisfaction
from map_core.oracle import Moments, Oracle
from map_core.solver.newton import Solution, Status, longest_step, newton_step, solve

#: Largest violation of the optimality conditions, in standard deviations.
TOLERANCE = 1e-10
MAX_STEPS = 200
#: Least satisfaction that counts: without it for some group there is no bargain.
NO_GAIN = 1e-7
#: The least price of a nat, as a share of the importances.
CHEAPEST = 1e-6
#: Steps in the logarithm of the price, until it is bracketed.
STEP = 2.0


def nash(oracle: Oracle, groups: Sequence[Group], budget: float = math.inf) -> CommonPalette:
    """Compute the palette with the largest product of satisfactions; see the module.

    Args:
        oracle: the table.
        groups: at least one.
        budget: nats; infinite for no limit but the table's.

    Returns:
        The palette. Where some group can gain nothing without a loss of another, there is no bargain, and the palette
        is that of :func:`max_min`, with an infinite gap.

    Raises:
        InputError: groups or budget that cannot be used, see :func:`map_core.groups.group.check_groups`.
    """
    equal = [replace(group, importance=1.0) for group in groups]
    fairest = max_min(oracle, equal, budget)
    if fairest.limit is BindingLimit.NONE:
        return fairest
    if budget <= NO_BUDGET or fairest.satisfaction.min() < NO_GAIN:
        return replace(max_min(oracle, groups, budget), gap=math.inf)
    problem = _Problem.of(oracle, groups)
    affordable = min(budget, oracle.log_candidates)
    total_importance = float(problem.importance.sum())
    points: dict[float, _PricePoint] = {}

    def at(log_price: float) -> _PricePoint:
        if log_price not in points:
            nearby = min(points, key=lambda known: abs(known - log_price), default=None)
            start = np.zeros(problem.by_value.shape[1]) if nearby is None else points[nearby].theta
            points[log_price] = _maximise(oracle, problem, math.exp(log_price), start)
        return points[log_price]

    def gap_at(log_price: float) -> float:
        """Return the weak duality bound on how much better any palette within the budget may be than this price's."""
        point = at(log_price)
        shares = satisfaction(groups, point.moments.levels)[problem.raising]
        if shares.min() <= 0:
            return math.inf
        best = math.exp(log_price) * (affordable - point.value)
        return max(0.0, best - float(problem.importance @ np.log(shares)))

    # For a small budget s grows like its square root, so the price of a nat is about half the importances over it.
    low = high = math.log(0.5 * total_importance / affordable)
    cheapest = math.log(CHEAPEST * total_importance)
    # Where replies give no more at any price, weights grow without bound, until rounding errors dominate.
    while at(low).kl < affordable and low > cheapest and gap_at(low - STEP) <= gap_at(low):
        low -= STEP
    while at(high).kl > affordable:
        high += STEP
    log_price = low
    if at(low).kl > affordable:
        log_price = brentq(lambda log_price: at(log_price).kl - affordable, low, high, xtol=1e-13)
    point, gap = at(log_price), gap_at(log_price)
    shares = satisfaction(groups, point.moments.levels)
    # The realised levels are the palette; its weights are those of least norm among all that give them.
    targets = joint_targets(groups, np.clip(shares, 0.0, 1.0))
    targets = np.where(np.isnan(targets), np.nan, np.minimum(targets, point.moments.levels))
    solution = solve(oracle, targets, start=point.x)
    if not is_met(solution):
        moments = point.moments
        solution = Solution(
            Status.CONVERGED, point.x, moments.levels, moments.covariance, point.kl, point.residual, solution.steps
        )
    limit = BindingLimit.BUDGET if point.kl >= budget - 1e-6 * (1.0 + budget) else BindingLimit.REACH
    return CommonPalette(targets, solution, satisfaction(groups, solution.levels), limit, budget, gap)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The conditions, one a weight: raised targets of each group, then floors.

    Args:
        raising: positions of the groups with a raised target.
        importance: (raising group,).
        by_value: (value, condition) 1 where a condition is on a value.
        by_group: (raising group, condition) d_gj of the raised targets.
        floor: (condition,) the floors; 0 for the raised targets.
    """

    raising: np.ndarray
    importance: np.ndarray
    by_value: np.ndarray
    by_group: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(cls, oracle: Oracle, groups: Sequence[Group]) -> _Problem:
        raising = [g for g, group in enumerate(groups) if group.raised.any()]
        pairs = [(row, j) for row, g in enumerate(raising) for j in np.flatnonzero(groups[g].raised)]
        # A floor is redundant where some group wants the value raised.
        floor_levels = joint_targets(groups, np.zeros(len(groups)))
        raised = np.any([group.raised for group in groups], axis=0)
        floors = np.flatnonzero(~np.isnan(floor_levels) & ~raised & ~oracle.constant)
        positions = [j for _, j in pairs] + list(floors)
        by_value, by_group = np.zeros((len(floor_levels), len(positions))), np.zeros((len(raising), len(positions)))
        by_value[positions, np.arange(len(positions))] = 1.0
        for condition, (row, j) in enumerate(pairs):
            by_group[row, condition] = groups[raising[row]].targets[j]
        floor = np.concatenate([np.zeros(len(pairs)), floor_levels[floors]])
        importance = np.array([groups[g].importance for g in raising])
        return cls(np.array(raising, dtype=int), importance, by_value, by_group, floor)

    def gain(self, price: float, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the sum of psi and floors, its gradient (condition,), and minus its Hessian (condition, condition)."""
        k, a = self.importance / price, self.by_group @ theta
        saturated = a > k
        larger = np.maximum(a, k)
        psi = np.where(saturated, k * (1.0 + np.log(larger / k)), a)
        curvature = np.where(saturated, k / larger**2, 0.0)
        gradient = self.by_group.T @ (k / larger) + self.floor
        return float(psi.sum() + self.floor @ theta), gradient, (self.by_group.T * curvature) @ self.by_group


@dataclass(frozen=True, eq=False)
class _PricePoint:
    """The bargain at one price.

    Args:
        theta: (condition,) weights.
        x: (value,) weights.
        value: of the dual.
        moments: at x.
        kl: nats.
        residual: largest violation of the optimality conditions.
    """

    theta: np.ndarray
    x: np.ndarray
    value: float
    moments: Moments
    kl: float
    residual: float


def _maximise(oracle: Oracle, problem: _Problem, price: float, theta: np.ndarray) -> _PricePoint:
    """Maximise the dual at one price by projected Newton steps from theta."""

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, Moments]:
        moments = oracle.moments(problem.by_value @ theta)
        gain, gradient, curvature = problem.gain(price, theta)
        hessian = problem.by_value.T @ moments.covariance @ problem.by_value + curvature
        return gain - moments.log_normaliser, gradient - problem.by_value.T @ moments.levels, hessian, moments

    value, gradient, hessian, moments = evaluate(theta)
    for _ in range(MAX_STEPS):
        if np.abs(np.minimum(theta, -gradient)).max(initial=0.0) <= TOLERANCE:
            break
        step = newton_step(hessian, gradient, theta)
        slope = float(gradient @ step)
        scale = min(1.0, float(longest_step(np.abs(theta).max())) / max(float(np.abs(step).max()), 1e-200))
        for _ in range(40):
            candidate = np.maximum(theta + scale * step, 0.0)
            trial = evaluate(candidate)
            if trial[0] >= value + 1e-4 * scale * slope - 1e-13 * (1.0 + abs(value)):
                break
            scale *= 0.3
        else:
            break
        theta = candidate
        value, gradient, hessian, moments = trial
    x = problem.by_value @ theta
    kl = max(0.0, float(x @ moments.levels - moments.log_normaliser))
    return _PricePoint(theta, x, value, moments, kl, float(np.abs(np.minimum(theta, -gradient)).max(initial=0.0)))
