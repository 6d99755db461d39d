"""Measure the levels of weights on the prompts that the table holds out.

Constraint: the units are those of the prompts solved on, so that targets are comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.confidence.cross_fit import MET
from map_core.confidence.interval import Interval, t_interval
from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class HoldoutLevels:
    """Levels of weights on held-out prompts, in standard deviations above base.

    Args:
        prompts: number of held-out prompts.
        levels: (value,) levels with their interval.
        missed: (value,) bool, below the target.
        surely: (value,) bool, missed, with the whole interval below the target.
    """

    prompts: int
    levels: Interval
    missed: np.ndarray
    surely: np.ndarray


def holdout_levels(
    oracle: Oracle,
    held_out: np.ndarray,
    weights: np.ndarray,
    targets: np.ndarray,
    *,
    counted: np.ndarray | None = None,
    level: float = 0.9,
) -> HoldoutLevels:
    """Measure weights on the prompts that they were not solved on.

    Args:
        oracle: the oracle of the table, including the held-out prompts at weight 0.
        held_out: (prompt,) bool.
        weights: (value,) x, solved on the other prompts.
        targets: (value,) d in standard deviations above base, NaN for a free value.
        counted: (prompt,) how often each prompt occurs; once by default.
        level: probability of the interval, between 0 and 1.

    Raises:
        InputError: fewer than two prompts are held out, or the form is pooled, which chooses among prompts.
    """
    if oracle.form is Form.POOLED:
        raise InputError("Held-out prompts are measured per prompt; the pooled form chooses among prompts too.")
    positions = np.flatnonzero(held_out)
    if len(positions) < 2:
        raise InputError(f"{len(positions)} prompts are held out; a check with an interval needs 2 or more.")
    mass = np.ones(len(positions)) if counted is None else np.asarray(counted, dtype=np.float64)[positions]
    mass = mass / mass.sum()
    levels = oracle.by_prompt(weights).levels[positions]
    mean = mass @ levels
    score = mass[:, None] * (levels - mean)
    error = np.sqrt(np.sum(score**2, axis=0) * len(positions) / (len(positions) - 1))
    interval = t_interval(mean, error, len(positions) - 1, level)
    targets = oracle.deviations(targets)
    missed = mean < targets - MET
    return HoldoutLevels(len(positions), interval, missed, missed & (interval.high < targets))
