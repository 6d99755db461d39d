"""Shadow prices of targets, their derivatives, and sweeps of one target.

The shadow price of a target is its weight: d KL / d c_j = lambda_j, and in standardised units d KL / d d_j = x_j.
On the set F of active targets (x > 0) the weights move by d x_F / d d_F = (H_FF)^-1 and every level by
H_.F (H_FF)^-1, and the former is the second derivative of KL as well. A curve goes from point to point by these
derivatives, each corrected by a solve; where a value changes sides between two points, the switch is the root of

    psi_j = x_j - (level_j - d_j),    above 0 where the target binds and below 0 where it is slack,

which is smooth on either side with the derivatives above, so Newton's method within a bracket finds it exactly.
Constraint: derivatives hold while the active set does; curves follow it across its changes.

Source: implicit function theorem on the optimality conditions of :mod:`map_core.solver.newton`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status, solve

#: A weight above this, in nats per standard deviation, makes its target active.
ACTIVE = 1e-8
#: A direction whose eigenvalue in the covariance of active values is below this share of the largest is redundant.
SINGULAR = 1e-12
#: Tolerance of a switch, in standard deviations of the swept value; a Newton step shorter than CLOSE is the last.
EXACT, CLOSE = 1e-11, 3e-7
MAX_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class LocalSensitivity:
    """First- and second-order sensitivities at a solution, in standardised units.

    Args:
        active: (value,) bool, the targets that bind.
        price: (value,) nats per standard deviation of each target; 0 where slack or free.
        share: (value,) share of the total price that is each value's; sums to 1, or all 0 at the base model.
        elasticity: (value,) d log KL / d d_j, the share by which KL grows per standard deviation; all 0 at the base
            model.
        weights: (value, value) d x_i / d d_j, which is d^2 KL / d d_i d d_j too.
        levels: (value, value) d level_i / d d_j; for an active j the entry (j, j) is 1.
    """

    active: np.ndarray
    price: np.ndarray
    share: np.ndarray
    elasticity: np.ndarray
    weights: np.ndarray
    levels: np.ndarray

    @property
    def bottleneck(self) -> int | None:
        """The value whose target costs most; None when no target binds."""
        return int(np.argmax(self.price)) if self.active.any() else None

    def extra_nats(self, step: np.ndarray) -> float:
        """Return the extra cost of moving the targets, to second order: price . step + 1/2 step' W step.

        Args:
            step: (value,) in standard deviations; entries of targets that do not bind do not count.
        """
        step = np.asarray(step, dtype=float)
        return float(self.price @ step + 0.5 * step @ self.weights @ step)


def local_sensitivity(solution: Solution) -> LocalSensitivity:
    """Compute prices and derivatives at a solution.

    Args:
        solution: a converged solution without tilt or ridge.

    Returns:
        The derivatives, 0 in the columns of targets that do not bind.
    """
    x = solution.weights
    active = x > ACTIVE
    weights, levels = _derivatives(solution.covariance, active)
    price = np.where(active, x, 0.0)
    kl = solution.kl if active.any() else 0.0
    return LocalSensitivity(
        active,
        price,
        price / (float(price.sum()) or 1.0),
        price / kl if kl > 0 else np.zeros_like(price),
        weights,
        levels,
    )


def _derivatives(covariance: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return d x_i / d d_j and d level_i / d d_j, (value, value), for the active targets, (value,) bool.

    Where active values are redundant the change of the weights is not unique; the one of least norm is returned.
    """
    active_covariance = np.where(active[:, None] & active, covariance, 0.0)
    weights = np.linalg.pinv(active_covariance, rcond=SINGULAR, hermitian=True)
    return weights, covariance @ weights


@dataclass(frozen=True, eq=False)
class Switch:
    """A point of a curve at which a target starts or stops to bind.

    Args:
        target: the swept level there, in standard deviations above base.
        value: position of the value whose target switches.
        active: it binds to the right of this point.
    """

    target: float
    value: int
    active: bool


