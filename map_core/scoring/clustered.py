"""Compute shares of pairs that a scorer orders as a judge does, and differences of two shares, with intervals.

Replies to one prompt are not independent, so every interval is over prompts. A ratio sum a / sum n of sums over prompts
has, to first order, the error sum_i u_i with the influence u_i of each prompt; its variance is G / (G - 1) sum u_i^2
over the G prompts. Constraint: numpy and scipy only.

Source: Cochran, Sampling Techniques, 1977, section 6.4 (ratios); Obuchowski, Biometrics 53, 1997 (ROC areas of
clustered data); Korn and Graubard, Survey Methodology 24, 1998 (Wilson's interval of an effective number of draws).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from map_core.core.wilson import wilson_interval

Array = Sequence[float] | np.ndarray


@dataclass(frozen=True, eq=False)
class ClusteredShare:
    """A share of pairs.

    Args:
        share: of the pairs that are ordered as judged, equal scores counting half; NaN without pairs.
        influence: (prompt,) each prompt's contribution to the share's error; 0 for prompts without pairs.
        pairs: number of pairs.
        prompts: number of prompts with pairs.
    """

    share: float
    influence: np.ndarray
    pairs: int
    prompts: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval: Wilson's for n independent draws, n = A (1 - A) / V (1.96 / t)^2.

        V is the variance and t the 97.5% quantile of Student's t with one degree of freedom less than the number of
        prompts; n is the number of prompts where V is 0, and at most the number of pairs. NaN for fewer than two
        prompts.
        """
        if self.prompts < 2:
            return float("nan"), float("nan")
        draws, variance = float(self.prompts), _variance(self.influence, self.prompts)
        if variance > 0.0 and 0.0 < self.share < 1.0:
            narrower = float(ndtri(0.975)) / _quantile(self.prompts)
            draws = min(self.share * (1.0 - self.share) / variance * narrower**2, float(self.pairs))
        return wilson_interval(self.share * draws, draws)

    def difference_interval(self, other: ClusteredShare) -> tuple[float, float]:
        """Return the 95% interval of this share less another share of the same pairs, by Student's t over prompts.

        NaN for fewer than two prompts.
        """
        if self.prompts < 2:
            return float("nan"), float("nan")
        middle = self.share - other.share
        half = _quantile(self.prompts) * np.sqrt(_variance(self.influence - other.influence, self.prompts))
        return float(middle - half), float(middle + half)


def pair_share(agreed: Array, counts: Array) -> ClusteredShare:
    """Return the share from the pairs of each prompt.

    Args:
        agreed: (prompt,) pairs that are ordered as judged.
        counts: (prompt,) all pairs of the prompt.
    """
    ordered, of = np.asarray(agreed, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    return _share(float(ordered.sum()), float(of.sum()), ordered, of)


def overall_share(scores: Array, labels: Array, prompts: Sequence[Hashable] | np.ndarray) -> ClusteredShare:
    """Return the AUC over all pairs of a reply labelled 1 and one labelled 0.

    Args:
        scores: (reply,) finite.
        labels: (reply,) 1 or 0.
        prompts: (reply,) the prompt of each reply.
    """
    ordered, counts = _pair_counts(scores, labels, prompts)
    # A pair of two prompts counts for the influence of both, a pair of one prompt twice for its own.
    by_prompt = [pairs.sum(axis=0) + pairs.sum(axis=1) for pairs in (ordered, counts)]
    return _share(float(ordered.sum()), float(counts.sum()), *by_prompt)


def within_share(scores: Array, labels: Array, prompts: Sequence[Hashable] | np.ndarray) -> ClusteredShare:
    """Return the AUC over all pairs of a 1 and a 0 that answer the same prompt; see :func:`overall_share`."""
    ordered, counts = _pair_counts(scores, labels, prompts)
    return pair_share(np.diag(ordered), np.diag(counts))


def _pair_counts(
    scores: Array, labels: Array, prompts: Sequence[Hashable] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of ordered pairs (ties count half) and of all pairs, (prompt of the 1, prompt of the 0)."""
    reply_scores, reply_labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    index = {prompt: position for position, prompt in enumerate(dict.fromkeys(prompts))}
    membership = np.zeros((len(reply_scores), len(index)))
    membership[np.arange(len(reply_scores)), [index[prompt] for prompt in prompts]] = 1.0
    ones, zeros = reply_labels == 1, reply_labels == 0
    order = (np.sign(reply_scores[ones][:, None] - reply_scores[zeros]) + 1.0) / 2.0
    counts = np.outer(membership[ones].sum(axis=0), membership[zeros].sum(axis=0))
    return membership[ones].T @ order @ membership[zeros], counts


def _share(agreed: float, total: float, agreed_by_prompt: np.ndarray, by_prompt: np.ndarray) -> ClusteredShare:
    if total == 0.0:
        return ClusteredShare(float("nan"), np.zeros(len(by_prompt)), 0, 0)
    share = agreed / total
    influence = (agreed_by_prompt - share * by_prompt) / total
    return ClusteredShare(share, influence, int(total), int(np.count_nonzero(by_prompt)))


def _variance(influence: np.ndarray, prompts: int) -> float:
    return float(np.sum(influence**2)) * prompts / (prompts - 1)


def _quantile(prompts: int) -> float:
    return float(stdtrit(prompts - 1, 0.975))
