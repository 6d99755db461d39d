"""Levels of a tuned model on prompts that it was not tuned on, from the base model's replies to them.

With l_k = log q(y_k) - log p0(y_k) of replies drawn from p0, w = softmax_k(l) are importance weights: sum_k w_k r_k is
the tuned model's level on a prompt and sum_k w_k l_k - log mean_k exp(l_k) its divergence from p0, both up to the noise
of K replies, and the latter at most log K. No reply is sampled. Constraint: numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from map_core.core.softmax import softmax


@dataclass(frozen=True, eq=False)
class HeldOutLevels:
    """Levels on held-out prompts; every array (prompt, value), in reward units.

    Args:
        values: names.
        base: of the base model.
        tuned: of the tuned model.
        forecast: of the tilt, which is what the tuned model should be.
        lam: (value,) lambda.
        kl: (prompt,) nats that the tuned model spends.
        kl_forecast: (prompt,) nats that the tilt spends.
        ess: (prompt,) effective sample size of the weights from the tuned model.
        noise: (prompt,) variance of u = l - lambda . r over the replies; 0 at the tilt.
        log_ratios: (reply,) log q - log p0, a prompt.
    """

    values: tuple[str, ...]
    base: np.ndarray
    tuned: np.ndarray
    forecast: np.ndarray
    lam: np.ndarray
    kl: np.ndarray
    kl_forecast: np.ndarray
    ess: np.ndarray
    noise: np.ndarray
    log_ratios: tuple[np.ndarray, ...]

    @property
    def replies(self) -> int:
        """The largest number of replies to a prompt that were read."""
        return max(map(len, self.log_ratios))

    @property
    def share_of_way(self) -> float:
        """How far the tuned model comes from base to tilt in lambda . r; NaN where there is no way to go."""
        way = float(((self.forecast - self.base) @ self.lam).sum())
        return float(((self.tuned - self.base) @ self.lam).sum()) / way if way else math.nan

    def share_interval(self, level: float = 0.9, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
        """Return a bootstrap interval over prompts of the share of the way."""
        gained, way = (self.tuned - self.base) @ self.lam, (self.forecast - self.base) @ self.lam
        chosen = np.random.default_rng(seed).integers(len(way), size=(draws, len(way)))
        sums = way[chosen].sum(axis=1)
        shares = gained[chosen].sum(axis=1) / np.where(sums == 0, np.nan, sums)
        low, high = np.nanquantile(shares, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """Return the means over prompts and their intervals as plain JSON values."""
        low, high = self.share_interval()
        return {
            "prompts": len(self.base),
            "replies": self.replies,
            "levels": {
                name: {
                    "base": float(self.base[:, j].mean()),
                    "tuned": float(self.tuned[:, j].mean()),
                    "forecast": float(self.forecast[:, j].mean()),
                    "error": float(self.tuned[:, j].std(ddof=1) / math.sqrt(len(self.base)))
                    if len(self.base) > 1
                    else None,
                }
                for j, name in enumerate(self.values)
            },
            "share_of_way": self.share_of_way if math.isfinite(self.share_of_way) else None,
            "share_of_way_90": [low, high] if math.isfinite(low + high) else None,
            "kl": float(self.kl.mean()),
            "kl_forecast": float(self.kl_forecast.mean()),
            "ess": float(self.ess.mean()),
            "noise": float(self.noise.mean()),
        }


def held_out_levels(
    values: Sequence[str],
    lam: np.ndarray,
    log_ratios: Sequence[np.ndarray],
    gains: Sequence[np.ndarray],
    rewards: Sequence[np.ndarray],
) -> HeldOutLevels:
    """Compute the levels of a tuned model on prompts with replies from p0.

    Args:
        values: names.
        lam: (value,) lambda.
        log_ratios: (reply,) log q - log p0, a prompt.
        gains: (reply,) lambda . r in nats, a prompt; a constant does not matter.
        rewards: (reply, value), a prompt.
    """
    tuned = [softmax(ratios) for ratios in log_ratios]
    tilt = [softmax(row) for row in gains]
    return HeldOutLevels(
        values=tuple(values),
        base=np.array([row.mean(axis=0) for row in rewards]),
        tuned=np.array([weights.probabilities @ row for weights, row in zip(tuned, rewards, strict=True)]),
        forecast=np.array([weights.probabilities @ row for weights, row in zip(tilt, rewards, strict=True)]),
        lam=np.asarray(lam, dtype=float),
        kl=np.array([weights.kl for weights in tuned]),
        kl_forecast=np.array([weights.kl for weights in tilt]),
        ess=np.array([weights.effective_sample_size for weights in tuned]),
        noise=np.array([np.var(ratios - row) for ratios, row in zip(log_ratios, gains, strict=True)]),
        log_ratios=tuple(log_ratios),
    )