@dataclass(frozen=True, eq=False)
class SensitivityCurve:
    """Weights, levels and cost as one target is swept and the others stay.

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


def sensitivity_curve(
    oracle: Oracle,
    targets: np.ndarray,
    value: int,
    *,
    points: int = 41,
    attainable: AttainableLevels | None = None,
) -> SensitivityCurve:
    """Sweep one target from the base level to the highest that can be reached.

    Args:
        oracle: the table.
        targets: (value,) d of the others, NaN for free values; the entry of ``value`` is ignored.
        value: position of the swept value.
        points: points of the curve, at least 2.
        attainable: corners to start the linear program from.

    Returns:
        The curve; without points when the other targets cannot be met by themselves. Where the highest level is not
        above the base level, the curve starts one standard deviation below it.

    Raises:
        InputError: no such value, or fewer than 2 points.
    """
    targets = oracle.deviations(targets).copy()
    if not 0 <= value < len(targets) or points < 2:
        raise InputError(f"A curve needs a value from 0 to {len(targets) - 1} and 2 points; got {value} and {points}.")
    top = (attainable or AttainableLevels(oracle)).highest(targets, value)
    empty = np.empty((0, len(targets)))
    if math.isnan(top):
        return SensitivityCurve(value, np.empty(0), empty, empty, np.empty(0), (), top)
    start = 0.0 if top > 0 else top - 1.0
    path = _SweepPath(oracle, targets, value)
    swept: list[_SweepPoint] = []
    for level in np.linspace(start, top - 0.005 * (top - start), points):  # at the top itself weights are infinite
        point = path.at(float(level), swept[-1] if swept else None)
        if point.solution.status is not Status.CONVERGED:
            break
        swept.append(point)
    return SensitivityCurve(
        value,
        np.array([p.level for p in swept]),
        np.array([p.solution.weights for p in swept]).reshape(-1, len(targets)),
        np.array([p.solution.levels for p in swept]).reshape(-1, len(targets)),
        np.array([p.solution.kl for p in swept]),
        path.switches(swept),
        top,
    )


@dataclass(frozen=True, eq=False)
class _SweepPoint:
    """A point of a sweep.

    Args:
        level: of the swept value.
        solution: at this level.
        binds: (value,) bool.
        psi: (value,) 0 for free values.
        slope: (value,) d psi / d level.
        moves: (value,) d x / d level.
    """

    level: float
    solution: Solution
    binds: np.ndarray
    psi: np.ndarray
    slope: np.ndarray
    moves: np.ndarray


class _SweepPath:
    """The solutions along one sweep, and its switches."""

    def __init__(self, oracle: Oracle, targets: np.ndarray, value: int) -> None:
        self._oracle, self._targets, self._value = oracle, targets, value
        self._targeted = ~np.isnan(targets) & ~oracle.constant
        self._targeted[value] = not oracle.constant[value]

    def at(self, level: float, near: _SweepPoint | None, tolerance: float | None = None) -> _SweepPoint:
        """Solve at a level, predicted from a nearby point along its derivative."""
        moved = self._targets.copy()
        moved[self._value] = level
        start = None if near is None else np.maximum(near.solution.weights + (level - near.level) * near.moves, 0.0)
        solution = solve(self._oracle, moved, start=start, tolerance=tolerance)
        binds = solution.weights > ACTIVE
        weights, levels = _derivatives(solution.covariance, binds)
        psi = solution.weights - (solution.levels - np.where(self._targeted, moved, 0.0))
        slack_moves = (np.arange(len(psi)) == self._value) - levels[:, self._value]
        slope = np.where(binds, weights[:, self._value], slack_moves)
        zero = np.zeros_like(psi)
        return _SweepPoint(
            level,
            solution,
            binds,
            np.where(self._targeted, psi, zero),
            np.where(self._targeted, slope, zero),
            weights[:, self._value],
        )

    def switches(self, points: list[_SweepPoint]) -> tuple[Switch, ...]:
        """Return where targets start or stop to bind along points in order, ascending."""
        steps: list[tuple[_SweepPoint, _SweepPoint]] = []
        for left, right in pairwise(points):
            # A value on the same side at both points may change sides twice between them: its cubic shows where.
            turns = {_turning(left, right, int(j)) for j in np.flatnonzero(left.binds == right.binds)} - {0.0}
            between = [left, *(self.at(left.level + turn, left) for turn in sorted(turns)), right]
            steps += pairwise(between)
        result = [
            Switch(self._root(left, right, int(j)), int(j), bool(right.binds[j]))
            for left, right in steps
            for j in np.flatnonzero(left.binds != right.binds)
        ]
        return tuple(sorted(result, key=lambda switch: switch.target))

    def _root(self, left: _SweepPoint, right: _SweepPoint, j: int) -> float:
        """Find the level between two points at which psi_j is 0, by Newton steps safeguarded by a bracket."""
        low, high, rises = left.level, right.level, bool(right.binds[j])
        near = left if abs(left.psi[j]) <= abs(right.psi[j]) else right
        before = math.inf
        for _ in range(MAX_ROUNDS):
            psi, slope = float(near.psi[j]), float(near.slope[j])
            guess = near.level - psi / slope if slope else math.inf
            if abs(guess - near.level) <= CLOSE and low - CLOSE <= guess <= high + CLOSE:
                # The error of the last Newton step is its square. It may leave the bracket by a little:
                # redundant values still share their weights where one of them has a slack of 1e-7.
                return guess
            if high - low <= EXACT:
                break
            if not low < guess < high or abs(psi) > 0.25 * before:
                guess = (low + high) / 2
            before = abs(psi)
            near = self.at(guess, near, 0.1 * self._oracle.resolution)
            low, high = (low, guess) if bool(near.binds[j]) == rises else (guess, high)
        return (low + high) / 2


def _turning(left: _SweepPoint, right: _SweepPoint, j: int) -> float:
    """Return the distance from the left point at which psi_j may have crossed 0 and turned back; 0 for nowhere.

    It is a turning point of the cubic that matches psi_j and its slope at both points.
    """
    step = right.level - left.level
    start, end = float(left.psi[j]), float(right.psi[j])
    s, t = step * float(left.slope[j]), step * float(right.slope[j])
    if start * s >= 0 or end * t <= 0:
        return 0.0  # psi_j does not move towards 0 and back
    a, b = 2 * (start - end) + s + t, 3 * (end - start) - 2 * s - t
    root = math.sqrt(max(b * b - 3 * a * s, 0.0))
    for q in (-b - root, root - b):
        fraction = s / q if q else 0.0
        if 0 < fraction < 1 and (start + fraction * (s + fraction * (b + fraction * a))) * start < 0:
            return step * fraction
    return 0.0
