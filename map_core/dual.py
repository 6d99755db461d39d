"""The solver: the weights at which a palette's levels are met at the least distance from the base model.

    maximise over x >= 0    g(x) = x . d - A(t + x) - 1/2 sum_j ridge_j x_j^2

in the standardised units of :mod:`map_core.oracle`. The tilt t is 0 but for the frontier, the ridge 0 but for
the nearest palette. Each step maximises the quadratic model of g over x >= 0 exactly (non-negative least squares,
so the set of active values is part of the step) and is safeguarded by a backtracking line search. Constraint: one
bounded loop, pure functions; whether a target can be reached is never decided here but in
:mod:`map_core.feasibility`.

Source: method in Wang et al., "MAP: Multi-Human-Value Alignment Palette", ICLR 2025 (arXiv 2410.19198), Theorem 1;
projected Newton in Bertsekas, "Projected Newton Methods for Optimization Problems with Simple Constraints", 1982.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import nnls

from map_core.oracle import REDUNDANT, Moments, Oracle, is_singular

TOLERANCE = 1e-10
#: A residual that rounding may leave on tables where no step gains anything any more.
ROUNDING = 1e-8
MAX_STEPS = 200


class Status(StrEnum):
    """How a solve ended."""

    CONVERGED = "converged"
    #: g passed the most nats that any re-weighting can spend, so by weak duality no distribution meets the targets.
    UNBOUNDED = "unbounded"
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
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Solution:
    """Find the weights that meet the targets at the least KL divergence from the base model.

    Args:
        oracle: the table.
        targets: (value,) d, in standard deviations above base; NaN for a free value.
        ridge: 0, or a non-negative number or (value,) array that prices weights (nearest palette).
        tilt: (value,) fixed weights t that are added to x.
        start: (value,) weights to start from, for warm starts.
        tolerance: largest residual of a converged solution.
        max_steps: most Newton steps.

    Returns:
        The solution; its status says whether it converged.
    """
    size = len(oracle.values)
    targets = np.asarray(targets, dtype=float)
    fixed = np.zeros(size) if tilt is None else np.asarray(tilt, dtype=float)
    price = np.broadcast_to(np.asarray(ridge, dtype=float), (size,))
    # A constant value's levels do not depend on its weight, which is 0 in the solution of least norm.
    wanted = np.flatnonzero(~np.isnan(targets) & ~oracle.constant)
    d, price = targets[wanted], price[wanted]

    x = np.zeros(len(wanted)) if start is None else np.maximum(np.asarray(start, dtype=float)[wanted], 0.0)

    def evaluate(x: np.ndarray) -> tuple[Moments, float]:
        full = fixed.copy()
        full[wanted] += x
        moments = oracle.moments(full)
        return moments, float(x @ d - moments.log_normaliser - 0.5 * price @ x**2)

    # The base model's own moments are known; every cold start begins there.
    cold = start is None and tilt is None
    moments, value = (oracle.base_moments, 0.0) if cold else evaluate(x)
    passes, status = 0 if cold else 1, Status.STEP_LIMIT
    # Weak duality: a reachable target has g(x) <= KL* <= the most that can be spent, at every x.
    ceiling = oracle.log_candidates + 1e-6 if tilt is None and not np.any(price) else np.inf
    while True:
        gradient = d - moments.levels[wanted] - price * x
        if _residual(x, gradient) <= tolerance:
            status = Status.CONVERGED
            break
        if value > ceiling:
            status = Status.UNBOUNDED
            break
        if passes >= max_steps:
            status = Status.CONVERGED if _residual(x, gradient) <= ROUNDING else Status.STEP_LIMIT
            break
        hessian = moments.covariance[np.ix_(wanted, wanted)] + np.diag(price)
        step = _newton_step(hessian, gradient, x)
        slope = float(gradient @ step)
        scale = min(1.0, _longest(x) / max(float(np.abs(step).max()), 1e-300))
        improved = False
        for _ in range(40):
            candidate = np.maximum(x + scale * step, 0.0)
            moments_next, value_next = evaluate(candidate)
            passes += 1
            # The last steps gain less than the rounding of g: there a Newton step is taken for what it is.
            if value_next >= value + 1e-4 * scale * slope - 1e-13 * (1.0 + abs(value)):
                improved = True
                break
            scale *= 0.3
        if not improved:
            # Nothing is gained any more: at the last digits that the data allows, which is converged, or stuck.
            status = Status.CONVERGED if _residual(x, gradient) <= ROUNDING else Status.STEP_LIMIT
            break
        x, moments, value = candidate, moments_next, value_next

    redundant = _is_redundant(oracle, wanted, price)
    if redundant and status is Status.CONVERGED:
        # A target with slack has weight 0 in every solution; only the tight ones can share theirs.
        tight = d - moments.levels[wanted] > -1e-7
        x = np.where(tight, x, 0.0)
        x[tight] = _least_norm(oracle, wanted[tight], x[tight])
        moments, _ = evaluate(x)
        passes += 1
    gradient = d - moments.levels[wanted] - price * x
    weights = np.zeros(size)
    weights[wanted] = x
    return Solution(
        status=status,
        weights=weights,
        levels=moments.levels,
        covariance=moments.covariance,
        kl=max(0.0, float((fixed + weights) @ moments.levels - moments.log_normaliser)),
        residual=_residual(x, gradient),
        steps=passes,
        redundant=redundant,
    )


def _residual(x: np.ndarray, gradient: np.ndarray) -> float:
    return float(np.abs(x - np.maximum(0.0, x + gradient)).max(initial=0.0))


def _longest(x: np.ndarray) -> float:
    """Longest step in any weight: far from the optimum the quadratic model of a log-sum-exp promises too much."""
    return 4.0 + 2.0 * float(np.abs(x).max(initial=0.0))


def _newton_step(hessian: np.ndarray, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The step p that maximises gradient . p - 1/2 p' H p subject to x + p >= 0.

    With H = L L' and y = x + p this is non-negative least squares of L' y against L^-1 (H x + gradient).
    """
    roundoff = 1e-14 * float(np.trace(hessian)) + 1e-300
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.sqrt(np.maximum(eigenvalues, 0.0) + roundoff)
    right = root * (vectors.T @ x) + (vectors.T @ gradient) / root
    try:
        y, _ = nnls(root[:, None] * vectors.T, right)
    except RuntimeError:  # its own iteration limit, on a singular Hessian: a gradient step is still an ascent
        y = np.maximum(x + gradient, 0.0)
    return y - x


def _is_redundant(oracle: Oracle, wanted: np.ndarray, price: np.ndarray) -> bool:
    """A mix of the targeted values never varies between the replies that can be chosen from."""
    if not len(wanted) or np.any(price):
        return False
    # Eigenvalues interlace: where all values together are not redundant, no part of them is.
    return oracle.has_redundant_values and is_singular(oracle.base_moments.covariance[np.ix_(wanted, wanted)])


def _least_norm(oracle: Oracle, wanted: np.ndarray, x: np.ndarray) -> np.ndarray:
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
