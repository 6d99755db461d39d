"""The highest possible and the highest reliable level of each value, given the other targets.

All displays of these limits use this module. The possible level is the end of :mod:`map_core.feasibility.ranges`. The
reliable level is where the verdict stops being *reachable*: as the weight t on the value grows, with the others solved
to their targets, the effective sample size falls, and the limit is the root in log t of
:func:`map_core.feasibility.trust.trust`. All roots are computed together, as rows of batched solves that start from
those of the last palette. Constraint: a reliable level is a level of trusted weights, so a target at it is *reachable*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from map_core.feasibility.ranges import SHARPNESS, SmoothedRanges, smoothed_ranges
from map_core.feasibility.trust import log_trust
from map_core.oracle import Oracle
from map_core.solver.batched import Solutions, solve_many

#: log t below which a weight has no effect.
LEAST = math.log(1e-3)
#: log t above which a value is at the end of its range.
MOST = math.log(SHARPNESS)
#: The log trust of a limit is at most this; maximum number of batched solves, and of passes of each.
TOLERANCE, MAX_ROUNDS, MAX_PASSES = 5e-4, 24, 40
#: Largest residual of a solve, in standard deviations: about a thousandth of a percentile.
RESIDUAL = 1e-4


@dataclass(frozen=True, eq=False)
class Limits:
    """The limits of each value while the other targets are kept, in standard deviations above base.

    Args:
        reach: the range of each value, whether or not the weights are trusted.
        reliable: (value,) highest level with trusted weights; NaN where the other targets alone are not trusted.
        log_weights: (value,) log t of the reliable levels, the start of the next search.
    """

    reach: SmoothedRanges
    reliable: np.ndarray
    log_weights: np.ndarray

    @property
    def ranges(self) -> np.ndarray:
        """(value, 2) lowest and highest level; NaN where unknown, or where the other targets are not attainable."""
        return self.reach.ranges

    @property
    def possible(self) -> np.ndarray:
        """(value,) highest level, trusted or not; NaN where unknown, or where the other targets are not attainable."""
        return self.reach.ranges[:, 1]


def limits(oracle: Oracle, targets: np.ndarray, start: Limits | None = None) -> Limits:
    """Compute the limits of each value given the other targets.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for free values.
        start: the result for nearby targets.

    Raises:
        InputError: there is not one target per value.
    """
    targets = oracle.deviations(targets)
    reach = smoothed_ranges(oracle, targets, None if start is None else start.reach)
    possible = reach.ranges[:, 1]
    searched = np.flatnonzero(~np.isnan(possible) & ~oracle.constant)
    reliable, log_weights = np.where(oracle.constant, 0.0, np.nan), np.zeros(len(targets))
    if len(searched):
        first, step = (np.ones(len(searched)), 0.5) if start is None else (start.log_weights[searched], 0.05)
        reliable[searched], log_weights[searched] = _LimitSearch(oracle, targets, searched).run(first, step)
    # The smoothed end of a range is slightly below the exact one, and without this could be below the reliable level.
    return Limits(reach, np.minimum(reliable, possible), log_weights)


class _LimitSearch:
    """The largest trusted weight on each of some values, (row,) in log t, by bracketed secant steps."""

    def __init__(self, oracle: Oracle, targets: np.ndarray, searched: np.ndarray) -> None:
        size = len(searched)
        self._oracle, self._value = oracle, searched
        self._targets = np.repeat(targets[None], size, axis=0)
        self._targets[np.arange(size), searched] = np.nan
        self._weights = np.zeros_like(self._targets)
        # Bracket of log t (trusted at the lower end, not at the upper), the log trust at both ends, and the level at
        # the lower one.
        self._low, self._high = np.full(size, -np.inf), np.full(size, np.inf)
        self._at_low, self._at_high = np.full(size, np.inf), np.full(size, -np.inf)
        self._level = np.full(size, np.nan)

    def run(self, first: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Search from (row,) log t in steps; return (row,) levels, NaN where no weight is trusted, and (row,) log t."""
        log_t = np.clip(first, LEAST, MOST)
        active = np.arange(len(log_t))
        for iteration in range(MAX_ROUNDS):
            self._narrow(active, log_t[active])
            ended = (self._at_low <= TOLERANCE) | (self._low >= MOST) | (self._high <= LEAST)
            ended |= self._high - self._low < 1e-9
            active = active[~ended[active]]
            if not len(active):
                break
            log_t[active] = self._next_points(active, step * 2.0 ** min(iteration, 5))
        return self._level, np.where(np.isfinite(self._low), self._low, LEAST)

    def _narrow(self, rows: np.ndarray, log_t: np.ndarray) -> None:
        """Narrow the brackets of rows by solving at these log t."""
        tilt = np.zeros((len(rows), self._targets.shape[1]))
        tilt[np.arange(len(rows)), self._value[rows]] = np.exp(log_t)
        solutions: Solutions = solve_many(
            self._oracle,
            self._targets[rows],
            tilt=tilt,
            start=self._weights[rows],
            tolerance=RESIDUAL,
            max_steps=MAX_PASSES,
        )
        usable = solutions.residual <= RESIDUAL
        trust = np.where(usable, log_trust(self._oracle, solutions.ess, solutions.pooled_ess), -np.inf)
        self._weights[rows[usable]] = solutions.weights[usable]
        trusted = trust >= 0
        self._low[rows[trusted]], self._at_low[rows[trusted]] = log_t[trusted], trust[trusted]
        self._level[rows[trusted]] = solutions.levels[trusted, self._value[rows[trusted]]]
        self._high[rows[~trusted]], self._at_high[rows[~trusted]] = log_t[~trusted], trust[~trusted]

    def _next_points(self, rows: np.ndarray, step: float) -> np.ndarray:
        """Return the next log t of rows: a step outwards without a bracket, else a secant step."""
        low, high = self._low[rows], self._high[rows]
        outward = np.where(np.isfinite(low), np.minimum(low + step, MOST), np.maximum(high - step, LEAST))
        bracketed = np.isfinite(low) & np.isfinite(high)
        at_low, at_high = self._at_low[rows], self._at_high[rows]
        with np.errstate(invalid="ignore"):
            # Aimed slightly inside, so that the next point is usually on the trusted side and ends the search.
            share = (at_low - TOLERANCE / 2) / (at_low - at_high)
            secant = low + np.clip(share, 0.05, 0.95) * (high - low)
        inward = np.where(np.isfinite(at_high), secant, (low + high) / 2)
        return np.asarray(np.where(bracketed, inward, outward))
