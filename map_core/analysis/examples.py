"""Example replies of a palette before anything is generated: replies of the table at given weights.

Per prompt the aligned model draws a candidate with probability softmax(x . z) over the prompt's replies, and the base
model draws each with the same probability 1 / K. So the aligned reply shown is the likeliest, and the base reply is
the one closest to the average of all of them. Constraint: a lookup without a model or random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.core.cut_replies import with_mark
from map_core.core.softmax import softmax
from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import is_cut
from map_core.errors import InputError
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class ReplyExample:
    """A typical base reply and the likeliest aligned reply to one prompt of the table.

    Args:
        prompt: its text.
        base: the reply closest to the prompt's average over all values.
        aligned: the likeliest reply at the weights; the first of equals.
        probability: of the aligned reply at the weights.
        candidates: replies of this prompt, each of which the base model gives with probability 1 / candidates.
        base_levels: (value,) of the base reply, in standard deviations above base.
        aligned_levels: (value,) of the aligned reply, likewise.
        base_cut, aligned_cut: the length limit has cut the reply.
    """

    prompt: str
    base: str
    aligned: str
    probability: float
    candidates: int
    base_levels: np.ndarray
    aligned_levels: np.ndarray
    base_cut: bool = False
    aligned_cut: bool = False

    @property
    def base_shown(self) -> str:
        """The base reply as people read it."""
        return with_mark(self.base, self.base_cut)

    @property
    def aligned_shown(self) -> str:
        """The aligned reply as people read it."""
        return with_mark(self.aligned, self.aligned_cut)


def example_prompts(table: RewardTable) -> tuple[int, ...]:
    """Return the positions of the prompts whose replies may be shown; all counted prompts where the table hides all."""
    shown = table.shown
    return tuple(map(int, np.flatnonzero(shown if shown.any() else table.counted)))


def reply_example(table: RewardTable, oracle: Oracle, weights: np.ndarray, prompt: int) -> ReplyExample:
    """Pick the replies that base model and aligned model would most likely give to a prompt of the table.

    Args:
        table: the table, with replies.
        oracle: its base level and scale.
        weights: (value,) x, in nats per standard deviation; all 0 for the base model.
        prompt: position of the prompt.

    Raises:
        InputError: there is no such prompt, or the table has no texts of replies.
    """
    if not 0 <= prompt < len(table.prompts):
        raise InputError(f"The prompt's position is {prompt}; expected 0 to {len(table.prompts) - 1}.")
    if not table.replies:
        raise InputError("This table has rewards but no texts of replies; open a table with a column of replies.")
    rows = slice(int(table.offsets[prompt]), int(table.offsets[prompt + 1]))
    levels = oracle.standardise(table.rewards[rows])
    shares = softmax(levels @ weights).probabilities
    typical = int(np.argmin(np.sum((levels - levels.mean(axis=0)) ** 2, axis=1)))
    # Without weights all replies are equally likely, so the typical one is shown for both models.
    likeliest = int(np.argmax(shares)) if np.any(weights) else typical
    replies = table.replies[rows]
    return ReplyExample(
        table.prompts[prompt],
        replies[typical],
        replies[likeliest],
        float(shares[likeliest]),
        len(replies),
        levels[typical],
        levels[likeliest],
        is_cut(table, rows.start + typical),
        is_cut(table, rows.start + likeliest),
    )
