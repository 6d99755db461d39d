"""Convert levels from standard deviations above base to the units of an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from map_core.core import amounts
from map_core.data.distribution import Percentiles
from map_core.data.reward_table import RewardTable
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.wording import NUMBERS, Wording

Unit = Literal["percentile", "reward"]


@dataclass(frozen=True, eq=False)
class Units:
    """The units in which levels are shown.

    Args:
        oracle: base level and scale.
        percentiles: of the base model's replies.
        unit: percentiles of those replies, or rewards as the scorer gives them.
        names: of the values, as people read them.
        wording: with numbers, or in everyday words.
        shares: positions whose levels are numbers of 100 replies.
    """

    oracle: Oracle
    percentiles: Percentiles
    unit: Unit
    names: Sequence[str]
    wording: Wording = NUMBERS
    shares: frozenset[int] = frozenset()

    def of(self, value: int, levels: np.ndarray) -> np.ndarray:
        """Convert standardised levels of one value, of any shape, to this unit."""
        levels = np.asarray(levels, dtype=float)
        if self.unit == "reward":
            return self.oracle.base[value] + levels * self.oracle.scale[value]
        return np.array([self.percentile(value, float(level)) for level in levels.ravel()]).reshape(levels.shape)

    def percentile(self, value: int, level: float) -> float:
        """Return one standardised level as a percentile of the base model's replies; NaN for one that is not finite."""
        if not math.isfinite(level):
            return math.nan
        # Slightly below: where many replies tie (a diversity of exactly 1) their percentile would be the middle of the
        # tie, and a level that rounding puts on either side of it would jump.
        scale = float(self.oracle.scale[value])
        return self.percentiles.percentile_of(value, float(self.oracle.base[value]) + level * scale - 1e-9 * scale)

    def axis(self, value: int) -> str:
        """Return the title of an axis of this value."""
        name = self.names[value][:1].upper() + self.names[value][1:]
        if self.unit == "reward":
            return f"{name} ({self.wording.pick('reward', 'score')})"
        return f"{name} ({self.wording.pick('percentile', 'out of 100')})"

    def level_text(self, value: int, level: float, toward: Literal["nearest", "down"] = "nearest") -> str:
        """Format one level, short enough for a label; percentiles that are a limit are rounded ``toward`` "down"."""
        amount = float(self.of(value, np.array(level)))
        if self.unit == "percentile":
            return self.wording.level(amount, toward=toward, share=value in self.shares)
        return amounts.significant(amount, 3)

    def level_meaning(self, value: int, level: float) -> str:
        """Format one level with its meaning, for a line of its own."""
        percentile = float(Units(self.oracle, self.percentiles, "percentile", self.names).of(value, np.array(level)))
        amount = (
            self.wording.level(percentile)
            if self.unit == "percentile"
            else f"{self.level_text(value, level)} ({self.wording.level(percentile)})"
        )
        return f"{amount}, {sentences.better_than(percentile)}"

    @property
    def hover(self) -> str:
        """Plotly's format of a level on the vertical axis of a figure in percentiles."""
        return f"{self.wording.mark}%{{y:.0f}}"

    def efforts(self, kl: np.ndarray | float) -> np.ndarray:
        """Convert distances from nats to the unit of an axis: nats, or percent of the most that can be spent."""
        nats = np.asarray(kl, dtype=float)
        most = self.oracle.log_candidates
        return nats if self.wording.numbers or most <= 0 else 100.0 * nats / most

    @property
    def effort_hover(self) -> str:
        """Plotly's format of a distance on the vertical axis."""
        return "%{y:.2f} nats" if self.wording.numbers else "effort %{y:.0f}% of the most"

    def cloud(self, table: RewardTable, value: int, rows: np.ndarray) -> np.ndarray:
        """Return the rewards of replies in this unit; percentiles are those of the replies that are not held out.

        Args:
            table: with the rewards.
            value: position of the value.
            rows: (row,) of the replies.
        """
        column = table.rewards[rows, value]
        return column if self.unit == "reward" else self.percentiles.first_percentiles(value, column)
