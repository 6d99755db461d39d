"""The most that one can have of each value beside the other targets: what is reliable, and what is possible.

One answer for every place that speaks of it. Possible is the end of :mod:`map_core.feasibility.ranges`. Reliable is
where the verdict stops being *reachable*: along a growing weight t on the value in question, with the others solved to
their targets, the replies that carry the weight become fewer, and the limit is the root in log t of
:func:`map_core.feasibility.trust.trust`. All roots are found together, as rows of batched solves, and start from
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

#: log t below which a weight does nothing.
LEAST = math.log(1e-3)
#: log t above which a value is at its end.
MOST = math.log(SHARPNESS)
#: The log of trust is brought to this much above 0, within this many batched solves of so many passes.
TOLERANCE, MAX_ROUNDS, MAX_PASSES = 5e-4, 24, 40
#: Largest residual of a solve, in standard deviations: a thousandth of a percentile or so.
RESIDUAL = 1e-4


@dataclass(frozen=True, eq=False)
class Limits:
    """The most of each value while the other targets are kept, in standard deviations above base.

    Args:
        reach: the range of each value, whatever the weights rest on.
        reliable: (value,) highest level with trusted weights; NaN where the others alone are not trusted.
        log_weights: (value,) log t of the reliable levels, the start of the next search.
    """

    reach: SmoothedRanges
    reliable: np.ndarray
    log_weights: np.ndarray

    @property
    def ranges(self) -> np.ndarray:
        """(value, 2) lowest and highest; NaN where not known, or where the others are not attainable."""
        return self.reach.ranges

    @property
    def possible(self) -> np.ndarray:
        """(value,) the highest level whatever the weights rest on; NaN where the others are not attainable."""
        return self.reach.ranges[:, 1]


def limits(oracle: Oracle, targets: np.ndarray, start: Limits | None = None) -> Limits:
    """Compute the most of each value given the other targets.

    Args:
        oracle: the table.
        targets: (value,) d in standard deviations above base, NaN for free values.
        start: the result for nearby targets.

    Raises:
        InputError: there is not one target a value.
    """
    targets = oracle.deviations(targets)
    reach = smoothed_ranges(oracle, targets, None if start is None else start.reach)
    possible = reach.ranges[:, 1]
    searched = np.flatnonzero(~np.isnan(possible) & ~oracle.constant)
    reliable, log_weights = np.where(oracle.constant, 0.0, np.nan), np.zeros(len(targets))
    if len(searched):
        first, step = (np.ones(len(searched)), 0.5) if start is None else (start.log_weights[searched], 0.05)
        reliable[searched], log_weights[searched] = _Search(oracle, targets, searched).run(first, step)
    # The end of a range falls short of the exact one by a hair, and so never contradicts what is reliable.
    return Limits(reach, np.minimum(reliable, possible), log_weights)


class _Search:
    """The largest trusted weight on each of some values, (row,) in log t, by bracketed secant steps."""

    def __init__(self, oracle: Oracle, targets: np.ndarray, searched: np.ndarray) -> None:
        size = len(searched)
        self._oracle, self._value = oracle, searched
        self._targets = np.repeat(targets[None], size, axis=0)
        self._targets[np.arange(size), searched] = np.nan
        self._weights = np.zeros_like(self._targets)
        # Bracket: trusted below, not trusted above. Trust there, and the level at the lower end.
        self._low, self._high = np.full(size, -np.inf), np.full(size, np.inf)
        self._at_low, self._at_high = np.full(size, np.inf), np.full(size, -np.inf)
        self._level = np.full(size, np.nan)

    def run(self, first: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (row,) levels, NaN where no weight is trusted, and (row,) log t, from (row,) log t on by steps."""
        log_t = np.clip(first, LEAST, MOST)
        live = np.arange(len(log_t))
        for number in range(MAX_ROUNDS):
            self._take(live, log_t[live])
            ended = (self._at_low <= TOLERANCE) | (self._low >= MOST) | (self._high <= LEAST)
            ended |= self._high - self._low < 1e-9
            live = live[~ended[live]]
            if not len(live):
                break
            log_t[live] = self._following(live, step * 2.0 ** min(number, 5))
        return self._level, np.where(np.isfinite(self._low), self._low, LEAST)

    def _take(self, rows: np.ndarray, log_t: np.ndarray) -> None:
        """Narrow the brackets by the trust at these weights."""
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
        up = trust >= 0
        self._low[rows[up]], self._at_low[rows[up]] = log_t[up], trust[up]
        self._level[rows[up]] = solutions.levels[up, self._value[rows[up]]]
        self._high[rows[~up]], self._at_high[rows[~up]] = log_t[~up], trust[~up]

    def _following(self, rows: np.ndarray, step: float) -> np.ndarray:
        """Return the weights to look at next: a step further out without a bracket, else by the secant."""
        low, high = self._low[rows], self._high[rows]
        outward = np.where(np.isfinite(low), np.minimum(low + step, MOST), np.maximum(high - step, LEAST))
        bracketed = np.isfinite(low) & np.isfinite(high)
        at_low, at_high = self._at_low[rows], self._at_high[rows]
        with np.errstate(invalid="ignore"):
            # Aimed a little inside, so that the next point is mostly on the trusted side and ends the search.
            share = (at_low - TOLERANCE / 2) / (at_low - at_high)
            secant = low + np.clip(share, 0.05, 0.95) * (high - low)
        inward = np.where(np.isfinite(at_high), secant, (low + high) / 2)
        return np.asarray(np.where(bracketed, inward, outward))
