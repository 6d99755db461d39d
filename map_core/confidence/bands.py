"""Error bands along a sensitivity curve: an interval at every point of the sweep.

Each point is a solution of its own, with the standard errors of :mod:`map_core.confidence.sandwich` and the quantiles
of Student's distribution. Constraint: the intervals are pointwise, not simultaneous over the curve; weights have the
symmetric large-sample error, cut off at 0, for which :mod:`map_core.confidence.summary` uses a bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.analysis.sensitivity import SensitivityCurve
from map_core.confidence.interval import t_interval
from map_core.confidence.sandwich import sandwich
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.solver.newton import Solution, Status


@dataclass(frozen=True, eq=False)
class Band:
    """Ends of intervals, (point,) or (point, value)."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Bands:
    """The error bands of a curve, in standardised units.

    Args:
        level: probability that each interval contains the true value.
        prompts: number of prompts that the intervals rest on.
        levels: (point, value) levels of the weights on new prompts.
        weights: (point, value) x, at least 0; an interval of width 0 where the weight is 0.
        kl: (point,) nats, from 0 to log K.
    """

    level: float
    prompts: int
    levels: Band
    weights: Band
    kl: Band


def bands(oracle: Oracle, curve: SensitivityCurve, *, level: float = 0.9) -> Bands:
    """Compute intervals at each point of a curve.

    Args:
        oracle: the oracle of the sweep; its prompts are a sample of future ones.
        curve: the sweep.
        level: probability, between 0 and 1.

    Returns:
        The bands, empty where the curve is.

    Raises:
        InputError: the level is not between 0 and 1, or the table has a single prompt.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.9.")
    if oracle.counted_prompts < 2:
        raise InputError("The table has 1 prompt; error bands need 2 or more. Build it with more prompts.")
    points, size = curve.weights.shape
    level_band = Band(np.empty((points, size)), np.empty((points, size)))
    weight_band = Band(np.empty((points, size)), np.empty((points, size)))
    kl = Band(np.empty(points), np.empty(points))
    freedom = oracle.counted_prompts - 1
    for i, (weights, levels, nats) in enumerate(zip(curve.weights, curve.levels, curve.kl, strict=True)):
        covariance = oracle.moments(weights).covariance
        error = sandwich(oracle, Solution(Status.CONVERGED, weights, levels, covariance, float(nats), 0.0, 0))
        interval = t_interval(levels, error.levels, freedom, level)
        level_band.low[i], level_band.high[i] = interval.low, interval.high
        interval = t_interval(weights, error.weights, freedom, level)
        weight_band.low[i], weight_band.high[i] = np.maximum(interval.low, 0.0), interval.high
        interval = t_interval(nats, error.kl, freedom, level, bias=error.kl_bias)
        kl.low[i], kl.high[i] = np.clip([interval.low, interval.high], 0.0, oracle.log_candidates)
    return Bands(level, oracle.counted_prompts, level_band, weight_band, kl)
