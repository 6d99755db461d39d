"""Compute the range of each value while the others keep their targets, fast enough for a moving slider.

The exact range of :meth:`map_core.feasibility.AttainableLevels.ranges` takes one linear program per end. Its smooth
counterpart is a solve with a fixed weight on the value,

    maximise over p    +-E[z_j] - (1 / T) KL(p || p0)    subject to  E[z_k] >= d_k for the other targets

whose levels are attainable, and at most log K / T from the exact end. All ends are rows of one batched solve,
warm-started from the last one, so a small change takes two or three passes over the table. Constraint: levels inside a
range are attainable to the solve's tolerance.

Source: entropic smoothing of a linear program; Cominetti and San Martín, "Asymptotic analysis of the exponential
penalty trajectory in linear programming", 1994.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.batched import solve_many

#: Weight T on the value whose end is computed, in nats per standard deviation.
SHARPNESS = 40.0
#: Tolerance of the other targets, in standard deviations: about a third of a percentile.
TOLERANCE = 1e-3
#: Maximum number of passes over the table, without and with a start; the range of a row that needs more is unknown.
MOST_PASSES, MOST_PASSES_WARM = 60, 12


@dataclass(frozen=True, eq=False)
class SmoothedRanges:
    """The range of each value, in standard deviations above base.

    Args:
        ranges: (value, 2) lowest and highest level; NaN where unknown, or where the other targets are not attainable.
        weights: (2 value, value) weights of the solves, the start of the next ones.
        passes: number of passes over the table.
    """

    ranges: np.ndarray
    weights: np.ndarray
    passes: int


def smoothed_ranges(oracle: Oracle, targets: np.ndarray, start: SmoothedRanges | None = None) -> SmoothedRanges:
    """Compute the range of each value given the other targets.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for free values.
        start: the result for nearby targets.

    Raises:
        InputError: there is not one target per value.

    Example:
        >>> smoothed_ranges(oracle, targets).ranges[0]  # doctest: +SKIP
        array([-0.61,  0.84])
    """
    size = len(oracle.values)
    targets = oracle.deviations(targets)
    if targets.shape != (size,):
        raise InputError(f"Targets have shape {targets.shape}; expected one per value, ({size},).")
    value, sign = np.repeat(np.arange(size), 2), np.tile([-1.0, 1.0], size)
    rows, tilt = np.repeat(targets[None], 2 * size, axis=0), np.zeros((2 * size, size))
    rows[np.arange(2 * size), value] = np.nan
    tilt[np.arange(2 * size), value] = sign * SHARPNESS
    solutions = solve_many(
        oracle,
        rows,
        tilt=tilt,
        start=None if start is None else start.weights,
        tolerance=TOLERANCE,
        max_steps=MOST_PASSES if start is None else MOST_PASSES_WARM,
    )
    ends = np.where(solutions.residual <= 2 * TOLERANCE, solutions.levels[np.arange(2 * size), value], np.nan)
    ranges = np.where(oracle.constant[:, None], 0.0, ends.reshape(size, 2))
    # The weights of a diverged row are not reused.
    weights = np.where((solutions.residual <= 2 * TOLERANCE)[:, None], solutions.weights, 0.0)
    return SmoothedRanges(ranges, weights, solutions.steps)
