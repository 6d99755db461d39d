"""Confidence intervals: Student's t, and bias-corrected percentiles.

Constraint: arrays in and out, either scalars or (value,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from map_core.core import amounts


@dataclass(frozen=True, eq=False)
class Interval:
    """An estimate and the two ends of its interval; scalars or (value,) arrays.

    Args:
        estimate: from the whole table.
        low: lower end; minus infinity where the draws give none. Ends are corrected for bias, so the interval need not
            be centred at the estimate.
        high: upper end; plus infinity likewise.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def scaled(self, factor: np.ndarray | float, shift: np.ndarray | float = 0.0) -> Interval:
        """Return the interval of shift + factor * number, for factors above 0."""
        return Interval(shift + factor * self.estimate, shift + factor * self.low, shift + factor * self.high)

    def as_dict(self) -> dict[str, float | None]:
        """Return the estimate and both ends of a scalar as plain numbers; None for an infinite end."""
        return {name: amounts.finite(getattr(self, name)) for name in ("estimate", "low", "high")}


def t_interval(
    estimate: np.ndarray | float,
    error: np.ndarray | float,
    freedom: int,
    level: float,
    bias: np.ndarray | float = 0.0,
) -> Interval:
    """Compute estimate - bias -+ t * error, with the quantile t of Student's distribution.

    Args:
        estimate: a number or an array.
        error: its standard error.
        freedom: degrees of freedom, at least 1.
        level: probability that the interval contains the true value, between 0 and 1.
        bias: expected excess of the estimate over the true value.
    """
    half_width = stdtrit(freedom, (1 + level) / 2) * np.asarray(error)
    centre = np.asarray(estimate) - bias
    return Interval(np.asarray(estimate), centre - half_width, centre + half_width)


def percentile_interval(draws: np.ndarray, estimate: np.ndarray, freedom: int, level: float) -> Interval:
    """Compute percentiles of bootstrap draws, corrected for the median bias of the estimate.

    With G the distribution of the draws and z0 = probit of G(estimate), the ends are the percentiles
    Phi(2 z0 -+ z) where uncorrected ones would be Phi(-+ z); z is the quantile of Student's distribution, times the
    root of n / (n - 1), since draws vary less than samples do. Entries whose estimate is 0, the smallest possible
    weight, are not corrected, since their draws have a point mass at 0.

    Args:
        draws: (draw, value), none below 0; infinite where a draw has no solution.
        estimate: (value,).
        freedom: degrees of freedom, n - 1.
        level: probability that the interval contains the true value, between 0 and 1.

    Source: Efron, "Nonparametric standard errors and confidence intervals", 1981, section 10; the small-sample
    widening in Hesterberg, "What teachers should know about the bootstrap", 2015, section 5.3.
    """
    below = np.mean(draws < estimate, axis=0) + 0.5 * np.mean(draws == estimate, axis=0)
    offset = np.where(estimate > 0, ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws))), 0.0)
    tail = stdtrit(freedom, (1 + level) / 2) * np.sqrt((freedom + 1) / freedom)
    ranked = np.sort(draws, axis=0)
    last = len(draws) - 1
    low = np.floor(ndtr(2 * offset - tail) * last).astype(int)
    high = np.ceil(ndtr(2 * offset + tail) * last).astype(int)
    columns = np.arange(draws.shape[1])
    return Interval(estimate, np.where(estimate > 0, ranked[low, columns], 0.0), ranked[high, columns])
