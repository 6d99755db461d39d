"""Replies to the same held-out prompts side by side: the base model's, one that is chosen, the tuned model's.

All three are picked by a seed, not by anybody's taste. Constraint: numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.generation.choice import choose
from map_core.tuning.examples import with_weighted_columns

#: Prompts that are shown.
SHOWN = 5
#: Characters of a reply that are kept.
MAX_REPLY_LENGTH = 4_000


@dataclass(frozen=True)
class SideBySide:
    """Three replies to a prompt.

    Args:
        prompt: what was asked.
        base: any one of the base model's candidates.
        chosen: the candidate that is picked by the weights.
        tuned: the first reply of the tuned model.
    """

    prompt: str
    base: str
    chosen: str
    tuned: str

    def as_dict(self) -> dict[str, str]:
        """Return plain JSON values."""
        return asdict(self)


def side_by_side(
    weights: Mapping[str, float], table: RewardTable, fresh: RewardTable, seed: int = 0
) -> tuple[SideBySide, ...]:
    """Return replies to the first prompts.

    Args:
        weights: lambda by value, 1/reward.
        table: the base model's replies to held-out prompts.
        fresh: the tuned model's replies to the same prompts.
        seed: of the picks.

    Raises:
        InputError: one of the tables has no texts.
    """
    if not table.replies or not fresh.replies:
        raise InputError("A table without the texts of its replies has none to show side by side.")
    table = with_weighted_columns(table, weights)
    lam = np.array([weights.get(name, 0.0) for name in table.values])
    rows = []
    for number, prompt in enumerate(table.prompts[:SHOWN]):
        texts = table.replies[table.rows(number)]
        choice = choose(table.rewards[table.rows(number)], lam, seed + number)
        tuned = fresh.replies[fresh.rows(number)][0]
        shown = (texts[choice.base], texts[choice.picked], tuned)
        rows.append(SideBySide(prompt, *(text[:MAX_REPLY_LENGTH] for text in shown)))
    return tuple(rows)
