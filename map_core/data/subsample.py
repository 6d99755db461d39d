"""Make the table of a generator that draws fewer candidates than the table holds, from random subsets of replies.

A generator that draws K candidates for a prompt chooses among K, so its forecast is that of a table with K replies per
prompt. Each prompt's replies are shuffled and split into disjoint subsets of K, and shuffled again when they are used
up; every subset is a prompt of the new table. Sampling without replacement preserves base levels and adds less noise
than drawing each subset independently. Constraint: levels and targets are in reward units, which both tables share.
"""

from __future__ import annotations

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError


def subsample_candidates(table: RewardTable, candidates: int, *, subsets: int = 8, seed: int = 0) -> RewardTable:
    """Return the table of a generator that draws K candidates for a prompt.

    Args:
        table: replies of the base model; for a prompt with at most K replies every subset has all of them.
        candidates: K, at least 1.
        subsets: number of subsets per prompt, at least 1; the same for all, so that prompts keep their weights.
        seed: of the shuffling.

    Returns:
        A table without reply texts, with ``subsets`` prompts for each prompt; the table itself when no prompt has more
        than K replies.

    Raises:
        InputError: K or the number of subsets is below 1.

    Example:
        >>> subsample_candidates(table, 16).candidates.max()  # doctest: +SKIP
        16
    """
    for name, number in (("candidates", candidates), ("subsets", subsets)):
        if number < 1:
            raise InputError(f"{name} is {number}; expected a whole number from 1.")
    counts = table.candidates
    if counts.max() <= candidates:
        return table
    if table.derived:
        plain = subsample_candidates(table.without_columns(), candidates, subsets=subsets, seed=seed)
        prompts = np.repeat(np.arange(len(counts)), subsets)
        return plain.with_columns([column.at_prompts(prompts) for column in table.derived])
    rng = np.random.default_rng(seed)
    rows = []
    for prompt, count in enumerate(counts):
        size = min(candidates, int(count))
        disjoint = int(count) // size
        shuffles = -(-subsets // disjoint)
        cuts = [rng.permutation(count)[: disjoint * size].reshape(disjoint, size) for _ in range(shuffles)]
        rows += list(np.sort(np.concatenate(cuts)[:subsets] + table.offsets[prompt], axis=1))
    sizes = np.array([len(subset) for subset in rows])
    prompts = np.repeat(np.arange(len(counts)), subsets)
    return RewardTable(
        values=table.values,
        rewards=table.rewards[np.concatenate(rows)],
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        prompt_ids=tuple(f"{table.prompt_ids[i]}/{k % subsets + 1}" for k, i in enumerate(prompts)),
        prompts=tuple(table.prompts[i] for i in prompts),
        use_cases=tuple(table.use_cases[i] for i in prompts),
        metadata=table.metadata,
        weights=table.weights[prompts] if table.weights.size else table.weights,
        held_out=table.held_out[prompts] if table.held_out.size else table.held_out,
        labels={name: tuple(entries[i] for i in prompts) for name, entries in table.labels.items()},
    )
