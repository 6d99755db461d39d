"""A palette as preference data: pairs of the table's replies, labelled as the palette would choose.

Two replies to a prompt are drawn without replacement, and the first is *chosen* with probability
sigma(lambda . (r_a - r_b)). Those are labels of Bradley and Terry with the reward lambda . r, and of all policies the
tilt p0 exp(lambda . r) is the one that DPO with beta = 1 fits best: its implicit reward is beta log p / p0.

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
    """Yield records of TRL's conversational preference format, with what stands behind each.

    Args:
        table: with the texts of its replies; prompts that are held out are left out.
        weights: (value,) lambda, 1/reward.
        pairs: of each prompt, at least 1; a prompt has no more than its replies allow without a repeated pair.
        seed: of pairs and labels.
        certificate: what is known of the palette, put into every record.
        palette: its levels by value, likewise.
        name: of the palette.

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
        for a, b in _drawn(rows, pairs, rng):
            if table.replies[a] == table.replies[b]:
                continue
            chance = float(expit((table.rewards[a] - table.rewards[b]) @ weights))
            if rng.random() >= chance:
                a, b, chance = b, a, 1.0 - chance  # noqa: PLW2901
            before = [{"role": "system", "content": system}] if system else []
            yield {
                "prompt": [*before, {"role": "user", "content": table.prompts[i]}],
                "chosen": [{"role": "assistant", "content": table.replies[a]}],
                "rejected": [{"role": "assistant", "content": table.replies[b]}],
                "seed": seed,
                "palette": {"name": name, "targets": dict(palette or {})},
                "weights": by_value,
                "certificate": {
                    "probability": chance,
                    "rewards_chosen": _rewards(table, a),
                    "rewards_rejected": _rewards(table, b),
                    **(certificate or {}),
                },
            }


def _drawn(rows: np.ndarray, pairs: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield disjoint pairs of replies first, as they say most; others when these run out, none twice."""
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
