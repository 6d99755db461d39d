"""A palette as preference data: pairs of the table's replies, labelled with the palette's reward.

Two replies to a prompt are drawn without replacement, and the first is *chosen* with probability
sigma(lambda . (r_a - r_b)). These are Bradley-Terry labels for the reward lambda . r, so that the optimum of DPO with
beta = 1 is the aligned model p0 exp(lambda . r) / Z: DPO's implicit reward is beta log p / p0.

Source: Rafailov et al., "Direct preference optimization", NeurIPS 2023 (arXiv 2305.18290), equations 5 to 7. Columns:
TRL's preference format with an explicit prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError


def preference_pairs(
    table: RewardTable,
    weights: np.ndarray,
    *,
    pairs: int = 4,
    seed: int = 0,
    certificate: Mapping[str, Any] | None = None,
    palette: Mapping[str, float] | None = None,
    name: str = "",
) -> Iterator[dict[str, Any]]:
    """Yield records in TRL's conversational preference format, each with its rewards, weights and probability.

    Args:
        table: the rewards and the texts of the replies; held-out prompts are left out.
        weights: (value,) lambda, 1 / reward.
        pairs: pairs per prompt, at least 1; fewer where a prompt's replies have fewer different pairs.
        seed: seed of pairs and labels.
        certificate: entries about the palette that are added to every record's "certificate".
        palette: the palette's levels by value, which every record holds.
        name: the palette's name.

    Raises:
        InputError: the table has no texts, or fewer than one pair is asked for.
    """
    if not table.replies or pairs < 1:
        raise InputError(
            f"{pairs} pairs are asked for of {len(table.replies)} texts; expected one pair or more, and texts."
        )
    system = table.metadata.get("system")
    by_value = {value: float(weight) for value, weight in zip(table.values, weights, strict=True) if weight}
    for i in np.flatnonzero(table.counted).tolist():
        rows = np.arange(table.offsets[i], table.offsets[i + 1])
        rng = np.random.default_rng([seed, i])
        for first, second in _random_pairs(rows, pairs, rng):
            if table.replies[first] == table.replies[second]:
                continue
            probability = float(expit((table.rewards[first] - table.rewards[second]) @ weights))
            chosen, rejected = first, second
            if rng.random() >= probability:
                chosen, rejected, probability = second, first, 1.0 - probability
            system_message = [{"role": "system", "content": system}] if system else []
            yield {
                "prompt": [*system_message, {"role": "user", "content": table.prompts[i]}],
                "chosen": [{"role": "assistant", "content": table.replies[chosen]}],
                "rejected": [{"role": "assistant", "content": table.replies[rejected]}],
                "seed": seed,
                "palette": {"name": name, "targets": dict(palette or {})},
                "weights": by_value,
                "certificate": {
                    "probability": probability,
                    "rewards_chosen": _rewards(table, chosen),
                    "rewards_rejected": _rewards(table, rejected),
                    **(certificate or {}),
                },
            }


def _random_pairs(rows: np.ndarray, pairs: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield different pairs of replies; disjoint ones come first, because they carry the most information."""
    seen: set[frozenset[int]] = set()
    most = min(pairs, len(rows) * (len(rows) - 1) // 2)
    while len(seen) < most:
        order = rng.permutation(rows)
        for a, b in zip(order[::2].tolist(), order[1::2].tolist(), strict=False):
            if len(seen) < most and frozenset((a, b)) not in seen:
                seen.add(frozenset((a, b)))
                yield a, b


def _rewards(table: RewardTable, row: int) -> dict[str, float]:
    return {value: float(reward) for value, reward in zip(table.values, table.rewards[row], strict=True)}
