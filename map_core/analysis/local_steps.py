"""One target moved by a step while either the other targets or the cost are kept.

    keep the others    d'_j = d_j + h and d' = d elsewhere; what it costs follows
    keep the cost      d'_j = d_j + h and KL(d') <= KL(d). A step up: the others are lowered as little as possible, by
                       :mod:`map_core.feasibility.nearest`. A step down: the others rise together by t,
                       as far as the saved nats allow

KL is convex in the targets and its gradient is x, so t is the root of a convex increasing function and Newton's method
within a bracket finds it. Constraint: a step that is not attainable is None; the certificate decides that.

Source: shadow prices as in :mod:`map_core.analysis.sensitivity`; the two ways to move along a frontier are those of
interactive multi-objective optimisation, Miettinen, "Nonlinear Multiobjective Optimization", 1999, chapter II.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, checked_targets
from map_core.feasibility.nearest import nearest
from map_core.feasibility.trust import is_trusted
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve

#: Tolerance of the cost in nats, and of the common rise in standard deviations.
KL_TOLERANCE, RISE_TOLERANCE = 1e-9, 1e-10
MAX_STEPS = 60


class Keep(StrEnum):
    """What a step keeps fixed."""

    OTHERS = "others"
    COST = "cost"


@dataclass(frozen=True, eq=False)
class LocalStep:
    """A palette one step away, in standardised units.

    Args:
        value: position of the value whose target moves.
        size: in standard deviations; below 0 for a step down.
        keep: what is kept fixed.
        targets: (value,) of the new palette, NaN for free values.
        solution: its weights, levels and cost.
        nats: how much more it costs than the palette before; below 0 when it costs less.
        trusted: the effective number of replies is large enough at its weights.
    """

    value: int
    size: float
    keep: Keep
    targets: np.ndarray
    solution: Solution
    nats: float
    trusted: bool


def local_step(
    oracle: Oracle,
    targets: np.ndarray,
    value: int,
    size: float,
    keep: Keep,
    *,
    now: Solution | None = None,
    fixed: np.ndarray | None = None,
    attainable: AttainableLevels | None = None,
) -> LocalStep | None:
    """Compute the palette one step away.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value; attainable.
        value: position of a value with a target.
        size: h, standard deviations, not 0.
        keep: the others' targets, or the cost.
        now: the solution at the targets.
        fixed: (value,) bool, other targets that stay fixed.
        attainable: corners to start the linear program from.

    Returns:
        The step; None where the palette is not possible, or where the cost cannot be kept: no other target can be
        lowered, or take the saved nats.

    Raises:
        InputError: the value has no target, or the size is 0 or not a number.

    Example:
        >>> more = local_step(oracle, targets, 0, 0.1, Keep.COST)  # doctest: +SKIP
        >>> more.targets - targets  # doctest: +SKIP
        array([ 0.1  , -0.034,    nan])
    """
    targets = checked_targets(oracle, targets)
    if not 0 <= value < len(targets) or math.isnan(targets[value]):
        raise InputError(f"A step moves a value that has a target; the value at position {value} has none.")
    if not (math.isfinite(size) and size != 0):
        raise InputError(f"The step is {size} standard deviations; expected a number other than 0.")
    now = now or solve(oracle, targets)
    locked = np.zeros(len(targets), dtype=bool) if fixed is None else np.array(fixed, dtype=bool)
    moved = targets.copy()
    moved[value] += size
    locked[value] = True
    others = ~locked & ~np.isnan(targets) & ~oracle.constant
    if keep is Keep.COST and not others.any():
        return None
    moved_to: tuple[np.ndarray, Solution] | None
    if keep is Keep.COST and size < 0:
        moved_to = _raise_others(oracle, moved, others, now)
    elif keep is Keep.COST:
        closest = nearest(oracle, moved, budget=max(now.kl, KL_TOLERANCE), locked=locked & ~np.isnan(targets))
        moved_to = None if closest is None else (closest.targets, closest.solution)
    else:
        margin = (attainable or AttainableLevels(oracle)).margin(moved)
        solution = solve(oracle, moved, start=now.weights) if margin.attainable else None
        moved_to = None if solution is None else (moved, solution)
    if moved_to is None:
        return None
    new_targets, solution = moved_to
    return LocalStep(
        value, float(size), keep, new_targets, solution, solution.kl - now.kl, is_trusted(oracle, solution)
    )


def _raise_others(
    oracle: Oracle, lowered: np.ndarray, others: np.ndarray, now: Solution
) -> tuple[np.ndarray, Solution]:
    """Raise the other targets together until the lowered palette costs what the current one does."""
    low, high, t = 0.0, math.inf, 0.0
    start, best = now.weights, None
    for _ in range(MAX_STEPS):
        targets = np.where(others, lowered + t, lowered)
        solution = solve(oracle, targets, start=start)
        converged = solution.status is Status.CONVERGED
        surplus = solution.kl - now.kl if converged else math.inf
        if converged:
            start = solution.weights
        if surplus <= KL_TOLERANCE:
            low, best = t, (targets, solution)
        else:
            high = t
        if abs(surplus) <= KL_TOLERANCE or high - low <= RISE_TOLERANCE:
            break
        slope = float(solution.weights[others].sum()) if converged else 0.0
        next_t = t - surplus / slope if slope > 1e-12 else math.inf
        if not low < next_t < high:
            next_t = (low + high) / 2 if math.isfinite(high) else 2 * low + 0.1
        t = next_t
    assert best is not None  # at t = 0 only a target was lowered, which never costs more
    return best
