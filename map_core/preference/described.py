"""What choices come to, and the pair to ask about next, as plain JSON values: of the command and of the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from map_core.data.reward_table import RewardTable
from map_core.data.shown_replies import shown_reply
from map_core.oracle import Oracle
from map_core.preference.choices import PairChoice
from map_core.preference.found import FoundPalette, found_palette
from map_core.preference.pairs import fit, next_pair, pair_pool
from map_core.preference.records import reply_ids
from map_core.scoring.pairwise import PairAnswer


def described(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], seed: int = 0) -> dict[str, Any]:
    """Return the palette of some choices, levels in reward units and weights in 1/reward, and the next pair.

    Args:
        table: whose replies were shown.
        oracle: its moments.
        choices: the first one first; none for the first pair.
        seed: of the intervals, and which pairs are looked at.

    Raises:
        InputError: the table has no pair of replies that can be shown.
    """
    found = found_palette(table, oracle, choices, seed)
    return palette_described(found, oracle) | {"next": _next(table, oracle, choices, seed)}


def palette_described(found: FoundPalette, oracle: Oracle) -> dict[str, Any]:
    """Return a palette that was found by choosing, levels in reward units and weights in 1/reward."""
    base = oracle.base
    targets, weights = oracle.rewards_at(found.targets), found.weights / oracle.scale
    low, high = oracle.rewards_at(found.low), oracle.rewards_at(found.high)
    asked_for = [(name, j) for j, name in enumerate(oracle.values) if targets[j] == targets[j]]
    return {
        "choices": found.decided + found.undecided,
        "decided": found.decided,
        "explained": found.explained,
        "evidence": {name: said.value for name, said in zip(oracle.values, found.evidence, strict=True)},
        "targets": {name: float(targets[j]) for name, j in asked_for},
        "weights": {name: float(weight) for name, weight in zip(oracle.values, weights, strict=True)},
        "levels": {name: [float(low[j]), float(high[j])] for j, name in enumerate(oracle.values)},
        "base": {name: float(level) for name, level in zip(oracle.values, base, strict=True)},
        "kl": found.kl,
        "shortened": found.shortened,
    }


def _next(table: RewardTable, oracle: Oracle, choices: Sequence[PairChoice], seed: int) -> dict[str, Any] | None:
    """Return the next pair with its texts; None where every pair was asked about."""
    pair = next_pair(pair_pool(table, oracle), fit(table, oracle, choices), choices, seed)
    if pair is None:
        return None
    asked = reply_ids(table, PairChoice(*pair, PairAnswer.NEITHER))
    del asked["answer"]
    return asked | {
        "prompt": table.prompts[table.prompt_of(pair[0])],
        "replies": [shown_reply(table, row) for row in pair],
    }
