"""What all figures share: one colour a value, the units of an axis, the look.

Colours are from the set of Okabe and Ito, chosen to be distinct for people with any colour vision and readable on
white as on black; dashes repeat what they say. Source: Okabe and Ito, "Color Universal Design", 2008.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import plotly.graph_objects as go

from map_core.core import amounts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6FC0", "#9A7B4F", "#7D8C1F", "#B5446E")
DASHES = ("solid", "dash", "dot")
#: Reads on white and on black alike.
NEUTRAL = "#808A94"
#: What is the viewer's own: apart from every value's colour, from those that people can choose, and from the contours.
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


#: Where nobody chose a colour.
DEFAULT_THEME = Theme()


def dash(position: int) -> str:
    """Return the line style of a value, which identifies it without its colour."""
    return DASHES[position % len(DASHES)]


def without_fading(figure: go.Figure) -> go.Figure:
    """Turn off the fading of traces when a point is chosen; to be called once all traces are there."""

    def keep(trace: go.Scatter) -> None:
        opacity = 1.0 if trace.marker.opacity is None else trace.marker.opacity
        trace.unselected = {"marker": {"opacity": opacity}, "textfont": {"color": NEUTRAL}}

    return figure.for_each_trace(keep, selector={"type": "scatter"})


def translucent(tint: str, opacity: float) -> str:
    """Return a colour, #rrggbb, as a translucent one."""
    red, green, blue = (int(tint[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{amounts.significant(opacity)})"


def escape_label(text: str) -> str:
    """Escape a name that a user gave, for a figure's labels, which read some markup."""
    return escape(text, quote=False)


def apply_layout(figure: go.Figure, height: int) -> go.Figure:
    """Apply the layout that every figure has; text and background are left to the theme around it."""
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
        # Labels without room lean to the left: to the right the last one would leave the figure, and be left out.
        autotickangles=[0, -35, -90],
    )
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
    return figure


#: For st.plotly_chart and write_html alike: no buttons over the figure but the picture's download.
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
