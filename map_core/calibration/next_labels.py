"""Which replies to label next so that a level in people's units narrows most, and how many labels it takes.

The influence of a reply's label on the level is P_k times what it may differ from the scorer's view; its expected size
is P_k (g_k (1 - g_k))^1/2. Replies are drawn with chances in proportion to that within a prompt, and the chance is kept
with the label, so that :func:`map_core.calibration.delivered.people_level` weighs it rightly. Prompts are drawn at
random among those without labels: each adds its own evidence.

Source: Neyman, 1934; Zrnic and Candes, "Active statistical inference", 2024 (arXiv 2403.03208).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from map_core.calibration.calibrate import calibration_of
from map_core.calibration.delivered import PeopleLevel, tilt_probabilities
from map_core.calibration.labels import ValueLabels
from map_core.data.reward_table import RewardTable
from map_core.oracle import Oracle

#: Labels a prompt, and the least chance of any reply, as a share of the largest.
PER_PROMPT, _LEAST = 8, 0.05


@dataclass(frozen=True)
class LabelRequest:
    """A reply to be labelled.

    Args:
        prompt_id, candidate: which one, by its number among its prompt's candidates.
        chance: with which it was chosen among its prompt's replies; goes into the label's ``chance``.
    """

    prompt_id: str
    candidate: int
    chance: float


def next_labels(
    table: RewardTable,
    oracle: Oracle,
    labels: ValueLabels | str,
    weights: np.ndarray,
    prompts: int = 10,
    seed: int = 0,
    *,
    per_prompt: int = PER_PROMPT,
    among: np.ndarray | None = None,
) -> tuple[LabelRequest, ...]:
    """Draw the replies to label next.

    Args:
        table: with the replies.
        oracle: its base level and scale.
        labels: those that there are; the value's name where there are none, or too few to calibrate its scorer.
        weights: (value,) x of the palette in question.
        prompts: of how many prompts, none of which has labels of this value yet; fewer where fewer are left.
        seed: of the draw.
        per_prompt: replies of each prompt, on average.
        among: (prompt,) bool, prompts that may be asked about; all by default.
    """
    rng = np.random.default_rng(seed)
    size = tilt_probabilities(table, oracle, weights)
    may = np.ones(len(table.prompts), dtype=bool) if among is None else np.array(among, dtype=bool)
    if not isinstance(labels, str):
        may[labels.prompts] = False
        j = table.index(labels.value)
        z = (table.rewards[:, j] - oracle.base[j]) / oracle.scale[j]
        said = calibration_of(table, oracle, labels).probability(z)
        size = size * np.sqrt(said * (1 - said))
    order = rng.permutation(np.flatnonzero(may))[:prompts]
    requests = []
    for prompt in order:
        rows = table.rows(int(prompt))
        chances = inclusion_chances(size[rows], per_prompt)
        drawn = np.flatnonzero(rng.random(len(chances)) < chances)
        requests += [
            LabelRequest(table.prompt_ids[prompt], table.candidate_of(rows.start + int(place)), float(chances[place]))
            for place in drawn
        ]
    return tuple(requests)


def inclusion_chances(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Return chances in proportion to sizes, (reply,), that add up to a number of replies; none above 1.

    Example:
        >>> inclusion_chances(np.array([1.0, 1.0, 2.0, 8.0]), 2).round(3)
        array([0.25, 0.25, 0.5 , 1.  ])
    """
    if wanted >= len(sizes):
        return np.ones(len(sizes))
    floored = np.maximum(sizes, _LEAST * sizes.max()) if sizes.max() > 0 else np.ones(len(sizes))
    chances = np.zeros(len(sizes))
    certain = np.zeros(len(sizes), dtype=bool)
    while True:
        left = wanted - int(certain.sum())
        chances = np.where(certain, 1.0, left * floored / floored[~certain].sum())
        over = (chances > 1) & ~certain
        if not over.any():
            return np.minimum(chances, 1.0)
        certain |= over


def labels_needed(level: PeopleLevel, half_width: float) -> int:
    """Return how many more labels bring an interval to a half-width, by the square root of their number.

    Args:
        level: as it is measured now.
        half_width: wanted, as a share, above 0.
    """
    now = (level.high - level.low) / 2
    return max(0, math.ceil(level.labels * ((now / half_width) ** 2 - 1)))
