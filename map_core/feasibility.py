"""Whether a palette can be had: margin and certificate, the verdict, and the nearest palette that can.

With h(w) = w . best(w) the highest w-weighted level that choosing replies can give,

    margin t* = min over { w >= 0, sum w = 1 } of  h(w) - w . d

in standardised units. The targets d are attainable exactly when t* >= 0; otherwise the minimiser w is a
certificate: no re-weighting reaches even that mix of them. Constraint: the verdict rests on this linear
program alone, never on a solver's failure to converge.

Source: linear-programming duality; cutting planes in Kelley, "The cutting-plane method for solving convex
programs", 1960. Nearest palette: method of the ridge in the dual, see :func:`nearest`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, linprog

from map_core.dual import Solution, Status, solve
from map_core.errors import InputError
from map_core.glossary import Form, Verdict
from map_core.oracle import EffectiveSampleSize, Oracle

#: A margin this close to 0, in standard deviations, is on the boundary.
MARGIN_TOLERANCE = 1e-9
#: The highest level of a value is shown to people; a ten-thousandth of a standard deviation is more than they see.
HIGHEST_TOLERANCE = 1e-4
MAX_CUTS = 500
#: Corners kept between programs; each is (value,) numbers and a row of the next linear program.
MAX_CORNERS = 300
#: What a verdict of "reachable" rests on at least: replies a prompt (a quarter of the candidates where there are
#: fewer than 16) and replies in all.
TRUSTED_PER_PROMPT = 4.0
TRUSTED_POOLED = 30.0


@dataclass(frozen=True, eq=False)
class Margin:
    """How far inside (positive) or outside (negative) the attainable levels a palette lies.

    Args:
        value: t*, in standard deviations on every targeted value at once; infinite when nothing is targeted.
        certificate: (value,) the minimising mix w, summing to 1; 0 for free values.
        gap: what is left between the bounds on t* from above and below.
        passes: passes over the table.
    """

    value: float
    certificate: np.ndarray
    gap: float
    passes: int

    @property
    def attainable(self) -> bool:
        """The targets can be met, on the boundary at the least."""
        return self.value >= -MARGIN_TOLERANCE


class AttainableLevels:
    """The set of levels that choosing replies can give, known by the corners found so far.

    Each linear program over this set adds the corners that it meets, and every later one starts from them: a
    palette that is moved a little costs a few passes instead of dozens. Corners only speed a program up; its
    answer does not depend on them.

    Args:
        oracle: the table.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._corners: deque[np.ndarray] = deque(maxlen=MAX_CORNERS)

    def margin(self, targets: np.ndarray, tolerance: float = MARGIN_TOLERANCE) -> Margin:
        """The margin of a palette and its certificate.

        Args:
            targets: (value,) d in standard deviations above base, NaN for a free value.
            tolerance: largest gap between the two bounds.

        Returns:
            The margin; its sign is the answer.
        """
        targets, constant = np.asarray(targets, dtype=float), self.oracle.constant
        # A constant value whose target is met asks for nothing; above it, the target is out of reach by that much.
        wanted = np.flatnonzero(~np.isnan(targets) & ~(constant & (targets <= 0)))
        if not len(wanted):
            return Margin(math.inf, np.zeros(len(targets)), 0.0, 0)
        ones = np.ones(len(wanted))
        return self._minimise(targets, wanted, 0.0 * ones, 1.0, ones, tolerance)

    def highest(self, targets: np.ndarray, value: int) -> float:
        """The highest level of one value while the other targets are kept.

        min over w >= 0 with w_value = 1 of h(w) - sum over the others of w_k d_k.

        Args:
            targets: (value,) d; the entry of ``value`` itself is ignored.
            value: position of the value.

        Returns:
            A level that can be had, in standard deviations above base, at most ``HIGHEST_TOLERANCE`` below the highest;
            NaN when the other targets cannot be met by themselves.
        """
        others = np.array(targets, dtype=float)
        others[value] = np.nan
        if self.oracle.constant[value]:
            return 0.0
        if not self.margin(others).attainable:
            return math.nan
        wanted = np.concatenate([[value], np.flatnonzero(~np.isnan(others) & ~self.oracle.constant)])
        others[value] = 0.0
        first = np.zeros(len(wanted))
        first[0] = 1.0
        # Weights of the others beyond 1e6 only occur within 1e-6 of the boundary, and err by less than that.
        bounds = self._minimise(others, wanted, first, 1e6, first, HIGHEST_TOLERANCE)
        # The bound from below is the best mix of replies already met: unlike the one from above it is attained.
        return bounds.value - bounds.gap

    def _minimise(
        self,
        targets: np.ndarray,
        wanted: np.ndarray,
        lower: np.ndarray,
        upper: float,
        equality: np.ndarray,
        tolerance: float,
    ) -> Margin:
        """Minimise h(w) - w . d over { lower <= w <= upper, equality . w = 1 }, w = 0 outside ``wanted``.

        Every level vector v that replies can give is a cut, h(w) >= w . v. The master program over the cuts
        bounds the minimum from below, each evaluation of h from above.
        """
        d, size = targets[wanted], len(wanted)
        cuts = [corner[wanted] - d for corner in list(self._corners)]
        w = equality / equality.sum()
        best_value, best_w, bound = math.inf, w, -math.inf
        passes = 0
        while passes < MAX_CUTS:
            if cuts:
                # Variables (w, t): minimise t subject to cut . w <= t for every cut.
                master = linprog(
                    np.append(np.zeros(size), 1.0),
                    A_ub=np.column_stack([np.array(cuts), -np.ones(len(cuts))]),
                    b_ub=np.zeros(len(cuts)),
                    A_eq=np.append(equality, 0.0)[None, :],
                    b_eq=[1.0],
                    bounds=[*((float(least), upper) for least in lower), (None, None)],
                    method="highs-ds",
                    options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
                )
                if master.x is None or master.fun is None:
                    break
                bound = max(bound, float(master.fun))
                if best_value - bound <= tolerance * max(1.0, abs(bound)):
                    break
                w = np.clip(master.x[:-1], lower, upper)
            weights = np.zeros(len(targets))
            weights[wanted] = w
            corner = self.oracle.best(weights)
            passes += 1
            self._corners.append(corner)
            cuts.append(corner[wanted] - d)
            value = float(w @ cuts[-1])
            if value < best_value:
                best_value, best_w = value, w
        certificate = np.zeros(len(targets))
        certificate[wanted] = best_w
        return Margin(best_value, certificate, max(0.0, best_value - bound), passes)


