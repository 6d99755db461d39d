"""The headroom of a race: how far above the mean a candidate's gain is counted when candidates are drawn until the end.

A generator that draws until no further candidate can win (:func:`map_core.generation.choice.race`) caps weights at
exp(mean + headroom). The capped tilt differs from the tilt itself, in total variation on a prompt, by at most

    delta(h) = E_p0 (exp(g) - exp(mean g + h))+ / Z,    g = lambda . r, Z = E_p0 exp(g),

since capping lowers Z too and so takes mass from the capped replies alone. delta falls as h rises. The draw ends after
about N = exp(mean g + h + s / sqrt(N)) / Z' candidates, with Z' of the capped weights and s the deviation of g: the
race adds the standard error of its mean. Constraint: a table in memory and numbers; no model.

Source: the bound is that of rejection sampling; Maddison, 2016 (arXiv 1602.05986), for the race.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.generation.weighted_rewards import scored_values, weighted_rewards

#: The smallest headroom, in nats: with nearly equal weights the first reply may be taken.
LEAST = 1e-3
#: Log of the largest number of candidates that is returned, so that the exponential does not overflow.
LARGEST_LOG = 700.0
FIXED_POINT_STEPS = 30


@dataclass(frozen=True)
class Headroom:
    """A headroom and its consequences on a table.

    Args:
        nats: the headroom.
        within: largest share of the replies that differ from the exact tilt's, on average over prompts.
        candidates: estimated number of candidates that a race draws, on average over prompts.
    """

    nats: float
    within: float
    candidates: float


def headroom_for(table: RewardTable, weights: Mapping[str, float], within: float) -> Headroom:
    """Return the smallest headroom at which picks differ from those of the exact tilt for a given share of the replies.

    Args:
        table: replies of the base model, several per prompt; held-out prompts do not count.
        weights: lambda by value, or by a share or tail of one, 1/reward.
        within: the share, between 0 and 1, on average over prompts.

    Raises:
        InputError: a value that the table does not have, one reply a prompt, or a share out of range.

    Example:
        >>> table = RewardTable(("calm",), np.array([[0.0], [1.0]]), np.array([0, 2]), ("1",), ("Hi",), ("",))
        >>> round(headroom_for(table, {"calm": np.log(3.0)}, 0.25).nats, 3)  # weights 1 and 3 become 1 and 2
        0.144
    """
    if not 0.0 < within < 1.0:
        raise InputError(f"The share of replies is {within}; expected a number between 0 and 1, such as 0.02.")
    gains = _Gains.of(table, weights)
    highest = float(gains.best.max())
    nats = (
        LEAST
        if highest <= LEAST or gains.lost(LEAST) <= within
        else brentq(lambda h: gains.lost(h) - within, LEAST, highest)
    )
    log_least = nats - gains.best + np.log(gains.replies / gains.capped(nats))
    deviations = np.sqrt(np.add.reduceat(gains.above**2, gains.starts) / (gains.replies - 1))
    log_candidates = log_least
    for _ in range(FIXED_POINT_STEPS):
        log_candidates = log_least + deviations * np.exp(-np.maximum(log_candidates, np.log(2)) / 2)
    candidates = gains.prompt_weights @ np.exp(np.minimum(log_candidates, LARGEST_LOG))
    return Headroom(float(nats), within, float(candidates))


def share_lost(table: RewardTable, weights: Mapping[str, float], nats: float) -> float:
    """Return delta(h), the largest share of the replies that would differ under the exact tilt.

    The headroom may belong to other weights than the current ones, as after a fader has moved.

    Args:
        table: as for :func:`headroom_for`.
        weights: the current ones.
        nats: the headroom that was used.

    Raises:
        InputError: a value that the table does not have, or one reply a prompt.

    Example:
        >>> table = RewardTable(("calm",), np.array([[0.0], [1.0]]), np.array([0, 2]), ("1",), ("Hi",), ("",))
        >>> round(share_lost(table, {"calm": np.log(3.0)}, 0.144), 3)
        0.25
    """
    return _Gains.of(table, weights).lost(nats)


@dataclass(frozen=True, eq=False)
class _Gains:
    """The gains g = lambda . r of a table's replies.

    Args:
        above: (reply,) g less the mean of its prompt, in nats.
        best: (prompt,) the largest ``above``.
        starts: (prompt,) position of the first reply.
        replies: (prompt,) their number.
        prompt_weights: (prompt,) summing to 1.
    """

    above: np.ndarray
    best: np.ndarray
    starts: np.ndarray
    replies: np.ndarray
    prompt_weights: np.ndarray

    @classmethod
    def of(cls, table: RewardTable, weights: Mapping[str, float]) -> _Gains:
        table = table.without_held_out()
        if table.candidates.min() < 2:
            raise InputError(
                "A prompt of the table has one reply; expected several per prompt, to measure how far replies differ."
            )
        unknown = [name for name in scored_values(tuple(weights)) if name not in table.values]
        if unknown:
            raise InputError(
                f"The table has no value {', '.join(map(repr, unknown))}; it has {', '.join(table.values)}."
            )
        rewards = {name: table.rewards[:, j].tolist() for j, name in enumerate(table.values)}
        columns, lam = weighted_rewards(rewards, weights, len(table.rewards))
        starts, replies = table.offsets[:-1], table.candidates
        gains = columns @ np.array(lam)
        above = gains - np.repeat(np.add.reduceat(gains, starts) / replies, replies)
        prompt_weights = np.ones(len(replies)) if table.prompt_weights is None else table.prompt_weights
        best = np.maximum.reduceat(above, starts)
        return cls(above, best, starts, replies, prompt_weights / prompt_weights.sum())

    def capped(self, nats: float) -> np.ndarray:
        """Return (prompt,) sums of the capped weights, relative to each prompt's best, so that nothing overflows."""
        shares = np.exp(np.minimum(self.above, nats) - np.repeat(self.best, self.replies))
        return np.asarray(np.add.reduceat(shares, self.starts))

    def lost(self, nats: float) -> float:
        """Return delta of a headroom, on average over prompts."""
        return float(self.prompt_weights @ (1.0 - self.capped(nats) / self.capped(np.inf)))
