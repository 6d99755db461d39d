"""One target moved by a step, and what it does to the rest: the others are kept and it costs more, or the cost is kept.

    keep the others    d'_j = d_j + h and d' = d elsewhere; what it costs follows
    keep the cost      d'_j = d_j + h and KL(d') <= KL(d). A step more: the others give way as little as can be, by
                       :mod:`map_core.feasibility.nearest`. A step less: the others rise together by t, as far as
                       what was saved goes

KL is convex in the targets and its gradient is x, so t is the root of a convex increasing function and Newton's method
within a bracket finds it. Constraint: a step that cannot be had is no step, None; that is decided by the certificate.

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

#: Nats to which the cost is kept, and the rise below which nothing moves any more.
SPENT, STILL = 1e-9, 1e-10
MAX_STEPS = 60


class Keep(StrEnum):
    """What a step leaves as it is."""

    OTHERS = "others"
    COST = "cost"


@dataclass(frozen=True, eq=False)
class LocalStep:
    """A palette one step away, in standardised units.

    Args:
        value: position of the value whose target moves.
        size: by how much, in standard deviations; below 0 for a step less.
        keep: what is left as it is.
        targets: (value,) of the new palette, NaN for free values.
        solution: its weights, levels and cost.
        nats: how much more it costs than the palette before; below 0 when it costs less.
        trusted: enough replies carry its weights.
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
    """The palette one step away.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for a free value; they can be had.
        value: position of a value with a target.
        size: h, standard deviations, not 0.
        keep: the others' targets, or the cost.
        now: the solution at the targets.
        fixed: (value,) bool, other targets that neither give way nor rise.
        attainable: corners to start the linear program from.

    Returns:
        The step; None where the palette is out of reach, or where the cost cannot be kept: no other target can give
        way, or take what was saved.

    Raises:
        InputError: the value has no target, or the size is 0 or not a number.

    Example:
        >>> more = local_step(oracle, targets, 0, 0.1, Keep.COST)  # doctest: +SKIP
        >>> more.targets - targets  # doctest: +SKIP
        array([ 0.1  , -0.034,    nan])
    """
    targets = checked_targets(oracle, targets)
    if not 0 <= value < len(targets) or math.isnan(targets[value]):
        raise InputError(f"A step moves a value that has a target; number {value} has none.")
    if not (math.isfinite(size) and size != 0):
        raise InputError(f"The step is {size} standard deviations; expected a number other than 0.")
    now = now or solve(oracle, targets)
    held = np.zeros(len(targets), dtype=bool) if fixed is None else np.array(fixed, dtype=bool)
    moved = targets.copy()
    moved[value] += size
    held[value] = True
    others = ~held & ~np.isnan(targets) & ~oracle.constant
    if keep is Keep.COST and not others.any():
        return None
    found: tuple[np.ndarray, Solution] | None
    if keep is Keep.COST and size < 0:
        found = _risen(oracle, moved, others, now)
    elif keep is Keep.COST:
        closest = nearest(oracle, moved, budget=max(now.kl, SPENT), locked=held & ~np.isnan(targets))
        found = None if closest is None else (closest.targets, closest.solution)
    else:
        edge = (attainable or AttainableLevels(oracle)).margin(moved)
        solution = solve(oracle, moved, start=now.weights) if edge.attainable else None
        found = None if solution is None else (moved, solution)
    if found is None:
        return None
    new, solution = found
    return LocalStep(value, float(size), keep, new, solution, solution.kl - now.kl, is_trusted(oracle, solution))


def _risen(oracle: Oracle, lowered: np.ndarray, others: np.ndarray, now: Solution) -> tuple[np.ndarray, Solution]:
    """The others raised together until the lowered palette costs what was spent before."""
    low, high, t = 0.0, math.inf, 0.0
    start, kept = now.weights, None
    for _ in range(MAX_STEPS):
        targets = np.where(others, lowered + t, lowered)
        found = solve(oracle, targets, start=start)
        converged = found.status is Status.CONVERGED
        surplus = found.kl - now.kl if converged else math.inf
        if converged:
            start = found.weights
        if surplus <= SPENT:
            low, kept = t, (targets, found)
        else:
            high = t
        if abs(surplus) <= SPENT or high - low <= STILL:
            break
        slope = float(found.weights[others].sum()) if converged else 0.0
        following = t - surplus / slope if slope > 1e-12 else math.inf
        if not low < following < high:
            following = (low + high) / 2 if math.isfinite(high) else 2 * low + 0.1
        t = following
    assert kept is not None  # at t = 0 a target was lowered, which never costs more
    return kept
