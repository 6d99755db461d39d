"""Solve one palette: the weights that meet the targets at the least KL divergence from the base model.

    maximise over x >= 0    g(x) = x . d - A(t + x) - 1/2 sum_j ridge_j x_j^2

in the standardised units of :mod:`map_core.oracle`. The tilt t is nonzero for the frontier only, the ridge for
the nearest palette only. Each step maximises the quadratic model of g over x >= 0 exactly (non-negative least squares,
so the active set is part of the step) and is safeguarded by a backtracking line search. A large table is first solved
on nested subsamples of its prompts, so that only two or three passes over the whole table remain. Constraint: one
bounded loop, pure functions; whether a target can be reached is decided in :mod:`map_core.feasibility` and not here.

Source: method in Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), Theorem 1;
projected Newton in Bertsekas, "Projected Newton Methods for Optimization Problems with Simple Constraints", 1982.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from scipy.linalg.lapack import dposv
from scipy.optimize import nnls

from map_core.oracle import REDUNDANT, Moments, Oracle, is_singular

Float = TypeVar("Float", float, np.ndarray)

#: Largest residual that rounding may leave where no step increases g any more.
ROUNDING = 1e-8
#: Most passes over the table.
MAX_STEPS = 200
#: Line search: least share of the predicted increase (Armijo), shrinkage of a rejected step, and most shrinkages.
ARMIJO, SHRINK, MAX_SHRINKS = 1e-4, 0.3, 40
#: Relative rounding of g: the last steps gain less than it, so that a decrease within it is accepted.
DUAL_ROUNDING = 1e-13
#: Shares of the prompts on which a large table is solved first, each with its tolerance.
SUBSAMPLES = ((1 / 64, 1e-1), (1 / 16, 1e-2))


class Status(StrEnum):
    """How a solve ended."""

    CONVERGED = "converged"
    #: g passed the most that it can be for targets that a re-weighting meets, so by weak duality none meets them.
    UNBOUNDED = "unbounded"
    #: g passed the budget, so by weak duality the targets cost more than it, if they can be met at all.
    OVER_BUDGET = "over_budget"
    STEP_LIMIT = "step_limit"


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights and what they give, in standardised units, all arrays (value,).

    Args:
        status: how the solve ended.
        weights: x = s * lambda; 0 for free values.
        levels: realised levels, in standard deviations above base.
        covariance: (value, value) Hessian of A at the weights.
        kl: KL divergence from the base model, x . levels - A, in nats.
        residual: largest violation of the optimality conditions, |x - max(0, x + d - levels)|.
        steps: passes over the table.
        redundant: the weights are not unique; these have the least norm.
    """

    status: Status
    weights: np.ndarray
    levels: np.ndarray
    covariance: np.ndarray
    kl: float
    residual: float
    steps: int
    redundant: bool = False


def solve(
    oracle: Oracle,
    targets: np.ndarray,
    *,
    ridge: np.ndarray | float = 0.0,
    tilt: np.ndarray | None = None,
    start: np.ndarray | None = None,
    budget: float = np.inf,
    tolerance: float | None = None,
    max_steps: int = MAX_STEPS,
) -> Solution:
    """Find the weights that meet the targets at the least KL divergence from the base model.

    Args:
        oracle: the table.
        targets: (value,) d, in standard deviations above base; NaN for a free value.
        ridge: 0, or a non-negative number or (value,) array of penalties on weights (nearest palette).
        tilt: (value,) fixed weights t that are added to x.
        start: (value,) weights of a warm start.
        budget: nats; targets that cost more end the solve early, and the status says so. Without tilt and ridge.
        tolerance: largest residual of a converged solution; the oracle's resolution by default.
        max_steps: most passes over the table.

    Returns:
        The solution; its status says whether it converged.
    """
    size = len(oracle.values)
    targets = oracle.deviations(targets)
    penalties = np.broadcast_to(np.asarray(ridge, dtype=float), (size,))
    # A constant value's levels do not depend on its weight, which is 0 in the solution of least norm.
    targeted = np.flatnonzero(~np.isnan(targets) & ~oracle.constant)
    problem = _DualProblem(
        targeted=targeted,
        targets=targets[targeted],
        ridge=penalties[targeted],
        tilt=np.zeros(size) if tilt is None else np.asarray(tilt, dtype=float),
        budget=budget,
    )
    x = np.zeros(len(targeted)) if start is None else np.maximum(np.asarray(start, dtype=float)[targeted], 0.0)
    tolerance = oracle.resolution if tolerance is None else tolerance
    # A warm start is closer to the solution than a subsample's.
    for share, rough_tolerance in SUBSAMPLES if start is None else ():
        part = oracle.subsample(share)
        if part is not None:
            rough = _maximise(part, problem, x, rough_tolerance, max_steps)
            # Targets may be out of reach on a subsample and not on the table: such a point is no start.
            x = rough.x if rough.status is Status.CONVERGED else x
    point = _maximise(oracle, problem, x, tolerance, max_steps)

    x, moments, passes = point.x, point.moments, point.passes
    redundant = _is_plain(problem) and is_redundant(oracle, targeted)
    if redundant and point.status is Status.CONVERGED:
        # A target with slack has weight 0 in every solution; only tight ones can share weight.
        tight = problem.targets - moments.levels[targeted] > -1e-7
        shared = np.zeros(len(x))
        shared[tight] = least_norm(oracle, targeted[tight], x[tight])
        shared_moments = oracle.moments(problem.weights(shared))
        passes += 1
        # Nearly redundant values may still matter to a few replies: then the weights stay.
        if residuals(shared, problem.gradient(shared, shared_moments)) <= max(ROUNDING, tolerance):
            x, moments = shared, shared_moments
    weights = np.zeros(size)
    weights[targeted] = x
    return Solution(
        status=point.status,
        weights=weights,
        levels=moments.levels,
        covariance=moments.covariance,
        kl=moments.kl(problem.tilt + weights),
        residual=float(residuals(x, problem.gradient(x, moments))),
        steps=passes,
        redundant=redundant,
    )


