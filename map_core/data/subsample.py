"""What a generator with fewer candidates than the table holds can choose from: each prompt's replies, dealt in hands.

A generator that draws K candidates for a prompt chooses among K, so the forecast for it is that of a table with K
replies a prompt. Such a table is made of random subsets: each prompt's replies are shuffled and dealt into hands of K,
and shuffled again when they run out. Every hand is a prompt of the new table. Dealing without putting back keeps
base levels and adds less noise than drawing each hand anew. Constraint: levels and targets are in reward units, which
both tables share.
"""

from __future__ import annotations

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError


def deal(table: RewardTable, candidates: int, *, hands: int = 8, seed: int = 0) -> RewardTable:
    """The table of a generator that draws so many candidates for a prompt.

    Args:
        table: replies of the base model; a prompt with no more replies than ``candidates`` is one hand, every time.
        candidates: K, at least 1.
        hands: how many hands each prompt deals, at least 1; the same for all prompts, which so count the same.
        seed: of the shuffling.

    Returns:
        A table without texts of replies, with ``hands`` prompts for each prompt; the table itself when no prompt has
        more than K replies.

    Raises:
        InputError: K or the number of hands is below 1.

    Example:
        >>> deal(table, 16).candidates.max()  # doctest: +SKIP
        16
    """
    for name, given in (("candidates", candidates), ("hands", hands)):
        if given < 1:
            raise InputError(f"{name} is {given}; expected a whole number from 1.")
    counts = table.candidates
    if counts.max() <= candidates:
        return table
    rng = np.random.default_rng(seed)
    rows = []
    for prompt, count in enumerate(counts):
        size = min(candidates, int(count))
        a_deal = int(count) // size
        deals = [rng.permutation(count)[: a_deal * size].reshape(a_deal, size) for _ in range(-(-hands // a_deal))]
        rows += list(np.sort(np.concatenate(deals)[:hands] + table.offsets[prompt], axis=1))
    sizes = np.array([len(hand) for hand in rows])
    prompts = np.repeat(np.arange(len(counts)), hands)
    return RewardTable(
        values=table.values,
        rewards=table.rewards[np.concatenate(rows)],
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        prompt_ids=tuple(f"{table.prompt_ids[i]}/{number % hands + 1}" for number, i in enumerate(prompts)),
        prompts=tuple(table.prompts[i] for i in prompts),
        use_cases=tuple(table.use_cases[i] for i in prompts),
        metadata=table.metadata,
        weights=table.weights[prompts] if table.weights.size else table.weights,
        held_out=table.held_out[prompts] if table.held_out.size else table.held_out,
    )
