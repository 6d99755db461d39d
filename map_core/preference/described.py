"""Return the palette of choices and the next pair as plain JSON values, for the command and the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import shown_reply
from map_core.oracle import Oracle
from map_core.preference.choices import PairChoice
from map_core.preference.found import FoundPalette, found_palette
from map_core.preference.pairs import fit, next_pair, pair_pool
from map_core.preference.records import reply_ids
from map_core.scoring.pairwise import PairAnswer


def described(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], seed: int = 0) -> dict[str, Any]:
    """Return the palette of choices, levels in reward units and weights in 1/reward, and the next pair.

    Args:
        table: whose replies were shown.
        oracle: its moments.
        choices: in order; none for the first pair.
        seed: of the intervals and of the pairs that are considered.

    Raises:
        InputError: the table has no pair of replies that can be shown.
    """
    palette = found_palette(table, oracle, choices, seed)
    return palette_described(palette, oracle) | {"next": _next(table, oracle, choices, seed)}


def palette_described(palette: FoundPalette, oracle: Oracle) -> dict[str, Any]:
    """Return a palette inferred from choices, levels in reward units and weights in 1/reward."""
    targets, weights = oracle.rewards_at(palette.targets), palette.weights / oracle.scale
    low, high = oracle.rewards_at(palette.low), oracle.rewards_at(palette.high)
    return {
        "choices": palette.decided + palette.undecided,
        "decided": palette.decided,
        "explained": palette.explained,
        "evidence": {name: item.value for name, item in zip(oracle.values, palette.evidence, strict=True)},
        "targets": {name: float(targets[j]) for j, name in enumerate(oracle.values) if not np.isnan(targets[j])},
        "weights": {name: float(weight) for name, weight in zip(oracle.values, weights, strict=True)},
        "levels": {name: [float(low[j]), float(high[j])] for j, name in enumerate(oracle.values)},
        "base": {name: float(level) for name, level in zip(oracle.values, oracle.base, strict=True)},
        "kl": palette.kl,
        "shortened": palette.shortened,
    }


def _next(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], seed: int) -> dict[str, Any] | None:
    """Return the next pair with its texts; None where every pair was asked about."""
    pair = next_pair(pair_pool(table, oracle), fit(table, oracle, choices), choices, seed)
    if pair is None:
        return None
    ids = reply_ids(table, PairChoice(*pair, PairAnswer.NEITHER))
    del ids["answer"]
    return ids | {
        "prompt": table.prompts[table.prompt_of(pair[0])],
        "replies": [shown_reply(table, row) for row in pair],
    }