@dataclass(frozen=True, eq=False)
class _DualProblem:
    """The dual problem in the targeted values alone.

    Args:
        targeted: (target,) positions of the values that have a target.
        targets: (target,) d.
        ridge: (target,) penalties on weights.
        tilt: (value,) fixed weights t.
        budget: nats.
    """

    targeted: np.ndarray
    targets: np.ndarray
    ridge: np.ndarray
    tilt: np.ndarray
    budget: float

    def weights(self, x: np.ndarray) -> np.ndarray:
        """Return all weights, (value,), at targeted weights x."""
        full = self.tilt.copy()
        full[self.targeted] += x
        return full

    def gradient(self, x: np.ndarray, moments: Moments) -> np.ndarray:
        """Return the gradient of g at x."""
        gradient: np.ndarray = self.targets - moments.levels[self.targeted] - self.ridge * x
        return gradient

    def dual_value(self, x: np.ndarray, moments: Moments) -> float:
        """Return g at x."""
        return float(x @ self.targets - moments.log_normaliser - 0.5 * (self.ridge * x) @ x)


def _is_plain(problem: _DualProblem) -> bool:
    """Return whether there is neither tilt nor ridge, so that g is a lower bound of the KL that the targets cost."""
    return not problem.tilt.any() and not problem.ridge.any()


@dataclass(frozen=True, eq=False)
class _Iterate:
    """The last iterate of a maximisation and its status."""

    status: Status
    x: np.ndarray
    moments: Moments
    passes: int


def _maximise(oracle: Oracle, problem: _DualProblem, x: np.ndarray, tolerance: float, max_steps: int) -> _Iterate:
    """Take Newton steps from x until the residual is within the tolerance, or the status says why not."""
    # A cold start begins at the base model, whose moments are cached.
    cold = not problem.tilt.any() and not x.any()
    moments = oracle.base_moments if cold else oracle.moments(problem.weights(x))
    value = 0.0 if cold else problem.dual_value(x, moments)
    passes = 0 if cold else 1
    most = np.inf if problem.ridge.any() else oracle.log_candidates
    budget = problem.budget + 1e-12 if _is_plain(problem) else np.inf
    rows = np.ix_(problem.targeted, problem.targeted)
    while True:
        gradient = problem.gradient(x, moments)
        residual = residuals(x, gradient)
        if proves_unreachable(oracle, np.asarray(value), most, problem.tilt):
            return _Iterate(Status.UNBOUNDED, x, moments, passes)
        if value > budget:
            return _Iterate(Status.OVER_BUDGET, x, moments, passes)
        if residual <= tolerance:
            return _Iterate(Status.CONVERGED, x, moments, passes)
        step = newton_step(moments.covariance[rows] + np.diag(problem.ridge), gradient, x)
        slope = float(gradient @ step)
        longest, length = longest_step(float(np.abs(x).max())), float(np.abs(step).max())
        scale = longest / length if length > longest else 1.0
        for _ in range(MAX_SHRINKS):
            if passes >= max_steps:
                break
            candidate = np.maximum(x + scale * step, 0.0)
            moments_there = oracle.moments(problem.weights(candidate))
            value_there = problem.dual_value(candidate, moments_there)
            passes += 1
            if value_there >= least_value(value, scale, slope):
                x, moments, value = candidate, moments_there, value_there
                break
            scale *= SHRINK
        else:
            passes = max_steps
        if passes >= max_steps:
            # No step increases g any more: converged to the last digits of the data, or stuck.
            stuck = residuals(x, problem.gradient(x, moments)) > max(ROUNDING, tolerance)
            return _Iterate(Status.STEP_LIMIT if stuck else Status.CONVERGED, x, moments, passes)


