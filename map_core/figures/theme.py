"""Colours, line styles and layout that all figures share.

The colours extend the set of Okabe and Ito, which people with any colour vision can distinguish; all are readable on
white and on black. Dashes identify values without their colours. Source: Okabe and Ito, "Color Universal Design", 2008.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import plotly.graph_objects as go

from map_core.core import amounts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6FC0", "#9A7B4F", "#7D8C1F", "#B5446E")
DASHES = ("solid", "dash", "dot")
#: Readable on white and on black.
NEUTRAL = "#808A94"
#: Marks the user's own palette; distinct from the colours of values, those that people can choose, and the contours.
ACCENT = "#782DFF"


@dataclass(frozen=True)
class Theme:
    """The colours of a table's values, the same in every figure and on every page.

    Args:
        chosen: by position in the table, colours (#rrggbb) that people chose for values of their own.

    Example:
        >>> Theme({1: "#C026A8"}).colour(1), Theme().colour(10)
        ('#C026A8', '#0072B2')
    """

    chosen: Mapping[int, str] = field(default_factory=dict)

    def colour(self, value: int) -> str:
        """Return the colour of the value at this position: the chosen one, else one of :data:`COLOURS` in turn."""
        return self.chosen.get(value) or COLOURS[value % len(COLOURS)]


#: Used where nobody chose a colour.
DEFAULT_THEME = Theme()


def dash(position: int) -> str:
    """Return the line style of a value, which identifies it without its colour."""
    return DASHES[position % len(DASHES)]


def without_fading(figure: go.Figure) -> go.Figure:
    """Turn off the fading of other points when one is selected; call it after all traces are added."""

    def keep(trace: go.Scatter) -> None:
        opacity = 1.0 if trace.marker.opacity is None else trace.marker.opacity
        trace.unselected = {"marker": {"opacity": opacity}, "textfont": {"color": NEUTRAL}}

    return figure.for_each_trace(keep, selector={"type": "scatter"})


def translucent(tint: str, opacity: float) -> str:
    """Return a colour, #rrggbb, with an opacity from 0 to 1 as Plotly takes it."""
    red, green, blue = (int(tint[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{amounts.significant(opacity)})"


def escape_label(text: str) -> str:
    """Escape user text for a figure's labels, in which Plotly reads some markup."""
    return escape(text, quote=False)


def apply_layout(figure: go.Figure, height: int) -> go.Figure:
    """Apply the common layout; the colours of text and background are left to the surrounding theme."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 34, "b": 8},
        showlegend=False,
        hoverlabel={"align": "left"},
        dragmode=False,
    )
    grid = "rgba(128,138,148,0.18)"
    figure.update_xaxes(
        gridcolor=grid,
        zeroline=False,
        automargin=True,
        showline=True,
        linecolor="rgba(128,138,148,0.5)",
        # Negative angles: labels turned the other way would run out of the figure on the right and be dropped.
        autotickangles=[0, -35, -90],
    )
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
    return figure


#: For st.plotly_chart and write_html: of the buttons above a figure only the download is kept.
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
