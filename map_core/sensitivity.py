"""What a target costs, and what moves when it is moved.

The shadow price of a target is its weight: d KL / d c_j = lambda_j, and in standardised units d KL / d d_j = x_j.
On the set F of active targets (x > 0) the weights move by d x_F / d d_F = (H_FF)^-1 and every level by
H_.F (H_FF)^-1. Constraint: derivatives hold while the active set does; curves follow it across its changes.

Source: implicit function theorem on the optimality conditions of :mod:`map_core.dual`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from map_core.dual import Solution, Status, solve
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import Oracle

#: A weight above this, in nats per standard deviation, makes its target active.
ACTIVE = 1e-8


@dataclass(frozen=True, eq=False)
class Local:
    """First-order answers at a solution, in standardised units.

    Args:
        active: (value,) bool, the targets that bind.
        price: (value,) nats per standard deviation of each target; 0 where slack or free.
        elasticity: (value,) share of the total price that is each value's; sums to 1, or all 0 at the base model.
        weights: (value, value) d x_i / d d_j.
        levels: (value, value) d level_i / d d_j; for an active j the entry (j, j) is 1.
    """

    active: np.ndarray
    price: np.ndarray
    elasticity: np.ndarray
    weights: np.ndarray
    levels: np.ndarray

    @property
    def bottleneck(self) -> int | None:
        """The value whose target costs most; None when no target binds."""
        return int(np.argmax(self.price)) if self.active.any() else None


def local(solution: Solution) -> Local:
    """Prices and derivatives at a solution.

    Args:
        solution: a converged solution without tilt or ridge.

    Returns:
        The derivatives, 0 in the columns of targets that do not bind.
    """
    x, hessian = solution.weights, solution.covariance
    active = x > ACTIVE
    size = len(x)
    weights, levels = np.zeros((size, size)), np.zeros((size, size))
    f = np.flatnonzero(active)
    if len(f):
        inverse = np.linalg.pinv(hessian[np.ix_(f, f)], hermitian=True)
        weights[np.ix_(f, f)] = inverse
        levels[:, f] = hessian[:, f] @ inverse
    total = float(x[active].sum())
    return Local(active, np.where(active, x, 0.0), np.where(active, x, 0.0) / (total or 1.0), weights, levels)


@dataclass(frozen=True, eq=False)
class Switch:
    """A place on a curve where a target starts or stops to bind.

    Args:
        target: the swept level there, in standard deviations above base.
        value: position of the value whose target switches.
        active: it binds to the right of this place.
    """

    target: float
    value: int
    active: bool


@dataclass(frozen=True, eq=False)
class Curve:
    """What happens as one target is moved and the others stay.

    Args:
        value: position of the swept value.
        targets: (point,) its level, in standard deviations above base, ascending.
        weights: (point, value) x.
        levels: (point, value) realised.
        kl: (point,) nats.
        switches: where targets start or stop to bind, ascending.
        highest: the highest level that can be reached with the others kept; the curve ends just below it.
    """

    value: int
    targets: np.ndarray
    weights: np.ndarray
    levels: np.ndarray
    kl: np.ndarray
    switches: tuple[Switch, ...]
    highest: float


def curve(
    oracle: Oracle,
    targets: np.ndarray,
    value: int,
    *,
    points: int = 41,
    attainable: AttainableLevels | None = None,
) -> Curve:
    """Sweep one target from the base level to the highest that can be reached, warm-started along the way.

    Args:
        oracle: the table.
        targets: (value,) d of the others, NaN for free values; the entry of ``value`` is ignored.
        value: position of the swept value.
        points: points of the curve, at least 2.
        attainable: corners to start the linear program from.

    Returns:
        The curve; without points when the other targets cannot be met by themselves.

    Raises:
        InputError: no such value, or fewer than 2 points.
    """
    targets = np.array(targets, dtype=float)
    if not 0 <= value < len(targets) or points < 2:
        raise InputError(f"A curve needs a value from 0 to {len(targets) - 1} and 2 points; got {value} and {points}.")
    top = (attainable or AttainableLevels(oracle)).highest(targets, value)
    none = np.empty((0, len(targets)))
    if math.isnan(top):
        return Curve(value, np.empty(0), none, none, np.empty(0), (), top)

    def at(level: float, start: np.ndarray | None) -> Solution:
        moved = targets.copy()
        moved[value] = level
        return solve(oracle, moved, start=start)

    start, end = min(0.0, top), top - 0.005 * abs(top)  # at the top itself weights are infinite
    swept: list[float] = []
    solutions: list[Solution] = []
    for level in np.linspace(start, end, points):
        solution = at(level, solutions[-1].weights if solutions else None)
        if solution.status is not Status.CONVERGED:
            break
        swept.append(float(level))
        solutions.append(solution)
    switches = []
    for i in range(1, len(swept)):
        before, after = solutions[i - 1].weights > ACTIVE, solutions[i].weights > ACTIVE
        for j in np.flatnonzero(before != after):
            place = _switch(at, swept[i - 1], swept[i], solutions[i - 1].weights, int(j), bool(after[j]))
            switches.append(Switch(place, int(j), bool(after[j])))
    switches.sort(key=lambda switch: switch.target)
    return Curve(
        value,
        np.array(swept),
        np.array([s.weights for s in solutions]).reshape(-1, len(targets)),
        np.array([s.levels for s in solutions]).reshape(-1, len(targets)),
        np.array([s.kl for s in solutions]),
        tuple(switches),
        top,
    )


def _switch(
    at: Callable[[float, np.ndarray], Solution],
    low: float,
    high: float,
    start: np.ndarray,
    value: int,
    active_above: bool,
) -> float:
    """Where between two levels a target changes between binding and slack, by bisection."""
    for _ in range(16):
        middle = (low + high) / 2
        solution = at(middle, start)
        if (solution.weights[value] > ACTIVE) == active_above:
            high = middle
        else:
            low = middle
        start = solution.weights
    return (low + high) / 2
