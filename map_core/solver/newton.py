"""The solver: the weights at which a palette's levels are met at the least distance from the base model.

    maximise over x >= 0    g(x) = x . d - A(t + x) - 1/2 sum_j ridge_j x_j^2

in the standardised units of :mod:`map_core.oracle`. The tilt t is 0 but for the frontier, the ridge 0 but for
the nearest palette. Each step maximises the quadratic model of g over x >= 0 exactly (non-negative least squares,
so the set of active values is part of the step) and is safeguarded by a backtracking line search. A large table is
first solved on nested subsamples of its prompts, so that it is itself passed over two or three times. Constraint: one
bounded loop, pure functions; whether a target can be reached is never decided here but in
:mod:`map_core.feasibility`.

Source: method in Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), Theorem 1;
projected Newton in Bertsekas, "Projected Newton Methods for Optimization Problems with Simple Constraints", 1982.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.linalg.lapack import dposv
from scipy.optimize import nnls

from map_core.oracle import REDUNDANT, Moments, Oracle, is_singular

#: A residual that rounding may leave on tables where no step gains anything any more.
ROUNDING = 1e-8
MAX_STEPS = 200
#: Shares of the prompts that a large table is first solved on, and how exactly.
SUBSAMPLES = ((1 / 64, 1e-1), (1 / 16, 1e-2))


class Status(StrEnum):
    """How a solve ended."""

    CONVERGED = "converged"
    #: g passed the most nats that any re-weighting can spend, so by weak duality no distribution meets the targets.
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
        kl: distance from the base model, x . levels - A, in nats.
        residual: largest violation of the optimality conditions, |x - max(0, x + d - levels)|.
        steps: passes over the table.
        redundant: the weights are not unique; these are the ones of least norm.
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
        ridge: 0, or a non-negative number or (value,) array that prices weights (nearest palette).
        tilt: (value,) fixed weights t that are added to x.
        start: (value,) weights to start from, for warm starts.
        budget: nats; targets that cost more end the solve early, and the status says so. Without tilt and ridge.
        tolerance: largest residual of a converged solution; the oracle's resolution by default.
        max_steps: most passes over the table.

    Returns:
        The solution; its status says whether it converged.
    """
    size = len(oracle.values)
    targets = np.asarray(targets, dtype=float)
    price = np.broadcast_to(np.asarray(ridge, dtype=float), (size,))
    # A constant value's levels do not depend on its weight, which is 0 in the solution of least norm.
    wanted = np.flatnonzero(~np.isnan(targets) & ~oracle.constant)
    problem = _Problem(
        wanted,
        targets[wanted],
        price[wanted],
        np.zeros(size) if tilt is None else np.asarray(tilt, dtype=float),
        budget,
    )
    x = np.zeros(len(wanted)) if start is None else np.maximum(np.asarray(start, dtype=float)[wanted], 0.0)
    tolerance = oracle.resolution if tolerance is None else tolerance
    # Weights to start from are those of a neighbour, closer than a subsample's.
    for share, rough in SUBSAMPLES if start is None else ():
        part = oracle.subsample(share)
        if part is not None:
            begun = _climb(part, problem, x, rough, max_steps)
            # On a subsample targets may be out of reach that the whole table reaches: start from there no further.
            x = begun.x if begun.status is Status.CONVERGED else x
    point = _climb(oracle, problem, x, tolerance, max_steps)

    x, moments, passes = point.x, point.moments, point.passes
    redundant = _plain(problem) and is_redundant(oracle, wanted)
    if redundant and point.status is Status.CONVERGED:
        # A target with slack has weight 0 in every solution; only the tight ones can share theirs.
        tight = problem.targets - moments.levels[wanted] > -1e-7
        shared = np.zeros(len(x))
        shared[tight] = least_norm(oracle, wanted[tight], x[tight])
        found = oracle.moments(problem.weights(shared))
        passes += 1
        # Nearly redundant values may still matter to a few replies: then the weights stay as they were.
        if _residual(shared, problem.gradient(shared, found)) <= max(ROUNDING, tolerance):
            x, moments = shared, found
    weights = np.zeros(size)
    weights[wanted] = x
    return Solution(
        status=point.status,
        weights=weights,
        levels=moments.levels,
        covariance=moments.covariance,
        kl=moments.kl(problem.tilt + weights),
        residual=_residual(x, problem.gradient(x, moments)),
        steps=passes,
        redundant=redundant,
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """The targeted values and what is asked of them."""

    wanted: np.ndarray
    targets: np.ndarray
    price: np.ndarray
    tilt: np.ndarray
    budget: float

    def weights(self, x: np.ndarray) -> np.ndarray:
        full = self.tilt.copy()
        full[self.wanted] += x
        return full

    def gradient(self, x: np.ndarray, moments: Moments) -> np.ndarray:
        gradient: np.ndarray = self.targets - moments.levels[self.wanted] - self.price * x
        return gradient

    def dual_value(self, x: np.ndarray, moments: Moments) -> float:
        return float(x @ self.targets - moments.log_normaliser - 0.5 * (self.price * x) @ x)


def _plain(problem: _Problem) -> bool:
    """Neither tilt nor ridge: g is a lower bound of the KL divergence that the targets cost."""
    return not problem.tilt.any() and not problem.price.any()


@dataclass(frozen=True, eq=False)
class _Point:
    """Where a climb ended."""

    status: Status
    x: np.ndarray
    moments: Moments
    passes: int


def _climb(oracle: Oracle, problem: _Problem, x: np.ndarray, tolerance: float, max_steps: int) -> _Point:
    """Newton steps from x until the residual is within the tolerance, or the status says why not."""
    plain = _plain(problem)
    # The base model's own moments are known; every cold start begins there.
    cold = plain and not x.any()
    moments = oracle.base_moments if cold else oracle.moments(problem.weights(x))
    value = 0.0 if cold else problem.dual_value(x, moments)
    passes = 0 if cold else 1
    # Weak duality: a reachable target has g(x) <= KL* <= the most that can be spent, at every x.
    most = oracle.log_candidates + 1e-6 if plain else np.inf
    budget = problem.budget + 1e-12 if plain else np.inf
    rows = np.ix_(problem.wanted, problem.wanted)
    while True:
        gradient = problem.gradient(x, moments)
        residual = _residual(x, gradient)
        if value > min(most, budget):
            return _Point(Status.UNBOUNDED if value > most else Status.OVER_BUDGET, x, moments, passes)
        if residual <= tolerance:
            return _Point(Status.CONVERGED, x, moments, passes)
        step = newton_step(moments.covariance[rows] + np.diag(problem.price), gradient, x)
        slope = float(gradient @ step)
        longest, length = float(longest_step(np.abs(x).max())), float(np.abs(step).max())
        scale = longest / length if length > longest else 1.0
        for _ in range(40):
            if passes >= max_steps:
                break
            candidate = np.maximum(x + scale * step, 0.0)
            moments_there = oracle.moments(problem.weights(candidate))
            value_there = problem.dual_value(candidate, moments_there)
            passes += 1
            # The last steps gain less than the rounding of g: there a Newton step is taken for what it is.
            if value_there >= value + 1e-4 * scale * slope - 1e-13 * (1.0 + abs(value)):
                x, moments, value = candidate, moments_there, value_there
                break
            scale *= 0.3
        else:
            passes = max_steps
        if passes >= max_steps:
            # Nothing is gained any more: at the last digits that the data allows, which is converged, or stuck.
            stuck = _residual(x, problem.gradient(x, moments)) > max(ROUNDING, tolerance)
            return _Point(Status.STEP_LIMIT if stuck else Status.CONVERGED, x, moments, passes)


def _residual(x: np.ndarray, gradient: np.ndarray) -> float:
    # |x - max(0, x + gradient)| without the rounding of a large x.
    return float(np.abs(np.minimum(x, -gradient)).max(initial=0.0))


def longest_step(largest: np.ndarray | float) -> np.ndarray | float:
    """Longest step in any weight, given the largest: far from the optimum the quadratic model of a log-sum-exp
    promises too much."""
    return 4.0 + 2.0 * largest


def newton_step(hessian: np.ndarray, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The step p that maximises gradient . p - 1/2 p' H p subject to x + p >= 0.

    Mostly the active values are those with x > 0 or a positive gradient, and one Cholesky solve says so. Otherwise,
    with H = L L' and y = x + p, this is non-negative least squares of L' y against L^-1 (H x + gradient).
    """
    free = np.flatnonzero((x > 0) | (gradient > 0))
    if len(free):
        _, p, info = dposv(hessian[np.ix_(free, free)], gradient[free])
        if info == 0 and np.all(x[free] + p >= 0):
            step = np.zeros(len(x))
            step[free] = p
            # The others stay at 0 where the model's gradient there is not positive.
            if len(free) == len(x) or np.all(np.delete(gradient - hessian @ step, free) <= 0):
                return step
    roundoff = 1e-14 * max(float(np.trace(hessian)), 0.0) + 1e-30
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.sqrt(np.maximum(eigenvalues, 0.0) + roundoff)
    right = root * (vectors.T @ x) + (vectors.T @ gradient) / root
    try:
        y, _ = nnls(root[:, None] * vectors.T, right)
    except RuntimeError:  # its own iteration limit, on a singular Hessian: a gradient step is still an ascent
        y = np.maximum(x + gradient, 0.0)
    return y - x


def is_redundant(oracle: Oracle, wanted: np.ndarray) -> bool:
    """A mix of the values at these positions never varies between the replies that can be chosen from."""
    # Eigenvalues interlace: where all values together are not redundant, no part of them is.
    if not len(wanted) or not oracle.has_redundant_values:
        return False
    return is_singular(oracle.base_moments.covariance[np.ix_(wanted, wanted)])


def least_norm(oracle: Oracle, wanted: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The weights of least norm with the same levels: min |y| subject to y >= 0 and y - x in the null space of H.

    Solved as non-negative least squares with the equations weighted far above the norm.
    """
    if not len(x):
        return x
    eigenvalues, vectors = np.linalg.eigh(oracle.base_moments.covariance[np.ix_(wanted, wanted)])
    kept = vectors[:, eigenvalues > REDUNDANT * eigenvalues[-1]].T
    heavy = 1e7
    y, _ = nnls(np.vstack([heavy * kept, np.eye(len(x))]), np.concatenate([heavy * kept @ x, np.zeros(len(x))]))
    return y
