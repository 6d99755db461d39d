"""Compute the softmax over the candidates of one prompt.

    p_k = exp(score_k) / sum_l exp(score_l)

Constraint: one prompt, arrays in and a frozen result out; :mod:`map_core.oracle` computes sums over many prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Softmax:
    """Probabilities of K candidates by their scores.

    Args:
        scores: (candidate,) lambda . r up to a constant, in nats; finite.
        probabilities: (candidate,) softmax of the scores.
        log_mean: log( mean_k exp(score_k) ), the estimate of the log-normaliser, in nats.
        effective_sample_size: 1 / sum_k p_k^2, from 1 (one candidate has all the probability) to K.
    """

    scores: np.ndarray
    probabilities: np.ndarray
    log_mean: float
    effective_sample_size: float

    @property
    def order(self) -> np.ndarray:
        """(candidate,) positions, the most probable first, equal ones in their original order."""
        return np.argsort(-self.probabilities, kind="stable")

    @cached_property
    def kl(self) -> float:
        """KL divergence from the uniform distribution, sum_k p_k log(K p_k), in nats from 0 to log K."""
        return min(max(self.expectation(self.scores) - self.log_mean, 0.0), math.log(len(self.scores)))

    def expectation(self, numbers: np.ndarray) -> float:
        """Return the expectation of (candidate,) numbers; candidates of probability 0 do not count, whatever theirs."""
        support = self.probabilities > 0.0
        return float((self.probabilities[support] * numbers[support]).sum())

    def standard_error(self, numbers: np.ndarray) -> float:
        """Return the standard error of :meth:`expectation` by the delta method, (sum_k p_k^2 (x_k - mean)^2)^(1/2)."""
        support = self.probabilities > 0.0
        deviations = numbers[support] - self.expectation(numbers)
        return math.sqrt(float((self.probabilities[support] ** 2 * deviations**2).sum()))


def softmax(scores: np.ndarray) -> Softmax:
    """Compute the softmax of scores without overflow.

    Args:
        scores: (candidate,) finite, at least one.

    Example:
        >>> softmax(np.array([0.0, np.log(3.0)])).probabilities.round(2)
        array([0.25, 0.75])
    """
    highest = float(scores.max())
    scaled = np.exp(scores - highest)
    total = float(scaled.sum())
    return Softmax(
        scores=scores,
        probabilities=scaled / total,
        log_mean=highest + math.log(total) - math.log(len(scores)),
        # From the undivided weights, so that it is exactly K for equal candidates.
        effective_sample_size=total**2 / float((scaled**2).sum()),
    )
