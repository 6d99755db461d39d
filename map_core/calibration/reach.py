"""How far judgements reach: how many of them lie where a palette's replies score, and what share lies beyond them.

With bins of the scorer's reward, q_b the tilted probability of bin b and n_b its labels, a label of the bin weighs
w = q_b / n_b, the density of the tilt against that of the labels, and

    effective = (sum w)^2 / sum w^2 = (sum_b q_b)^2 / sum_b (q_b^2 / n_b)        over bins that have labels

Bins are tenths of the tilted replies, fewer where there are few labels. Constraint: what was said does not matter here,
only of which replies; labels of one prompt count one by one.

Source: Kish, "Survey Sampling", 1965; Shimodaira, "Improving predictive inference under covariate shift", 2000;
docs/judgement.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from map_core.calibration.labels import labels_of_prompts
from map_core.data.reward_table import RewardTable
from map_core.feasibility.reply_distributions import reply_probabilities
from map_core.oracle import Oracle
from map_core.scoring.validation import Label, label_rows

#: Most bins, and the labels that each further bin takes.
BINS, LABELS_A_BIN = 10, 4
#: Labels below which a bin counts as hardly judged.
HARDLY = 3
#: Few labels: fewer than this are effective, or more than this share of the replies score where hardly any was judged.
FEW, FEW_SHARE = 30, 0.15


@dataclass(frozen=True)
class LabelReach:
    """How far the labels of a value reach under weights.

    Args:
        value: its name.
        labels: replies that were judged on it; 0 where none was.
        effective: number of labels that stand behind the value's level, at most ``labels``.
        outside: share of the replies whose reward lies below the lowest or above the highest that was judged, 0 to 1.
        hardly: share of the replies that score there or in a bin with fewer than :data:`HARDLY` labels, 0 to 1.
    """

    value: str
    labels: int
    effective: float
    outside: float
    hardly: float

    @property
    def few(self) -> bool:
        """Whether the palette leans where labels are few; not said of a value that nobody labelled."""
        return self.labels > 0 and (self.effective < FEW or self.hardly > FEW_SHARE)


def label_reach(
    table: RewardTable, oracle: Oracle, labels: Sequence[Label], weights: np.ndarray, values: Collection[str]
) -> dict[str, LabelReach]:
    """Measure how far labels reach, value by value.

    Args:
        table: a table, or a part of one, with the columns that its oracle has.
        oracle: of the table.
        labels: of the whole table's replies; those of other prompts do not count.
        weights: (value,) x, in nats per standard deviation.
        values: names of the table's values that are asked about.

    Raises:
        InputError: a label is of a reply that the table does not have, or it lacks a value.
    """
    given = labels_of_prompts(table, labels)
    rows = np.array(label_rows(table, given), dtype=np.int64)
    masses = reply_probabilities(table, oracle, weights)
    reaches = {}
    for value in values:
        judged = np.unique(rows[[value in label.labels for label in given]]) if len(given) else rows
        reaches[value] = _reach(value, table.rewards[:, table.index(value)], masses, judged)
    return reaches


def _reach(value: str, rewards: np.ndarray, masses: np.ndarray, judged: np.ndarray) -> LabelReach:
    count = len(judged)
    if not count:
        return LabelReach(value, 0, 0.0, 1.0, 1.0)
    bins = max(2, min(BINS, count // LABELS_A_BIN))
    order = np.argsort(rewards, kind="stable")
    place = np.searchsorted(np.cumsum(masses[order]), np.arange(1, bins) / bins - 1e-12)
    edges = np.unique(rewards[order][np.minimum(place + 1, len(rewards) - 1)])
    of_reply = np.searchsorted(edges, rewards, side="right")
    share = np.bincount(of_reply, masses, minlength=len(edges) + 1)
    found = np.bincount(of_reply[judged], minlength=len(edges) + 1)
    with_labels = found > 0
    covered = float(share[with_labels].sum())
    spread = float((share[with_labels] ** 2 / found[with_labels]).sum())
    lowest, highest = rewards[judged].min(), rewards[judged].max()
    beyond = (rewards < lowest) | (rewards > highest)
    hardly = beyond | (found < HARDLY)[of_reply]
    return LabelReach(
        value,
        count,
        covered**2 / spread if spread > 0 else 0.0,
        float(masses[beyond].sum()),
        float(masses[hardly].sum()),
    )


def promised_values(table: RewardTable, targets: np.ndarray) -> tuple[str, ...]:
    """Return the values that a palette promises something of: with a target, or behind a column that has one.

    Args:
        table: with the columns of the palette.
        targets: (value,) of it, NaN for free values.
    """
    derived = {column.name: column.value for column in table.derived}
    asked = (name for name, target in zip(table.values, targets, strict=True) if not np.isnan(target))
    return tuple(dict.fromkeys(derived.get(name, name) for name in asked))
