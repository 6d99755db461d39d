"""The probability of a verdict, and the number of prompts that would make it certain enough.

A verdict is two comparisons with 0: of the margin, and of the log ratio of the effective sample size to its threshold
(the trust). Each number has a bootstrap distribution. With G the share of draws below 0 and z0 the probit of the share
of draws below the table's own number, the probability that the true number is below 0 is

    Phi( probit(G) - 2 z0 )

the level at which a bias-corrected percentile interval would end at 0. A minimum over mixes is biased downwards on a
sample, and more so on a draw of it: the plain share of draws would count that bias twice. Pooled, draws have no margins
from which to estimate the bias, and the plain share is used; a draw lacks a third of the prompts, and with them of the
best replies, so near the boundary the share errs towards "out of reach".

Source: Efron, "Nonparametric standard errors and confidence intervals", 1981, section 10.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from map_core.confidence.bootstrap import Draws
from map_core.core.types import Verdict

#: Probability from which a verdict counts as sure.
SURE = 0.95
#: If more prompts are needed than this many times the table's, their number is reported as infinite.
MAX_FACTOR = 1e6


def probabilities(draws: Draws, margin: float, trust: float) -> dict[Verdict, float]:
    """Compute the probability of each verdict on the population that the prompts come from.

    Args:
        draws: the palette on draws of the prompts.
        margin: the table's own margin.
        trust: the table's own trust; minus infinity out of reach.

    Returns:
        Three probabilities that sum to 1.
    """
    shares = draws.shares
    out = shares[Verdict.OUT_OF_REACH]
    if draws.margins is not None:
        out = _below_zero(out, draws.margins, margin)
    doubtful = 1.0 - shares[Verdict.REACHABLE]
    if math.isfinite(trust):
        doubtful = _below_zero(doubtful, draws.trust, trust)
    doubtful = max(doubtful, out)
    return {Verdict.REACHABLE: 1.0 - doubtful, Verdict.ON_PAPER: doubtful - out, Verdict.OUT_OF_REACH: out}


def prompts_needed(prompts: int, draws: Draws, margin: float, trust: float, sure: float = SURE) -> float:
    """Compute the total number of prompts that would make a verdict sure, all else being equal.

    Standard errors shrink with the root of the number of prompts. A number that is now z standard errors from 0 needs
    n (probit(sure) / z)^2 prompts; the comparison closest to 0 decides.

    Args:
        prompts: n, of the table.
        draws: the palette on draws of the prompts.
        margin: the table's own margin.
        trust: the table's own trust; minus infinity out of reach.
        sure: the required probability.

    Returns:
        A number of prompts, at most ``prompts`` where the verdict is already sure; infinite on the boundary, where no
        number of prompts suffices.
    """
    scores = []
    if draws.margins is not None:
        scores.append(_score(draws.margins, margin))
    elif 0.0 < np.mean(draws.attainable) < 1.0:
        scores.append(abs(float(ndtri(np.mean(draws.attainable)))))
    if math.isfinite(trust):
        scores.append(_score(draws.trust[np.isfinite(draws.trust)], trust))
    closest = min(scores, default=math.inf)
    if closest == math.inf:
        return 2.0
    factor = (float(ndtri(sure)) / closest) ** 2 if closest > 0 else math.inf
    return math.ceil(max(2.0, factor * prompts)) if factor <= MAX_FACTOR else math.inf


def _below_zero(share: float, draws: np.ndarray, estimate: float) -> float:
    """Return the probability that the true number is below 0, from the share of draws below 0."""
    if not 0.0 < share < 1.0:
        return share
    below = np.clip(np.mean(draws < estimate), 0.5 / len(draws), 1 - 0.5 / len(draws))
    return float(ndtr(ndtri(share) - 2 * ndtri(below)))


def _score(draws: np.ndarray, estimate: float) -> float:
    """Return how many standard errors from 0 an estimate is, after subtracting its bias."""
    if len(draws) < 2 or not math.isfinite(estimate):
        return math.inf
    error = float(draws.std(ddof=1))
    centre = 2 * estimate - float(draws.mean())
    if error <= 1e-12:
        return math.inf if abs(centre) > 1e-9 else 0.0
    return abs(centre) / error
