"""Scoring that outlives its scorers: a reply on which one fails is marked, the others are not lost by it.

A batch that fails is cut in halves until the reply that it fails on stands alone. A scorer that fails on everything is
no matter of single replies: it ends the build, in words. Constraint: how a batch is scored is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from map_core.building.checkpoints import ScoreKey
from map_core.core.types import Reply
from map_core.data.reward_table import LARGEST_REWARD
from map_core.errors import InputError
from map_core.scoring.base import ScorerError

#: So many prompts in a row on which a scorer fails for every reply end the build.
MAX_FAILED_PROMPTS = 3

ScoreBatch = Callable[[Sequence[Reply]], np.ndarray]
"""Replies in, rewards out, one a reply, NaN where there is none; raises when it cannot."""

ScoredPrompt = tuple[ScoreKey, dict[int, float], dict[int, str]]
"""A value's rewards of one prompt's replies by candidate number, and why there are none."""


def score_each(ask: ScoreBatch, replies: Sequence[Reply]) -> tuple[np.ndarray, dict[int, str]]:
    """Score replies, whatever happens on some of them.

    Args:
        ask: scores some of them; it may raise :class:`ScorerError`, :class:`InputError` or :class:`MemoryError`.
        replies: K replies.

    Returns:
        (K,) rewards, NaN where the scorer failed, and why, by place.
    """
    rewards, reasons = np.full(len(replies), np.nan), {}

    def solve(places: Sequence[int]) -> None:
        try:
            scores = np.asarray(ask([replies[place] for place in places]), dtype=np.float64)
            if scores.shape != (len(places),):
                raise ScorerError(f"it gave rewards of shape {scores.shape} for {len(places)} replies")
        except (ScorerError, InputError, MemoryError) as error:
            if len(places) == 1:
                reasons[places[0]] = str(error) or type(error).__name__
                return
            half = len(places) // 2
            solve(places[:half])
            solve(places[half:])
            return
        for place, reward in zip(places, scores, strict=True):
            if abs(reward) <= LARGEST_REWARD:
                rewards[place] = reward
            else:
                reasons[place] = f"it gave {reward}, expected a finite number"

    if replies:
        solve(range(len(replies)))
    return rewards, reasons


@dataclass
class FailureTracker:
    """Keeps account of prompts on which a scorer failed for every reply, and gives up on it in time.

    Their results are held back until the scorer is seen to work on another prompt: a scorer that is broken
    leaves nothing behind, so that the same command, once it is mended, scores everything.
    """

    worked: set[ScoreKey] = field(default_factory=set)
    held: dict[ScoreKey, list[tuple[int, ScoredPrompt]]] = field(default_factory=dict)

    def failed(self, prompt: int, scored: ScoredPrompt) -> None:
        """Record that every reply to this prompt failed.

        Raises:
            ScorerError: it is the third prompt in a row.
        """
        key = scored[0]
        held = self.held.setdefault(key, [])
        held.append((prompt, scored))
        if len(held) >= MAX_FAILED_PROMPTS:
            raise self._given_up(key)

    def succeeded(self, key: ScoreKey) -> list[tuple[int, ScoredPrompt]]:
        """Record that some reply could be scored; return the prompts before it, and what of them can now be kept."""
        self.worked.add(key)
        return self.held.pop(key, [])

    def end(self) -> list[tuple[int, ScoredPrompt]]:
        """Return the prompts that are left, and what of them can be kept.

        Raises:
            ScorerError: a scorer failed on everything.
        """
        for key in self.held:
            if key not in self.worked:
                raise self._given_up(key)
        return [scored for held in self.held.values() for scored in held]

    def _given_up(self, key: ScoreKey) -> ScorerError:
        held = self.held[key]
        reason = next(iter(held[-1][1][2].values()))
        prompts = "prompt" if len(held) == 1 else f"{len(held)} prompts in a row"
        return ScorerError(
            f"The scorer of {key[0]!r} failed on every reply to {'a ' if len(held) == 1 else ''}{prompts} "
            f"({reason}). Mend the scorer or leave this value out, and start the same again; what is made is kept."
        )
