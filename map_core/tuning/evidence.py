"""Replies that a tuning has not read: those to held-out prompts, with the model's levels, and those for rounds.

Constraint: nothing is sampled; the tuned model reads the base model's replies.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.building.progress import Reporter, StageProgress
from map_core.data.reward_table import RewardTable
from map_core.tuning.examples import PromptExamples, make_examples
from map_core.tuning.held_out import HeldOutLevels, held_out_levels
from map_core.tuning.request import UNREAD_REPLIES

if TYPE_CHECKING:
    from map_core.tuning.policy import Policy


@dataclass(frozen=True, eq=False)
class HeldOutReplies:
    """Replies to held-out prompts; evidence needs two prompts.

    Args:
        values: names.
        lam: (value,) lambda.
        examples: of the prompts; empty where the table has no token ids.
    """

    values: tuple[str, ...]
    lam: np.ndarray
    examples: Sequence[PromptExamples] = ()

    @classmethod
    def of(cls, table: RewardTable, lam: np.ndarray, tokenizer: Any, most: int) -> HeldOutReplies:
        """Take at most `most` held-out prompts with two replies or more, spread over the table."""
        numbers = np.flatnonzero(~table.counted & (table.candidates > 1))
        if len(numbers) > most:
            positions = np.linspace(0, len(numbers) - 1, max(most, 1)).astype(int)
            numbers = numbers[positions[:most]]
        return cls(table.values, lam, make_examples(table, lam, tokenizer, numbers.tolist()))

    @property
    def enough(self) -> bool:
        """Whether there are prompts enough for an interval."""
        return len(self.examples) > 1

    def levels(self, policy: Policy, replies: int, report: Reporter | None = None) -> HeldOutLevels:
        """Compute the levels of a model from the first replies to each prompt."""
        chosen = [range(min(replies, len(example.replies))) for example in self.examples]
        ratios = []
        steps = StageProgress("checking", 0, len(self.examples), report)
        for example, rows in zip(self.examples, chosen, strict=True):
            ratios.append(policy.log_ratios(example, rows))
            steps.advance()
        return held_out_levels(
            self.values,
            self.lam,
            ratios,
            [example.gains[rows] for example, rows in zip(self.examples, chosen, strict=True)],
            [example.rewards[rows] for example, rows in zip(self.examples, chosen, strict=True)],
        )


def unread_ratios(
    policy: Policy, examples: Sequence[PromptExamples], names: Collection[str], first: int, report: Reporter
) -> dict[str, np.ndarray]:
    """Return log q - log p0 of replies that were not read to prompts that were, (reply,) by the id of the prompt.

    Args:
        policy: the tuned model and the base model.
        examples: the prompts that were tuned on.
        names: ids of the prompts that are wanted; one without further replies is left out.
        first: number of the first reply that was not read.
        report: called after each prompt.
    """
    chosen = [example for example in examples if example.name in names and len(example.replies) > first]
    ratios = {}
    steps = StageProgress("reading", 0, len(chosen), report)
    for example in chosen:
        rows = range(first, min(first + UNREAD_REPLIES, len(example.replies)))
        ratios[example.name] = policy.log_ratios(example, rows)
        steps.advance()
    return ratios


def reply_seconds(policy: Policy, examples: Sequence[PromptExamples]) -> float:
    """Return the seconds that the models take to read a reply, measured on a prompt with replies of middle length."""
    middle = sorted(examples, key=lambda example: sum(map(len, example.replies)))[len(examples) // 2]
    rows = range(min(UNREAD_REPLIES, len(middle.replies)))
    began = time.perf_counter()
    policy.log_ratios(middle, rows)
    return (time.perf_counter() - began) / len(rows)
