"""How many replies must carry the weight of a forecast before it is believed.

Constraint: a threshold is a convention, so it stands here once, with its number, and is said wherever it is applied.
"""

from __future__ import annotations

import math

import numpy as np

from map_core.core.types import Form
from map_core.oracle import EffectiveSampleSize, Oracle
from map_core.solver.newton import Solution

#: What a verdict of "reachable" rests on at least: replies a prompt (a quarter of the candidates where there are
#: fewer than 16) and replies in all.
TRUSTED_PER_PROMPT = 4.0
TRUSTED_POOLED = 30.0


def trust_threshold(oracle: Oracle) -> float:
    """Replies a prompt (replies in all, when pooled) on which weights must rest to be trusted."""
    if oracle.form is Form.POOLED:
        return TRUSTED_POOLED
    return min(TRUSTED_PER_PROMPT, max(1.5, math.exp(oracle.log_candidates) / 4))


def trust(oracle: Oracle, ess: EffectiveSampleSize) -> float:
    """Log of how many times over enough replies carry the weight, a prompt and in all; trusted from 0 on."""
    return float(log_trust(oracle, ess.per_prompt, ess.pooled))


def log_trust(oracle: Oracle, per_prompt: np.ndarray | float, pooled: np.ndarray | float) -> np.ndarray:
    """:func:`trust` of effective sample sizes a prompt and in all, numbers or arrays."""
    return np.asarray(np.log(np.minimum(per_prompt / trust_threshold(oracle), pooled / TRUSTED_POOLED)))


def is_trusted(oracle: Oracle, solution: Solution) -> bool:
    """Whether enough replies carry the weight: a prompt, and in all."""
    return trust(oracle, oracle.effective_sample_size(solution.weights)) >= 0
