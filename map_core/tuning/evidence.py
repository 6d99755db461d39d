"""Replies that a tuning has not read: those to held-out prompts, with the model's levels, and those for rounds.

Constraint: nothing is sampled; the tuned model reads the base model's replies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.building.progress import Progress, Reporter
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
            places = np.linspace(0, len(numbers) - 1, max(most, 1)).astype(int)
            numbers = numbers[places[:most]]
        return cls(table.values, lam, make_examples(table, lam, tokenizer, numbers.tolist()))

    @property
    def enough(self) -> bool:
        """Whether there are prompts enough for an interval."""
        return len(self.examples) > 1

    def levels(self, policy: Policy, replies: int, report: Reporter | None = None) -> HeldOutLevels:
        """Compute the levels of a model from the first replies to each prompt."""
        chosen = [range(min(replies, len(example.replies))) for example in self.examples]
        ratios = []
        for number, (example, rows) in enumerate(zip(self.examples, chosen, strict=True)):
            ratios.append(policy.log_ratios(example, rows))
            if report is not None:
                report(Progress("checking", number + 1, len(self.examples), 0, 0.0))
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
        report: called before each prompt.
    """
    chosen = [example for example in examples if example.name in names and len(example.replies) > first]
    ratios = {}
    for number, example in enumerate(chosen):
        report(Progress("checking", number, len(chosen), 0, 0.0))
        rows = range(first, min(first + UNREAD_REPLIES, len(example.replies)))
        ratios[example.name] = policy.log_ratios(example, rows)
    return ratios
