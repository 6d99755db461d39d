"""Choose the replies whose labels narrow the interval of a level most, and estimate how many labels are needed.

The influence of a reply's label on the level is P_k times its difference from the calibrated scorer's prediction, whose
expected size is P_k (g_k (1 - g_k))^1/2. Within a prompt, replies are drawn with probabilities proportional to that,
and the probability is stored with the label, so that :func:`map_core.calibration.delivered.people_level` can weight it.
Prompts are drawn at random among those without labels, since labels of different prompts are independent.

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

#: Average number of replies to label per prompt.
PER_PROMPT = 8
#: Minimum probability of a reply, as a share of the largest of its prompt.
_MIN_SHARE = 0.05


@dataclass(frozen=True)
class LabelRequest:
    """A reply to be labelled.

    Args:
        prompt_id, candidate: identify the reply, by its number among its prompt's candidates.
        chance: probability with which it was chosen among its prompt's replies; goes into the label's ``chance``.
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
        table: the table of the replies.
        oracle: the table's oracle, for base levels and scales.
        labels: the existing labels; the value's name where there are none, or too few to calibrate its scorer.
        weights: (value,) x of the palette.
        prompts: number of prompts, none of which has labels of this value yet; fewer if fewer are left.
        seed: of the draw.
        per_prompt: average number of replies per prompt.
        among: (prompt,) bool, prompts that may be drawn; all by default.
    """
    rng = np.random.default_rng(seed)
    sizes = tilt_probabilities(table, oracle, weights)
    eligible = np.ones(len(table.prompts), dtype=bool) if among is None else np.array(among, dtype=bool)
    if not isinstance(labels, str):
        eligible[labels.prompts] = False
        j = table.index(labels.value)
        z = (table.rewards[:, j] - oracle.base[j]) / oracle.scale[j]
        predicted = calibration_of(table, oracle, labels).probability(z)
        sizes = sizes * np.sqrt(predicted * (1 - predicted))
    order = rng.permutation(np.flatnonzero(eligible))[:prompts]
    requests = []
    for prompt in order:
        rows = table.rows(int(prompt))
        chances = inclusion_chances(sizes[rows], per_prompt)
        drawn = np.flatnonzero(rng.random(len(chances)) < chances)
        requests += [
            LabelRequest(table.prompt_ids[prompt], table.candidate_of(rows.start + int(place)), float(chances[place]))
            for place in drawn
        ]
    return tuple(requests)


def inclusion_chances(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Return (reply,) inclusion probabilities, at most 1 each, proportional to sizes and with sum ``wanted``.

    Example:
        >>> inclusion_chances(np.array([1.0, 1.0, 2.0, 8.0]), 2).round(3)
        array([0.25, 0.25, 0.5 , 1.  ])
    """
    if wanted >= len(sizes):
        return np.ones(len(sizes))
    floored = np.maximum(sizes, _MIN_SHARE * sizes.max()) if sizes.max() > 0 else np.ones(len(sizes))
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
    """Estimate how many more labels bring an interval to a half-width, which shrinks with the root of their number.

    Args:
        level: the present estimate.
        half_width: the wanted half-width, as a share, above 0.
    """
    present = (level.high - level.low) / 2
    return max(0, math.ceil(level.labels * ((present / half_width) ** 2 - 1)))
