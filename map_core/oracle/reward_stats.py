"""Mean, variance and extremes of rewards, computed from parts of a table.

Source: the merging of means and variances is that of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
Algorithm for Computing Sample Variances", 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from map_core.core.types import Form


@dataclass(frozen=True, eq=False)
class RewardStats:
    """Statistics of the rewards of a part of a table; every array (value,), in reward units.

    Args:
        prompts: number of prompts.
        replies: number of replies.
        log_candidates: mean of log K over prompts.
        mean: over each prompt's replies, then over prompts; over all replies when pooled.
        variance: averaged as the mean.
        low: smallest rewards.
        high: largest rewards.
    """

    prompts: int
    replies: int
    log_candidates: float
    mean: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rewards: np.ndarray, counts: np.ndarray, form: Form) -> RewardStats:
        """Compute the statistics of (reply, value) rewards of prompts with ``counts`` replies each."""
        rewards = rewards.astype(np.float64, copy=False)
        share = 1.0 / (counts * len(counts))
        mass = np.full(len(rewards), 1.0 / len(rewards)) if form is Form.POOLED else np.repeat(share, counts)
        mean = mass @ rewards
        return cls(
            prompts=len(counts),
            replies=len(rewards),
            log_candidates=float(np.log(counts).mean()),
            mean=mean,
            variance=mass @ (rewards - mean) ** 2,
            low=rewards.min(axis=0),
            high=rewards.max(axis=0),
        )

    def of_values(self, which: np.ndarray) -> RewardStats:
        """Return the statistics of the values at these positions."""
        columns = {name: getattr(self, name)[which] for name in ("mean", "variance", "low", "high")}
        return replace(self, **columns)

    @property
    def constant(self) -> np.ndarray:
        """Whether a value is constant, (value,) bool, up to the rounding of its mean."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        return (self.low == self.high) | (np.sqrt(self.variance) <= 1e-13 * largest)

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation, (value,); 1 for a constant value."""
        return np.where(self.constant, 1.0, np.sqrt(self.variance))


def combine_stats(form: Form, parts: Sequence[RewardStats]) -> RewardStats:
    """Combine the statistics of the parts into those of the whole table."""
    prompts, replies = np.array([p.prompts for p in parts]), np.array([p.replies for p in parts])
    size = prompts if form is Form.PER_PROMPT else replies
    mass = size / size.sum()
    mean = mass @ np.array([p.mean for p in parts])
    deviation = np.array([p.mean for p in parts]) - mean
    return RewardStats(
        prompts=int(prompts.sum()),
        replies=int(replies.sum()),
        log_candidates=float(np.average([p.log_candidates for p in parts], weights=prompts)),
        mean=mean,
        variance=mass @ (np.array([p.variance for p in parts]) + deviation**2),
        low=np.min([p.low for p in parts], axis=0),
        high=np.max([p.high for p in parts], axis=0),
    )
