"""Score replies although a scorer may fail on some of them: these are marked, and the others keep their rewards.

A batch that fails is halved until the failing reply is alone. A scorer that fails on every reply ends the build with
an error. Constraint: the caller passes the function that scores a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from map_core.building.checkpoints import ScoreKey
from map_core.core import remedies
from map_core.core.types import Reply
from map_core.data.reward_table import LARGEST_REWARD
from map_core.errors import InputError
from map_core.scoring.base import ScorerError

#: A scorer that fails on every reply of this many prompts in a row ends the build.
MAX_FAILED_PROMPTS = 3

ScoreBatch = Callable[[Sequence[Reply]], np.ndarray]
"""Returns one reward per reply, NaN where there is none; may raise."""

ScoredPrompt = tuple[ScoreKey, dict[int, float], dict[int, str]]
"""A value's rewards of one prompt's replies by candidate number, and the reasons of missing ones."""


def score_each(score_batch: ScoreBatch, replies: Sequence[Reply]) -> tuple[np.ndarray, dict[int, str]]:
    """Score replies, isolating those on which the scorer fails.

    Args:
        score_batch: scores some of the replies; it may raise :class:`ScorerError`, :class:`InputError` or
            :class:`MemoryError`.
        replies: K replies.

    Returns:
        (K,) rewards, NaN where the scorer failed, and the reasons of the failures by index.
    """
    rewards, reasons = np.full(len(replies), np.nan), {}

    def score(indices: Sequence[int]) -> None:
        try:
            scores = np.asarray(score_batch([replies[index] for index in indices]), dtype=np.float64)
            if scores.shape != (len(indices),):
                raise ScorerError(f"it gave rewards of shape {scores.shape} for {len(indices)} replies")
        except (ScorerError, InputError, MemoryError) as error:
            if len(indices) == 1:
                reasons[indices[0]] = str(error) or type(error).__name__
                return
            half = len(indices) // 2
            score(indices[:half])
            score(indices[half:])
            return
        for index, reward in zip(indices, scores, strict=True):
            if abs(reward) <= LARGEST_REWARD:
                rewards[index] = reward
            else:
                reasons[index] = f"it gave {reward}, expected a finite number"

    if replies:
        score(range(len(replies)))
    return rewards, reasons


@dataclass
class FailureTracker:
    """Tracks prompts on which a scorer failed for every reply, and stops the build if it never works.

    Results of such prompts are held back until the scorer works on another prompt. A broken scorer therefore leaves no
    marks behind, and the same command scores everything once it is fixed.

    Args:
        worked: scorers that have scored some reply.
        held: for each scorer, the results that are held back, with the index of their prompt.
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
        """Record that some reply was scored; return the results held back before, with their prompts' indices."""
        self.worked.add(key)
        return self.held.pop(key, [])

    def end(self) -> list[tuple[int, ScoredPrompt]]:
        """Return the results that are still held back, with their prompts' indices.

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
            f"({reason}). Mend the scorer or leave this value out, and {remedies.SAME_COMMAND}; what was made is kept."
        )
