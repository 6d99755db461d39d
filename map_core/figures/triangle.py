"""The points of a three-value surface in a flat triangle whose corners are the values, so that they can be clicked.

The position of a point shows how the budget is divided: at a corner all of it goes to one value, in the middle all
three have a share. A point is darker where the least gain of the three values is larger. Constraint: fits a narrow
screen, and hides no points as the surface in space does.
"""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.frontier import Contour, Surface
from map_core.figures.plane import hover
from map_core.figures.surface import SHADES
from map_core.figures.theme import ACCENT, DEFAULT_THEME, Theme, apply_layout, escape_label, without_fading
from map_core.text.units import Units

HEIGHT = 330


def triangle(units: Units, surface: Surface, contour: Contour, theme: Theme = DEFAULT_THEME) -> go.Figure:
    """Draw one sheet.

    Args:
        units: of the levels in hover texts.
        surface: the surface.
        contour: one of its sheets.
        theme: colours of the values.

    Returns:
        A figure; each point carries its position on the sheet.
    """
    x, y = triangle_positions(len(contour.levels))
    least = contour.levels[:, list(surface.triple)].min(axis=1)
    figure = go.Figure()
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={
            "size": 16,
            "color": least,
            "colorscale": SHADES,
        },
        selected={"marker": {"size": 22, "color": ACCENT, "opacity": 1}},
        customdata=[[point] for point in range(len(x))],
        hovertext=[
            hover(units, surface.triple, level, kl, contour.budget)
            for level, kl in zip(contour.levels, contour.kl, strict=True)
        ],
        hovertemplate="%{hovertext}<br>Click to look at it<extra></extra>",
        name="points",
    )
    corners = ((0.5, math.sqrt(0.75), "bottom"), (1.0, 0.0, "top"), (0.0, 0.0, "top"))
    for value, (across, up, side) in zip(surface.triple, corners, strict=True):
        figure.add_annotation(
            x=across,
            y=up,
            text=f"<span style='color:{theme.colour(value)}'>●</span> All to {escape_label(units.names[value])}",
            font={"size": 12},
            showarrow=False,
            yshift=16 if side == "bottom" else -16,
            xanchor="center" if side == "bottom" else "right" if across else "left",
            xshift=0 if side == "bottom" else 12 if across else -12,
        )
    figure = without_fading(apply_layout(figure, HEIGHT))
    figure.update_xaxes(visible=False, range=[-0.08, 1.08], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.16, 1.0], fixedrange=True)
    return figure.update_layout(margin={"l": 0, "r": 0, "t": 4, "b": 0})


def triangle_positions(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the points of a sheet in a triangle with sides of 1, in the order of ``frontier.surface``.

    The corner of the first value is at the top, of the second on the right, of the third on the left.

    Args:
        points: their number, n (n + 1) / 2 for n points per edge.
    """
    side = round((math.sqrt(8 * points + 1) - 1) / 2)
    grid = np.array([(i, j) for i in range(side) for j in range(side - i)], dtype=float).reshape(-1, 2)
    first, second = (grid / max(side - 1, 1)).T
    return second + 0.5 * first, math.sqrt(0.75) * first
