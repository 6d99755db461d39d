"""Sample replies of base and aligned model to a few prompts, taken from the table.

The prompts are drawn at random, in turn from each use case, so that none is hand-picked. Held-out and hidden prompts
are never drawn.
Constraint: replies are the table's, unchanged; no model is called.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.analysis.examples import ReplyExample, reply_example
from map_core.data.reward_table import RewardTable
from map_core.oracle import Oracle


@dataclass(frozen=True, eq=False)
class SampleReply:
    """One prompt with a reply of each model, and its use case."""

    use_case: str
    example: ReplyExample


def draw_samples(
    table: RewardTable, oracle: Oracle, weights: np.ndarray, wanted: int, seed: int = 0
) -> tuple[SampleReply, ...]:
    """Draw a sample of prompts, each with a typical base reply and its likeliest aligned reply.

    Args:
        table: the rewards and the texts of the replies; without texts there are no samples.
        oracle: base levels and scale of the table.
        weights: (value,) x, in nats per standard deviation.
        wanted: number of prompts; fewer are drawn where fewer have two replies or more.
        seed: seed of the draw.
    """
    if not any(table.replies):
        return ()
    chosen = _spread(table, wanted, np.random.default_rng(seed))
    return tuple(SampleReply(table.use_cases[i], reply_example(table, oracle, weights, i)) for i in chosen)


def _spread(table: RewardTable, wanted: int, rng: np.random.Generator) -> list[int]:
    """Return prompts with two replies or more, one of each use case in turn, in random order within each."""
    queues: dict[str, list[int]] = {name: [] for name in table.use_case_names}
    for i in rng.permutation(np.flatnonzero((table.candidates > 1) & table.shown)):
        queues[table.use_cases[i]].append(int(i))
    chosen: list[int] = []
    while len(chosen) < wanted and any(queues.values()):
        for queue in queues.values():
            if queue and len(chosen) < wanted:
                chosen.append(queue.pop())
    return chosen
