"""The cloud of the base model's replies behind a figure of two values, each reply as large as it counts.

Constraint: the points depend on how rewards are distributed and not on how often the table repeats a reply, so that a
table with weights and one with copies are drawn alike; and not on chance, so that every drawing shows the same cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from map_core.data.distribution import reply_masses
from map_core.data.reward_table import RewardTable
from map_core.text.units import Units

#: Replies drawn behind the contours; more are only slower to draw.
MAX_REPLIES = 1200
#: Diameter, in pixels, of a point that counts as much as points do on average, and of those that count least and most.
SIZE, LEAST_SIZE, MOST_SIZE = 4.0, 2.0, 14.0


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of a cloud.

    Args:
        x, y: (point,) in the unit of the axes.
        size: (point,) diameters in pixels; their squares go with how much a point counts.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray


def cloud(table: RewardTable, units: Units, pair: tuple[int, int]) -> Cloud:
    """Choose and place the points.

    Replies with the same two rewards are one point. Where there are more points than :data:`MAX_REPLIES`, so many are
    taken at equal steps of what counts before each of them, in order of the rewards.

    Args:
        table: whose replies are drawn; held-out ones are not.
        units: of both axes.
        pair: positions of the value across and the value upwards.
    """
    masses = reply_masses(table, units.oracle.form)
    counted = np.arange(len(table.rewards)) if masses is None else np.flatnonzero(masses)
    of_reply = np.full(len(counted), 1.0 / len(counted)) if masses is None else masses[counted]
    at = table.rewards[counted][:, list(pair)]
    order = np.lexsort((at[:, 1], at[:, 0]))
    at = at[order]
    begins = np.flatnonzero(np.concatenate([[True], np.any(at[1:] != at[:-1], axis=1)]))
    mass = np.add.reduceat(of_reply[order], begins)
    rows = counted[order][begins]
    copies = mass * len(rows)
    if len(rows) > MAX_REPLIES:
        steps = (np.arange(MAX_REPLIES) + 0.5) / MAX_REPLIES
        places = np.minimum(np.searchsorted(np.cumsum(mass), steps), len(rows) - 1)
        places, copies = np.unique(places, return_counts=True)
        rows = rows[places]
    size = np.clip(SIZE * np.sqrt(copies), LEAST_SIZE, MOST_SIZE)
    return Cloud(units.cloud(table, pair[0], rows), units.cloud(table, pair[1], rows), size)
