"""Test sequentially whether a mean exceeds a target, by betting: the capital of a gambler is an e-process.

    M_n = mean over bets b of  prod_{i <= n} ( 1 + b v_i (Y_i - c) )        0 <= b < 1 / (v (c - low))

If the mean of v (Y - c) is at most 0, M is a non-negative supermartingale that starts at 1, so the probability that it
ever reaches 1 / alpha is at most alpha (Ville): it may be checked after every prompt. A test that the mean is below c
is the same with opposite signs and the upper end.

Constraint: the bets and the ends are fixed before the numbers are seen; numbers beyond an end are clipped to it, so the
conclusion is about the mean of the clipped numbers.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024 (arXiv
2010.09686), sections 4 and 4.3; Ville, "Etude critique de la notion de collectif", 1939.
"""

from __future__ import annotations

import math

import numpy as np

#: Maximum share of the capital that the lowest possible number may lose.
MOST_STAKED = 0.9


def planned_bet(deviation: np.ndarray, room: np.ndarray, prompts: int, alpha: float) -> np.ndarray:
    """Return the bet that detects the smallest gap after a given number of prompts: sqrt(2 log(1/alpha) / n) / sigma.

    Args:
        deviation: (value,) sigma, estimated on other prompts.
        room: (value,) c - low, above 0 where a bet is possible.
        prompts: n, at least 1.
        alpha: error probability, between 0 and 1.

    Returns:
        (value,) b, at most :data:`MOST_STAKED` / room.
    """
    wanted = math.sqrt(2.0 * math.log(1.0 / alpha) / prompts) / np.maximum(deviation, 1e-12)
    return np.asarray(np.minimum(wanted, MOST_STAKED / np.maximum(room, 1e-12)))


def log_capital(gaps: np.ndarray, bets: np.ndarray) -> np.ndarray:
    """Compute the logarithm of the capital after each number.

    Args:
        gaps: (number, value) v (Y - c), clipped at the lower end for which the bets were computed.
        bets: (bet, value) b, each with 1 + b gap > 0.

    Returns:
        (number, value) log M, with the initial capital divided equally among the bets.
    """
    with np.errstate(invalid="ignore"):
        logs = np.cumsum(np.log1p(bets[:, None] * gaps), axis=1)
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - math.log(len(bets)))


def numbers_needed(gap: np.ndarray, deviation: np.ndarray, room: np.ndarray, alpha: float) -> np.ndarray:
    """Estimate how many numbers show that a mean is above its target: log(1/alpha) / (b gap - b^2 sigma^2 / 2).

    Args:
        gap: (value,) observed mean - c.
        deviation: (value,) sigma.
        room: (value,) c - low.
        alpha: error probability.

    Returns:
        (value,) numbers with the best bet b; infinite where the gap is not above 0.
    """
    bet = np.minimum(gap / np.maximum(deviation, 1e-12) ** 2, MOST_STAKED / np.maximum(room, 1e-12))
    growth = bet * gap - bet**2 * deviation**2 / 2.0
    return np.where(gap > 0, math.log(1.0 / alpha) / np.maximum(growth, 1e-300), np.inf)