def proves_unreachable(oracle: Oracle, dual: np.ndarray, most: np.ndarray | float, tilt: np.ndarray) -> np.ndarray:
    """Return whether g without ridge proves, by weak duality, that no distribution meets the targets, (...,) bool.

    For a distribution p with levels above the targets, g(x) <= KL(p || p0) - t . E_p[z] at every x. Levels above base
    are at most the highest of each value and at least the lowest, which are computed only if they could decide.

    Args:
        oracle: the table.
        dual: (...,) g.
        most: (...,) the largest KL of any re-weighting, in nats; infinite to prove nothing.
        tilt: (..., value) fixed weights t.
    """
    proved = np.asarray(dual > most + 1e-6)
    if not (proved[..., None] & (tilt != 0)).any():
        return proved
    taken = -np.where(tilt > 0, tilt * oracle.lowest, tilt * oracle.highest).sum(axis=-1)
    return np.asarray(dual > most + taken + 1e-6 * (1.0 + np.abs(tilt).sum(axis=-1)))


def least_value(value: Float, scale: Float, slope: Float) -> Float:
    """Return the least g at which the line search accepts a step, elementwise.

    Args:
        value: g before the step.
        scale: length of the step as a share of the Newton step.
        slope: gradient . step.
    """
    return value + ARMIJO * scale * slope - DUAL_ROUNDING * (1.0 + abs(value))


def residuals(x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the largest violation of the optimality conditions, (...,), of weights and gradients (..., value)."""
    # |x - max(0, x + gradient)| without the rounding of a large x.
    violation: np.ndarray = np.abs(np.minimum(x, -gradient)).max(axis=-1, initial=0.0)
    return violation


def longest_step(largest: Float) -> Float:
    """Return the longest step in any weight, elementwise, given the largest weight.

    Far from the optimum the quadratic model of a log-sum-exp overestimates the gain.
    """
    return 4.0 + 2.0 * largest


def newton_step(hessian: np.ndarray, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the step p that maximises gradient . p - 1/2 p' H p subject to x + p >= 0.

    The active set is guessed: values with x > 0 or a positive gradient are free. One Cholesky solve mostly confirms the
    guess. Otherwise, with H = L L' and y = x + p, the step is the non-negative least squares solution of
    L' y = L^-1 (H x + gradient).
    """
    free = np.flatnonzero((x > 0) | (gradient > 0))
    if len(free):
        _, p, info = dposv(hessian[np.ix_(free, free)], gradient[free])
        if info == 0 and np.all(x[free] + p >= 0):
            step = np.zeros(len(x))
            step[free] = p
            # The guess holds if the model's gradient is not positive at the values that stay at 0.
            if len(free) == len(x) or np.all(np.delete(gradient - hessian @ step, free) <= 0):
                return step
    roundoff = 1e-14 * max(float(np.trace(hessian)), 0.0) + 1e-30
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.sqrt(np.maximum(eigenvalues, 0.0) + roundoff)
    right = root * (vectors.T @ x) + (vectors.T @ gradient) / root
    try:
        y, _ = nnls(root[:, None] * vectors.T, right)
    except RuntimeError:  # nnls hit its iteration limit, on a singular Hessian; a gradient step still ascends
        y = np.maximum(x + gradient, 0.0)
    return y - x


def is_redundant(oracle: Oracle, targeted: np.ndarray) -> bool:
    """Return whether a mix of the values at these positions never varies between replies to a prompt."""
    # Eigenvalues interlace: where all values together are not redundant, no subset is.
    if not len(targeted) or not oracle.has_redundant_values:
        return False
    return is_singular(oracle.base_moments.covariance[np.ix_(targeted, targeted)])


def least_norm(oracle: Oracle, targeted: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the weights of least norm with the same levels: min |y|, y >= 0, y - x in the null space of H.

    Solved as non-negative least squares with the equations weighted far above the norm.
    """
    if not len(x):
        return x
    eigenvalues, vectors = np.linalg.eigh(oracle.base_moments.covariance[np.ix_(targeted, targeted)])
    kept = vectors[:, eigenvalues > REDUNDANT * eigenvalues[-1]].T
    penalty = 1e7
    y, _ = nnls(np.vstack([penalty * kept, np.eye(len(x))]), np.concatenate([penalty * kept @ x, np.zeros(len(x))]))
    return y
