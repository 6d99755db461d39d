"""The scatter of the base model's replies behind a figure of two values, each point's area by its weight.

Constraint: the points depend only on the distribution of rewards, so that a table with weights and one with repeated
replies are drawn alike; and they are not random, so that every drawing shows the same points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.data.distribution import reply_masses
from map_core.data.reward_table import RewardTable
from map_core.text.units import Units

#: Largest number of points; more would only be slower to draw.
MAX_REPLIES = 1200
#: Diameters, in pixels: of a point of average weight, the smallest, and the largest.
SIZE, LEAST_SIZE, MOST_SIZE = 4.0, 2.0, 14.0


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points to draw.

    Args:
        x, y: (point,) in the unit of the axes.
        size: (point,) diameters in pixels, proportional to the square root of the weight.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray


def cloud(table: RewardTable, units: Units, pair: tuple[int, int]) -> Cloud:
    """Choose the points and compute their coordinates and sizes.

    Replies with the same two rewards are one point. Where there are more points than :data:`MAX_REPLIES`, a
    systematic sample is drawn: in order of the rewards, at equal steps of the cumulative weight.

    Args:
        table: its replies are drawn, without held-out ones.
        units: of both axes.
        pair: positions of the value across and the value upwards.
    """
    masses = reply_masses(table, units.oracle.form)
    counted = np.arange(len(table.rewards)) if masses is None else np.flatnonzero(masses)
    reply_weights = np.full(len(counted), 1.0 / len(counted)) if masses is None else masses[counted]
    rewards = table.rewards[counted][:, list(pair)]
    order = np.lexsort((rewards[:, 1], rewards[:, 0]))
    rewards = rewards[order]
    starts = np.flatnonzero(np.concatenate([[True], np.any(rewards[1:] != rewards[:-1], axis=1)]))
    weight = np.add.reduceat(reply_weights[order], starts)
    rows = counted[order][starts]
    relative_weight = weight * len(rows)
    if len(rows) > MAX_REPLIES:
        steps = (np.arange(MAX_REPLIES) + 0.5) / MAX_REPLIES
        sample = np.minimum(np.searchsorted(np.cumsum(weight), steps), len(rows) - 1)
        sample, relative_weight = np.unique(sample, return_counts=True)
        rows = rows[sample]
    size = np.clip(SIZE * np.sqrt(relative_weight), LEAST_SIZE, MOST_SIZE)
    return Cloud(units.cloud(table, pair[0], rows), units.cloud(table, pair[1], rows), size)
