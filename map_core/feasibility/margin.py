"""Whether levels are attainable together, and the range of each value.

With h(w) = w . best(w) the highest w-weighted level that choosing replies can give,

    margin t* = min over { w >= 0, sum w = 1 } of  h(w) - w . d

in standardised units. The targets d are attainable exactly when t* >= 0; otherwise the minimiser w is a certificate: no
re-weighting reaches even the w-weighted mean of the targets. Constraint: the result rests only on linear programs with
both of their proofs (the certificate w from above, levels of a mix of replies from below), never on a solver's failure
to converge.

Source: linear-programming duality; the programs themselves are in :mod:`map_core.feasibility.cutting_planes`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.feasibility.cutting_planes import Corners
from map_core.oracle import Oracle

#: A margin this close to 0, in standard deviations, is on the boundary.
MARGIN_TOLERANCE = 1e-9
#: The program for a table with at least this many prompts starts from the solution on this share of them.
LARGE, SHARE = 4096, 1 / 16
#: Upper bound on the weights of targets in :meth:`AttainableLevels.highest`; larger ones occur only on the boundary.
MAX_WEIGHT = 1e7


@dataclass(frozen=True, eq=False)
class Margin:
    """How far inside (positive) or outside (negative) the attainable levels a palette lies.

    Args:
        value: t*, in standard deviations on every targeted value at once; infinite without targets.
        certificate: (value,) the minimising mix w, summing to 1; 0 for free values.
        gap: difference of the upper and the lower bound on t*.
        passes: number of passes over the table.
        levels: (value,) levels of the best mix of replies, which misses no target by more than -value + gap.
    """

    value: float
    certificate: np.ndarray
    gap: float
    passes: int
    levels: np.ndarray

    @property
    def attainable(self) -> bool:
        """Whether the targets can be met, possibly on the boundary."""
        return self.value >= -MARGIN_TOLERANCE


class AttainableLevels:
    """The set of levels that choosing among the replies can give, represented by the corners known so far.

    Each query adds the corners that it finds, and later ones start from them, so a query for a slightly changed palette
    takes few passes. Corners only accelerate queries. Thread-safe.

    Args:
        oracle: the table's oracle.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._corners = Corners(oracle)
        self._lock = threading.RLock()
        #: Bound on the distance of a level from base, since the mean square of a value over the replies is 1: per
        #: prompt the root of the mean of K, pooled the root of the inverse of the smallest reply mass.
        pooled = oracle.form is Form.POOLED
        self._reach = 1.01 * (math.exp(oracle.log_candidates / 2) if pooled else math.sqrt(oracle.replies))

    def margin(self, targets: np.ndarray, tolerance: float = MARGIN_TOLERANCE) -> Margin:
        """Compute the margin of a palette and its certificate.

        Args:
            targets: (value,) d in standard deviations above base, NaN for a free value.
            tolerance: largest gap between the two bounds.

        Returns:
            The margin; its sign is the answer.

        Raises:
            InputError: a target is infinite, or there is not one entry per value.
        """
        targets = checked_targets(self.oracle, targets)
        # A constant value whose target is met imposes no constraint; a higher target is missed by the difference.
        wanted = ~np.isnan(targets) & ~(self.oracle.constant & (targets <= MARGIN_TOLERANCE))
        if not wanted.any():
            return Margin(math.inf, np.zeros(len(targets)), 0.0, 0, np.zeros(len(targets)))
        # Targets this far below the highest never bind, so they are raised, which avoids a loss of digits.
        top = float(targets[wanted].max())
        cost = np.where(wanted, top - np.maximum(np.where(wanted, targets, 0.0), top - 2 * self._reach), 0.0)
        with self._lock:
            start, radius = self._start(targets, wanted)
            optimum = self._corners.minimise(
                cost,
                np.zeros(len(targets)),
                wanted.astype(float),
                mix=True,
                tolerance=tolerance,
                start=start,
                radius=radius,
            )
        gap = max(0.0, optimum.value - optimum.bound)
        return Margin(optimum.value - top, optimum.weights, gap, optimum.passes, optimum.levels)

    def highest(self, targets: np.ndarray, value: int) -> float:
        """Compute the highest level of one value while the other targets are kept.

        min over w >= 0 with w_value = 1 of h(w) - sum over the others of w_k d_k.

        Args:
            targets: (value,) d; the entry of ``value`` itself is ignored.
            value: position of the value.

        Returns:
            An attainable level, in standard deviations above base; NaN when the other targets cannot be met by
            themselves.
        """
        others = checked_targets(self.oracle, targets).copy()
        others[value] = np.nan
        margin = self.margin(others)
        return self._extreme(others, value, 1.0, margin.levels) if margin.attainable else math.nan

    def ranges(self, targets: np.ndarray) -> np.ndarray:
        """Compute the lowest and highest level of each value over all mixes of replies that keep the other targets.

        A target below the lowest is always met; one above the highest is out of reach.

        Args:
            targets: (value,) d in standard deviations above base, NaN for a free value.

        Returns:
            (value, 2) lowest and highest, in standard deviations above base; NaN where the other targets cannot be met
            by themselves.
        """
        targets = checked_targets(self.oracle, targets)
        ends = np.full((len(targets), 2), np.nan)
        with self._lock:
            margin = self.margin(targets)
            for j in range(len(targets)):
                others, base = targets.copy(), margin
                others[j] = np.nan
                if not margin.attainable:
                    if margin.certificate[j] == 0:
                        continue  # the certificate does not use this value, so the others alone are not attainable
                    base = self.margin(others)
                    if not base.attainable:
                        continue
                ends[j] = [self._extreme(others, j, sign, base.levels) for sign in (-1.0, 1.0)]
        return ends

    def _start(self, targets: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the first w of a program, and the radius of its box."""
        uniform = wanted / wanted.sum()
        if len(self._corners) or self.oracle.prompts < LARGE or self.oracle.form is Form.POOLED:
            return uniform, math.inf
        sample = self.oracle.subsample(SHARE)
        if sample is None:
            return uniform, math.inf
        return AttainableLevels(sample).margin(targets, 1e-5).certificate, 0.5 / math.sqrt(sample.prompts)

    def _extreme(self, others: np.ndarray, value: int, sign: float, known: np.ndarray) -> float:
        """Return the highest (sign 1) or lowest (sign -1) level of a value; the levels ``known`` meet the others."""
        if self.oracle.constant[value]:
            return 0.0
        kept = ~np.isnan(others) & ~self.oracle.constant
        # On the boundary the others are met only up to rounding, so their targets are lowered to the known levels.
        d = np.maximum(np.minimum(np.where(kept, others, 0.0), np.where(kept, known, 0.0)), -self._reach)
        lower, upper = np.zeros(len(others)), np.where(kept, MAX_WEIGHT, 0.0)
        lower[value] = upper[value] = sign
        with self._lock:
            optimum = self._corners.minimise(-d, lower, upper, mix=False, tolerance=MARGIN_TOLERANCE)
        return sign * max(optimum.bound, sign * float(known[value]))


def margin(oracle: Oracle, targets: np.ndarray) -> Margin:
    """Compute the margin of one palette and its certificate; see :meth:`AttainableLevels.margin`."""
    return AttainableLevels(oracle).margin(targets)


def checked_targets(oracle: Oracle, targets: np.ndarray) -> np.ndarray:
    """Check targets and return them as (value,) floats in standard deviations.

    Raises:
        InputError: a target is infinite, or there is not one entry per value.
    """
    targets = oracle.deviations(targets)
    if targets.shape != oracle.base.shape or np.any(np.isinf(targets)):
        raise InputError(
            f"Targets are {targets.tolist()}; expected {len(oracle.base)} finite numbers, NaN for a free value."
        )
    return targets
