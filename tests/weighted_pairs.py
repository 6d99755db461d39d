"""Pairs of tables with the same distribution of replies: with weights or held-out prompts, and with copies instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from map_core.data.reward_table import RewardTable
from tests.tables import make_table

#: The number of prompts of :func:`uneven_table`, and its targets.
COPIES = np.array([1, 3, 0, 2, 5, 1, 0, 4])
TARGETS = np.array([0.35, -0.1, np.nan])


def of_counts(counts: list[int], seed: int = 3, ties: bool = True) -> RewardTable:
    """Return a table with these numbers of replies, of three values, one with few distinct rewards."""
    table = make_table(prompts=len(counts), candidates=max(counts), values=("humor", "kindness", "stars"), seed=seed)
    rows = np.concatenate([np.arange(table.offsets[i], table.offsets[i] + count) for i, count in enumerate(counts)])
    rewards = table.rewards[rows].copy()
    if ties:
        rewards[:, 2] = np.round(rewards[:, 2])
    return replace(
        table,
        rewards=rewards,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        replies=tuple(table.replies[row] for row in rows),
        tokens=(),
        log_probs=np.empty(0),
    )


def with_prompts_copied(table: RewardTable, copies: Sequence[int]) -> RewardTable:
    return table.take(np.repeat(np.arange(len(copies)), copies).tolist())


def with_replies_repeated(table: RewardTable, repeats: list[int]) -> RewardTable:
    rows = np.concatenate([np.tile(np.arange(len(table.rewards))[table.rows(i)], n) for i, n in enumerate(repeats)])
    return replace(
        table,
        rewards=table.rewards[rows],
        offsets=np.concatenate([[0], np.cumsum(table.candidates * repeats)]),
        replies=tuple(table.replies[row] for row in rows),
    )


PAIRS = {
    "weights": (
        replace(of_counts([5] * 6), weights=np.array([1.0, 2, 3, 1, 4, 1])),
        with_prompts_copied(of_counts([5] * 6), [1, 2, 3, 1, 4, 1]),
    ),
    "shares": (
        replace(of_counts([4] * 3), weights=np.array([0.3, 0.2, 0.5])),
        with_prompts_copied(of_counts([4] * 3), [3, 2, 5]),
    ),
    "held out": (
        replace(of_counts([5] * 4), held_out=np.array([False, True, False, True])),
        of_counts([5] * 4).take([0, 2]),
    ),
    "ragged": (of_counts([2, 8, 4]), with_replies_repeated(of_counts([2, 8, 4]), [4, 1, 2])),
    "ragged and weighted": (
        replace(of_counts([2, 6]), weights=np.array([1.0, 2.0])),
        with_prompts_copied(with_replies_repeated(of_counts([2, 6]), [3, 1]), [1, 2]),
    ),
}


def uneven_table() -> RewardTable:
    """Return a table whose prompts differ in level and in variance."""
    rng = np.random.default_rng(0)
    sizes = (4, 6, 3, 5, 4, 7, 2, 6)
    rows = [
        rng.normal(rng.normal(size=3), rng.uniform(0.5, 2.0, size=3), size=(size, 3)) * (1, 50, 0.01) for size in sizes
    ]
    names = tuple(f"p{n}" for n in range(len(sizes)))
    return RewardTable(
        values=("a", "b", "c"),
        rewards=np.vstack(rows),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        prompt_ids=names,
        prompts=names,
        use_cases=("u", "v") * (len(sizes) // 2),
    )


def weighted(table: RewardTable) -> RewardTable:
    """Give each prompt the weight of its copies; prompts without a copy are held out."""
    return replace(table, weights=np.where(COPIES > 0, COPIES, 9.0), held_out=COPIES == 0)
