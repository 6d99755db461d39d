"""Replies of a few prompts, straight from the table: what base and aligned model would say.

The prompts are drawn by chance, as many of each use case as there are places, so that nothing is picked for its looks.
Held-out and hidden prompts are none of them.
Constraint: a reply comes from the table as it is; no model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.analysis.examples import ReplyExample, reply_example
from map_core.data.reward_table import RewardTable
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class SampleReply:
    """One prompt with a reply of each model, and the use case that it belongs to."""

    use_case: str
    example: ReplyExample


def draw_samples(
    table: RewardTable, oracle: Oracle, weights: np.ndarray, wanted: int, seed: int = 0
) -> tuple[SampleReply, ...]:
    """Draw a sample of prompts, each with a typical base reply and its likeliest aligned reply.

    Args:
        table: with texts of the replies; without them there are no samples.
        oracle: its base levels and scale.
        weights: (value,) x, in nats per standard deviation.
        wanted: prompts, fewer where the table has no more with a choice between replies.
        seed: of the draw of prompts.
    """
    if not any(table.replies):
        return ()
    chosen = _spread(table, wanted, np.random.default_rng(seed))
    return tuple(SampleReply(table.use_cases[i], reply_example(table, oracle, weights, i)) for i in chosen)


def _spread(table: RewardTable, wanted: int, rng: np.random.Generator) -> list[int]:
    """Return prompts with a choice of replies, one of each use case in turn, in a random order within each."""
    queues: dict[str, list[int]] = {name: [] for name in table.use_case_names}
    for i in rng.permutation(np.flatnonzero((table.candidates > 1) & table.shown)):
        queues[table.use_cases[i]].append(int(i))
    chosen: list[int] = []
    while len(chosen) < wanted and any(queues.values()):
        for queue in queues.values():
            if queue and len(chosen) < wanted:
                chosen.append(queue.pop())
    return chosen
