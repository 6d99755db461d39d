"""What all figures share: one colour a value, the units of an axis, the look.

Colours are from the set of Okabe and Ito, chosen to be told apart by people with any colour vision and readable on
white as on black; dashes repeat what they say. Source: Okabe and Ito, "Color Universal Design", 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from scipy.stats import rankdata

from map_core.core import amounts
from map_core.text import sentences
from map_core.oracle import Oracle
from map_core.data.reward_table import RewardTable
from map_core.palettes.targets import Percentiles

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6FC0", "#9A7B4F")
DASHES = ("solid", "dash", "dot")
#: Reads on white and on black alike.
NEUTRAL = "#808A94"
ACCENT = "#C2410C"
Unit = Literal["percentile", "reward"]


_chosen: ContextVar[Mapping[int, str]] = ContextVar("chosen colours")


def choose(colours: Mapping[int, str]) -> None:
    """From here on, in this thread, values at these positions have colours that people chose for them."""
    _chosen.set(colours)


def colour(position: int) -> str:
    """The colour of the value at this position of the table, the same in every figure and on every page."""
    return _chosen.get({}).get(position) or COLOURS[position % len(COLOURS)]


def dash(position: int) -> str:
    """The line style of a value, which tells it apart without its colour."""
    return DASHES[position % len(DASHES)]


@dataclass(frozen=True, eq=False)
class Units:
    """From standard deviations above base to what people read on an axis.

    Args:
        oracle: base level and scale.
        percentiles: of the base model's replies.
        unit: percentiles of those replies, or rewards as the scorer gives them.
        names: of the values, as people read them.
    """

    oracle: Oracle
    percentiles: Percentiles
    unit: Unit
    names: Sequence[str]

    def of(self, value: int, levels: np.ndarray) -> np.ndarray:
        """Standardised levels of one value, any shape, in this unit."""
        levels = np.asarray(levels, dtype=float)
        if self.unit == "reward":
            return self.oracle.base[value] + levels * self.oracle.scale[value]
        return np.array([self.percentile(value, float(level)) for level in levels.ravel()]).reshape(levels.shape)

    def percentile(self, value: int, level: float) -> float:
        """One standardised level as a percentile of the base model's replies; NaN for one that is not finite."""
        if not math.isfinite(level):
            return math.nan
        # A hair below: where many replies tie (a diversity of exactly 1) their percentile would be the middle of the
        # tie, and a level that rounding puts on either side of it would jump.
        scale = float(self.oracle.scale[value])
        return self.percentiles.of_level(value, float(self.oracle.base[value]) + level * scale - 1e-9 * scale)

    def axis(self, value: int) -> str:
        """The title of an axis of this value."""
        name = self.names[value][:1].upper() + self.names[value][1:]
        return f"{name} (percentile)" if self.unit == "percentile" else f"{name} (reward)"

    def said(self, value: int, level: float) -> str:
        """One level in words short enough for a label."""
        shown = float(self.of(value, np.array(level)))
        return amounts.percentile(shown) if self.unit == "percentile" else amounts.significant(shown, 3)

    def meant(self, value: int, level: float) -> str:
        """One level with its meaning, for a line of its own."""
        percentile = float(Units(self.oracle, self.percentiles, "percentile", self.names).of(value, np.array(level)))
        shown = (
            amounts.percentile(percentile)
            if self.unit == "percentile"
            else f"{self.said(value, level)} ({amounts.percentile(percentile)})"
        )
        return f"{shown}, {sentences.better_than(percentile)}"

    def cloud(self, table: RewardTable, value: int, rows: np.ndarray) -> np.ndarray:
        """The rewards of some replies in this unit."""
        column = table.rewards[:, value]
        if self.unit == "reward":
            return column[rows]
        ranks = rankdata(column, method="min") - 1.0
        return (100.0 * ranks / max(len(column) - 1, 1))[rows]


def steady(figure: go.Figure) -> go.Figure:
    """Nothing fades when a point is chosen; called once all traces are there."""

    def keep(trace: go.Scatter) -> None:
        opacity = 1.0 if trace.marker.opacity is None else trace.marker.opacity
        trace.unselected = {"marker": {"opacity": opacity}, "textfont": {"color": NEUTRAL}}

    return figure.for_each_trace(keep, selector={"type": "scatter"})


def see_through(tint: str, opacity: float) -> str:
    """A colour, #rrggbb, as one that lets others through."""
    red, green, blue = (int(tint[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{amounts.significant(opacity)})"


def escaped(text: str) -> str:
    """A name that somebody gave, for a figure's labels, which read some markup."""
    return escape(text, quote=False)


def laid_out(figure: go.Figure, height: int) -> go.Figure:
    """The look that every figure has; text and background are left to the theme around it."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 34, "b": 8},
        showlegend=False,
        hoverlabel={"align": "left"},
        dragmode=False,
    )
    grid = "rgba(128,138,148,0.18)"
    figure.update_xaxes(
        gridcolor=grid, zeroline=False, automargin=True, showline=True, linecolor="rgba(128,138,148,0.5)"
    )
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
    return figure


#: For st.plotly_chart and write_html alike: no buttons over the figure but the picture's download.
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
