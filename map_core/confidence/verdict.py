"""The probability of a verdict, and the number of prompts that would settle it.

A verdict is two comparisons: the margin with 0, and the log of how many times over enough replies carry the weight
(the trust) with 0. Each is a number with a bootstrap distribution. With G the share of draws below 0 and z0 the probit
of the share of draws below the table's own number, the probability that the truth lies below 0 is

    Phi( probit(G) - 2 z0 )

the level at which a bias-corrected percentile interval would end at 0. A minimum over mixes comes out too low on a
sample, and lower still on a draw of it: the plain share of draws would count that bias twice. Pooled, draws have no
margins to tell the bias by and their plain share is taken; a draw lacks a third of the prompts, and so of the best
replies, so near the edge it errs towards "out of reach".

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
#: More prompts than this many times those of the table are reported as infinite.
MOST_TIMES = 1e6


def probabilities(draws: Draws, margin: float, trust: float) -> dict[Verdict, float]:
    """Compute the probability of each verdict on the population that the prompts come from.

    Args:
        draws: the palette on draws of the prompts.
        margin: the table's own margin.
        trust: the table's own trust, minus infinity out of reach.

    Returns:
        Three numbers that sum to 1.
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
    """Compute how many prompts in all would make a verdict sure, if all else stays as it is.

    Standard errors shrink with the root of the number of prompts. A comparison that now lies z standard errors
    from 0 needs n (probit(sure) / z)^2 prompts; the closest of those that the verdict rests on decides.

    Args:
        prompts: n, of the table.
        draws: the palette on draws of the prompts.
        margin: the table's own margin.
        trust: the table's own trust, minus infinity out of reach.
        sure: the required probability.

    Returns:
        A number of prompts, at most ``prompts`` where the verdict is sure already; infinite on the boundary, where no
        number of prompts settles it.
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
    times = (float(ndtri(sure)) / closest) ** 2 if closest > 0 else math.inf
    return math.ceil(max(2.0, times * prompts)) if times <= MOST_TIMES else math.inf


def _below_zero(share: float, draws: np.ndarray, estimate: float) -> float:
    """Return the probability that the truth is below 0, from the share of draws that are."""
    if not 0.0 < share < 1.0:
        return share
    below = np.clip(np.mean(draws < estimate), 0.5 / len(draws), 1 - 0.5 / len(draws))
    return float(ndtr(ndtri(share) - 2 * ndtri(below)))


def _score(draws: np.ndarray, estimate: float) -> float:
    """Return how many standard errors from 0 an estimate lies, with its bias taken off."""
    if len(draws) < 2 or not math.isfinite(estimate):
        return math.inf
    error = float(draws.std(ddof=1))
    centre = 2 * estimate - float(draws.mean())
    if error <= 1e-12:
        return math.inf if abs(centre) > 1e-9 else 0.0
    return abs(centre) / error
