"""How weights choose among the replies to one prompt: the exponential tilt at its smallest.

    P_k = exp(lambda . r_k) / sum_l exp(lambda . r_l)

Constraint: one prompt, arrays in and a frozen result out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Choice:
    """The replies to one prompt under weights.

    Args:
        shares: (candidate,) probability of each reply at the weights, softmax(lambda . r).
        order: (candidate,) positions, the likeliest first.
        ess: replies that carry the choice, 1 / sum_k P_k^2.
        kl: nats spent on this prompt, sum_k P_k log(K P_k).
    """

    shares: np.ndarray
    order: np.ndarray
    ess: float
    kl: float


def choose(levels: np.ndarray, weights: np.ndarray) -> Choice:
    """The probabilities of replies at given weights.

    Args:
        levels: (candidate, value) standardised rewards z.
        weights: (value,) x, in nats per standard deviation, so that x . z = lambda . r up to a constant.

    Example:
        >>> choose(np.array([[0.0], [np.log(3.0)]]), np.array([1.0])).shares.round(2)
        array([0.25, 0.75])
    """
    logits = levels @ weights
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    spent = float(np.sum(shares * np.log(np.maximum(shares, 1e-300) * len(shares))))
    return Choice(shares, np.argsort(-shares, kind="stable"), float(1 / np.sum(shares**2)), max(spent, 0.0))
