"""Wilson's confidence interval for a share.

Constraint: plain floats in closed form, since a count may contain halves (ties), which ``scipy.stats.binomtest`` does
not accept; tests compare it with scipy for whole counts.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Compute Wilson's interval for the probability of independent successes.

    With p = successes / n and z the normal quantile of (1 + level) / 2, its ends are
    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).

    Args:
        successes: from 0 to ``trials``; a tie may count as half a success.
        trials: n; an effective number of independent trials need not be whole.
        level: probability of the interval, between 0 and 1.

    Returns:
        Lower and upper end, from 0 to 1; NaN without trials.

    Example:
        >>> [round(end, 3) for end in wilson_interval(14, 20)]
        [0.481, 0.855]

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if trials <= 0:
        return math.nan, math.nan
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