def margin(oracle: Oracle, targets: np.ndarray) -> Margin:
    """The margin of one palette and its certificate; see :meth:`AttainableLevels.margin`."""
    return AttainableLevels(oracle).margin(targets)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The attainable palette closest to one that is not.

    Args:
        targets: (value,) c' in standard deviations above base, never above what was asked; NaN for free values.
        solution: the weights that reach them.
        distance: sqrt of the sum of squared changes, in standard deviations.
        budget: most nats that it was allowed to spend.
    """

    targets: np.ndarray
    solution: Solution
    distance: float
    budget: float


def default_budget(oracle: Oracle) -> float:
    """Half of the most that re-weighting can spend: about sqrt(K) replies a prompt still carry the weight."""
    return 0.5 * oracle.log_candidates


def nearest(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    budget: float | None = None,
    locked: np.ndarray | None = None,
    attainable: AttainableLevels | None = None,
) -> Nearest | None:
    """The palette closest to the one asked for that can be had within a budget of nats.

    minimise sum_j (d_j - d'_j)^2 over attainable d' with KL <= budget. For one ridge 1/rho the dual of that is
    the solver's own with weights priced, and d' = d - x / rho. The nats spent grow with rho, so the budget fixes it.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        budget: nats. By default half of the most that can be spent, or less where that would rest on too few replies.
        locked: (value,) bool, values that must not give way.
        attainable: corners to start from.

    Returns:
        The palette, or None when the locked values alone are out of reach.

    Raises:
        InputError: the budget is not above 0.
    """
    targets = np.asarray(targets, dtype=float)
    trusted_only = budget is None
    budget = default_budget(oracle) if budget is None else float(budget)
    if not budget > 0:
        raise InputError(f"The budget is {budget} nats; expected a number above 0.")
    free_to_move = np.ones(len(targets), bool) if locked is None else ~np.asarray(locked, dtype=bool)
    kept = np.where(free_to_move, np.nan, targets)
    if not (attainable or AttainableLevels(oracle)).margin(kept).attainable:
        return None
    solutions: dict[float, Solution] = {}

    def at(log_rho: float) -> Solution:
        if log_rho not in solutions:
            start = min(solutions.items(), key=lambda item: abs(item[0] - log_rho))[1].weights if solutions else None
            solutions[log_rho] = solve(oracle, targets, ridge=math.exp(-log_rho) * free_to_move, start=start)
        return solutions[log_rho]

    low, high = math.log(1e-4), math.log(1e4)
    if at(high).kl <= budget:
        log_rho = high
    elif at(low).kl > budget:
        log_rho = low
    else:
        log_rho = brentq(lambda log_rho: at(log_rho).kl - budget, low, high, xtol=1e-6)
    if trusted_only and not is_trusted(oracle, at(log_rho)):
        high = log_rho
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if is_trusted(oracle, at(middle)) else (low, middle)
        log_rho = low
    solution = at(log_rho)
    reached = np.where(np.isnan(targets), np.nan, np.minimum(targets, solution.levels))
    reached = np.where(oracle.constant & (reached > 0), 0.0, reached)
    distance = float(np.sqrt(np.nansum((targets - reached) ** 2)))
    return Nearest(reached, solution, distance, budget)


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is said of one palette.

    Args:
        targets: (value,) as asked, in standard deviations above base, NaN for free values.
        verdict: reachable, on paper or out of reach.
        margin: the margin and its certificate.
        solution: weights and levels; None when out of reach.
        ess: replies that carry the weight; None when out of reach.
        nearest: the closest palette that can be trusted; None when this one is reachable, or nothing is close.
    """

    targets: np.ndarray
    verdict: Verdict
    margin: Margin
    solution: Solution | None
    ess: EffectiveSampleSize | None
    nearest: Nearest | None


def assess(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    solution: Solution | None = None,
    attainable: AttainableLevels | None = None,
) -> Assessment:
    """Verdict, weights and, where it is needed, the nearest palette.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        solution: what :func:`map_core.dual.solve` gave for these targets, where it is known already.
        attainable: corners to start the linear program from.

    Returns:
        The assessment.

    Raises:
        InputError: a target is infinite, or there is not one entry a value.
    """
    targets = np.asarray(targets, dtype=float)
    if targets.shape != oracle.base.shape or np.any(np.isinf(targets)):
        raise InputError(
            f"Targets are {targets.tolist()}; expected {len(oracle.base)} finite numbers, NaN for a free value."
        )
    attainable = attainable or AttainableLevels(oracle)
    edge = attainable.margin(targets)
    if not edge.attainable:
        closest = nearest(oracle, targets, attainable=attainable)
        return Assessment(targets, Verdict.OUT_OF_REACH, edge, None, None, closest)
    solution = solution or solve(oracle, targets)
    ess = oracle.effective_sample_size(solution.weights)
    inside = edge.value > MARGIN_TOLERANCE and solution.status is Status.CONVERGED
    if inside and is_trusted(oracle, solution):
        return Assessment(targets, Verdict.REACHABLE, edge, solution, ess, None)
    closest = nearest(oracle, targets, attainable=attainable)
    return Assessment(targets, Verdict.ON_PAPER, edge, solution, ess, closest)


def trust_threshold(oracle: Oracle) -> float:
    """Replies a prompt (replies in all, when pooled) on which weights must rest to be trusted."""
    if oracle.form is Form.POOLED:
        return TRUSTED_POOLED
    return min(TRUSTED_PER_PROMPT, max(1.5, math.exp(oracle.log_candidates) / 4))


def is_trusted(oracle: Oracle, solution: Solution) -> bool:
    """Whether enough replies carry the weight: a prompt, and in all."""
    ess = oracle.effective_sample_size(solution.weights)
    return ess.per_prompt >= trust_threshold(oracle) and ess.pooled >= TRUSTED_POOLED
