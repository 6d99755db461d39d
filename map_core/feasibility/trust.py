"""The effective sample size that a reliable forecast needs.

Constraint: the thresholds are conventions; they are defined only here and named where they are used.
"""

from __future__ import annotations

import math

import numpy as np

from map_core.core.types import Form
from map_core.oracle import EffectiveSampleSize, Oracle
from map_core.solver.newton import Solution

#: Minimum effective sample size of a "reachable" verdict: per prompt (a quarter of the candidates if there are fewer
#: than 16), and of the whole table.
TRUSTED_PER_PROMPT = 4.0
TRUSTED_POOLED = 30.0


def trust_threshold(oracle: Oracle) -> float:
    """Return the effective sample size that trusted weights need: per prompt, or of the whole table when pooled."""
    if oracle.form is Form.POOLED:
        return TRUSTED_POOLED
    return min(TRUSTED_PER_PROMPT, max(1.5, math.exp(oracle.log_candidates) / 4))


def trust(oracle: Oracle, ess: EffectiveSampleSize) -> float:
    """Return the smaller log ratio of effective sample size to threshold, per prompt and in all; trusted from 0 on."""
    return float(log_trust(oracle, ess.per_prompt, ess.pooled))


def log_trust(oracle: Oracle, per_prompt: np.ndarray | float, pooled: np.ndarray | float) -> np.ndarray:
    """Return :func:`trust` of effective sample sizes per prompt and of the whole table, scalars or arrays."""
    return np.asarray(np.log(np.minimum(per_prompt / trust_threshold(oracle), pooled / TRUSTED_POOLED)))


def is_trusted(oracle: Oracle, solution: Solution) -> bool:
    """Return whether both effective sample sizes, per prompt and of the whole table, reach their thresholds."""
    return trust(oracle, oracle.effective_sample_size(solution.weights)) >= 0
