"""The frontier of three values: a surface for each budget in space, with base, target and realised level.

Constraint: a figure of three dimensions hides what lies behind, so pages show it with its summary and data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.frontier import Contour, Surface
from map_core.figures.plane import CONTOUR_COLOURS, PalettePosition, hover
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, escape_label
from map_core.text import sentences
from map_core.text.units import Units

HEIGHT = 440
SHADES = [[n / (len(CONTOUR_COLOURS) - 1), tint] for n, tint in enumerate(CONTOUR_COLOURS)]


def space(
    units: Units,
    surface: Surface,
    palette: PalettePosition,
    chosen: np.ndarray | None = None,
    theme: Theme = DEFAULT_THEME,
) -> go.Figure:
    """Draw a triple of values.

    Args:
        units: of all axes.
        surface: the surfaces.
        palette: the user's.
        chosen: (value,) levels of the selected point, in standard deviations above base.
        theme: colours of the values.

    Returns:
        A figure; its meshes are named ``contour <number>``, and their points are the surface's own in order.
    """
    figure = go.Figure()
    for index, contour in enumerate(surface.contours):
        if len(contour.levels):
            figure.add_trace(_mesh(index, contour, surface, units))
    _add_point(figure, units, surface.triple, np.zeros(len(palette.targets)), "Base", NEUTRAL, "circle")
    triple = list(surface.triple)
    targets = palette.targets[triple]
    met = palette.realised is not None and bool(np.all(np.abs(palette.realised[triple] - targets) <= 0.05))
    if not np.isnan(targets).any():
        label = "Target, met" if met else "Target"
        _add_point(figure, units, surface.triple, palette.targets, label, ACCENT, "diamond-open")
    if palette.realised is not None:
        _add_point(figure, units, surface.triple, palette.realised, "Realised", ACCENT, "diamond", listed=not met)
    if chosen is not None:
        _add_point(figure, units, surface.triple, chosen, "Chosen", ACCENT, "circle")
    axes = ("xaxis", "yaxis", "zaxis")
    grid = {"gridcolor": "#98A2AC", "showbackground": False, "zeroline": False, "nticks": 5}
    titles = {
        axis: {"title": {"text": _title(units, value), "font": {"size": 12, "color": theme.colour(value)}}, **grid}
        for axis, value in zip(axes, surface.triple, strict=True)
    }
    figure = apply_layout(figure, HEIGHT)
    # Viewed from the corner where all three are high, slightly from above, with room for titles on a narrow screen.
    camera = {"eye": {"x": 1.75, "y": 1.75, "z": 1.05}, "center": {"x": 0, "y": 0, "z": -0.1}}
    # The title of the vertical axis would lie outside of the figure, so it is written in the corner.
    upright = surface.triple[2]
    figure.add_annotation(
        text=f"↑ {_title(units, upright)}",
        font={"size": 12, "color": theme.colour(upright)},
        **{"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top", "showarrow": False},
    )
    figure.update_layout(scene={**titles, "aspectmode": "cube", "camera": camera}, dragmode="orbit")
    legend = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0, "yanchor": "bottom", "itemclick": False}
    return figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, showlegend=True, legend=legend | {"itemdoubleclick": False}
    )


def _title(units: Units, value: int) -> str:
    """Return the title of an axis: the name alone, to be short enough for a narrow screen."""
    return escape_label(sentences.capitalised(units.names[value]))


def _mesh(index: int, contour: Contour, surface: Surface, units: Units) -> go.Mesh3d:
    limit = math.isinf(contour.budget)
    shade_index = (index + 1) * len(CONTOUR_COLOURS) // (len(surface.contours) + 1)
    tint = CONTOUR_COLOURS[min(shade_index, len(CONTOUR_COLOURS) - 1)]
    x, y, z = (units.of(value, contour.levels[:, value]) for value in surface.triple)
    i, j, k = surface.triangles.T
    return go.Mesh3d(
        x=x,
        y=y,
        z=z,
        i=i,
        j=j,
        k=k,
        opacity=0.2 if limit else 0.45,
        flatshading=True,
        **({"color": NEUTRAL if limit else tint} if len(surface.contours) > 1 else _shades(contour, surface)),
        text=[
            hover(units, surface.triple, level, kl, contour.budget)
            for level, kl in zip(contour.levels, contour.kl, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        name=f"contour {index}",
    )


def _shades(contour: Contour, surface: Surface) -> dict[str, Any]:
    """Return the mesh's colours: darker where the least gain of the three values is larger, as in the triangle."""
    least = contour.levels[:, list(surface.triple)].min(axis=1)
    return {"intensity": least, "colorscale": SHADES, "showscale": False}


def _add_point(
    figure: go.Figure,
    units: Units,
    triple: tuple[int, int, int],
    levels: np.ndarray,
    title: str,
    tint: str,
    symbol: str,
    listed: bool = True,
) -> None:
    """Add a point that the legend names: beside it, a name could cover another one, depending on the view."""
    x, y, z = ([float(units.of(value, np.array(levels[value])))] for value in triple)
    figure.add_scatter3d(
        x=x,
        y=y,
        z=z,
        mode="markers",
        marker={"size": 6, "color": tint, "symbol": symbol},
        hovertemplate=f"{title}<extra></extra>",
        name=title,
        showlegend=listed,
    )


def summary(surface: Surface, units: Units) -> list[str]:
    """Describe the figure in words: by budget, the highest level of each value and the levels of all three together."""
    parts = []
    for contour in surface.contours:
        if not len(contour.levels):
            continue
        levels = contour.levels[:, list(surface.triple)]
        highest = levels.max(axis=0)
        # The balanced point has the largest minimum over the values of level / highest level.
        balanced = levels[np.argmax((levels / np.maximum(highest, 1e-12)).min(axis=1))]
        most = ", ".join(
            f"{units.names[v]} up to {units.level_text(v, level)}"
            for v, level in zip(surface.triple, highest, strict=True)
        )
        together = ", ".join(
            f"{units.names[v]} {units.level_text(v, level)}" for v, level in zip(surface.triple, balanced, strict=True)
        )
        budget = (
            "With the best reply to every prompt"
            if math.isinf(contour.budget)
            else units.wording.at_budget(contour.budget)
        )
        parts.append(f"{budget}: {most}; or together {together}.")
    return parts
