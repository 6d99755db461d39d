"""How well labels cover the replies that a palette picks: their effective number, and the share of replies without any.

With bins of the scorer's reward, q_b the tilted probability of bin b and n_b its labels, a label in the bin has the
weight w = q_b / n_b, the density ratio of the tilt to the labels, and

    effective = (sum w)^2 / sum w^2 = (sum_b q_b)^2 / sum_b (q_b^2 / n_b)        over bins that have labels

Bins are tenths of the tilted replies, fewer where there are few labels. Constraint: only which replies were labelled
matters here, not the labels themselves; labels of one prompt count separately.

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

#: Maximum number of bins, and minimum number of labels per bin.
BINS, LABELS_A_BIN = 10, 4
#: A bin with fewer labels than this counts as hardly judged.
HARDLY = 3
#: Labels are few if their effective number is smaller, or if a larger share of the replies is hardly judged.
FEW, FEW_SHARE = 30, 0.15


@dataclass(frozen=True)
class LabelReach:
    """How well the labels of a value cover the replies under weights.

    Args:
        value: its name.
        labels: number of replies that were judged on it.
        effective: effective number of labels, at most ``labels``.
        outside: share of the replies whose reward is below the lowest or above the highest judged one, 0 to 1.
        hardly: share of the replies whose reward is there or in a bin with fewer than :data:`HARDLY` labels, 0 to 1.
    """

    value: str
    labels: int
    effective: float
    outside: float
    hardly: float

    @property
    def few(self) -> bool:
        """Whether the palette relies on rewards with few labels; False for a value without labels."""
        return self.labels > 0 and (self.effective < FEW or self.hardly > FEW_SHARE)


def label_reach(
    table: RewardTable, oracle: Oracle, labels: Sequence[Label], weights: np.ndarray, values: Collection[str]
) -> dict[str, LabelReach]:
    """Measure how well labels cover the replies, for each value.

    Args:
        table: a table, or a part of one, with the columns that its oracle has.
        oracle: the table's oracle.
        labels: labels of the whole table's replies; those of other prompts are ignored.
        weights: (value,) x, in nats per standard deviation.
        values: names of the table's values to measure.

    Raises:
        InputError: the table lacks a labelled reply or one of the values.
    """
    table_labels = labels_of_prompts(table, labels)
    rows = np.array(label_rows(table, table_labels), dtype=np.int64)
    masses = reply_probabilities(table, oracle, weights)
    reaches = {}
    for value in values:
        judged = np.unique(rows[[value in label.labels for label in table_labels]]) if len(table_labels) else rows
        reaches[value] = _reach(value, table.rewards[:, table.index(value)], masses, judged)
    return reaches


def _reach(value: str, rewards: np.ndarray, masses: np.ndarray, judged: np.ndarray) -> LabelReach:
    count = len(judged)
    if not count:
        return LabelReach(value, 0, 0.0, 1.0, 1.0)
    bins = max(2, min(BINS, count // LABELS_A_BIN))
    order = np.argsort(rewards, kind="stable")
    quantiles = np.searchsorted(np.cumsum(masses[order]), np.arange(1, bins) / bins - 1e-12)
    edges = np.unique(rewards[order][np.minimum(quantiles + 1, len(rewards) - 1)])
    bin_of_reply = np.searchsorted(edges, rewards, side="right")
    share = np.bincount(bin_of_reply, masses, minlength=len(edges) + 1)
    label_counts = np.bincount(bin_of_reply[judged], minlength=len(edges) + 1)
    with_labels = label_counts > 0
    covered = float(share[with_labels].sum())
    spread = float((share[with_labels] ** 2 / label_counts[with_labels]).sum())
    lowest, highest = rewards[judged].min(), rewards[judged].max()
    beyond = (rewards < lowest) | (rewards > highest)
    hardly = beyond | (label_counts < HARDLY)[bin_of_reply]
    return LabelReach(
        value,
        count,
        covered**2 / spread if spread > 0 else 0.0,
        float(masses[beyond].sum()),
        float(masses[hardly].sum()),
    )


def promised_values(table: RewardTable, targets: np.ndarray) -> tuple[str, ...]:
    """Return the values that have a target, or from which a column with a target is derived.

    Args:
        table: with the columns of the palette.
        targets: (value,) the palette's targets, NaN for free values.
    """
    derived = {column.name: column.value for column in table.derived}
    targeted = (name for name, target in zip(table.values, targets, strict=True) if not np.isnan(target))
    return tuple(dict.fromkeys(derived.get(name, name) for name in targeted))
