"""The highest level of each value by itself: with trusted weights, and without a limit on weights.

Constraint: each range is that of one value with all others free; several values together reach less, see
:mod:`map_core.feasibility.ranges`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.feasibility.trust import trust
from map_core.oracle import Oracle

#: Weights tried for each value, in nats per standard deviation.
STEPS = np.geomspace(0.02, 60.0, 64)


@dataclass(frozen=True, eq=False)
class TrustedRanges:
    """The highest level of each value by itself, (value,) in standard deviations above base.

    Args:
        trusted: the highest with weights whose effective sample size is trusted.
        furthest: the level when every prompt is answered with its best reply.
    """

    trusted: np.ndarray
    furthest: np.ndarray


def trusted_ranges(oracle: Oracle) -> TrustedRanges:
    """Compute the range of each value by itself on a table."""
    size = len(oracle.values)
    trusted = np.zeros(size)
    for j in range(size):
        if oracle.constant[j]:
            continue
        unit = np.eye(size)[j]
        batch = oracle.batch_moments(STEPS[:, None] * unit)
        enough = np.array([trust(oracle, ess) >= 0 for ess in oracle.sample_sizes(batch)])
        count = len(enough) if enough.all() else int(np.argmin(enough))
        trusted[j] = batch.levels[count - 1, j] if count else 0.0
    return TrustedRanges(trusted, np.where(oracle.constant, 0.0, oracle.highest))
