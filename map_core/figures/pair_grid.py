"""Small multiples of the frontiers of pairs of values: one cell per pair, all on one scale, so that they compare.

Constraint: percentiles throughout, the scale that all values share, and each axis is named in words. A grid of
invisible marks behind the contours catches clicks anywhere in a cell, which open its pair.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.frontier import Contour, Frontier
from map_core.core import amounts, safe_csv
from map_core.figures.plane import CONTOUR_COLOURS, PalettePosition, columns, rows
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, escape_label, without_fading
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.units import Units

#: Height of a cell in pixels, by the number of cells in a row.
HEIGHTS = {1: 320, 2: 256, 3: 214}
LEAST_HEIGHT = 200
#: Invisible marks per side of a cell.
GRID = 11


def shared_range(units: Units, frontiers: Sequence[Frontier], palette: PalettePosition) -> tuple[float, float]:
    """Return the range of percentiles that all cells share, from below the lowest level drawn, rounded down to tens."""
    lowest = [float(units.of(j, np.array(0.0))) for j in range(len(units.names))]
    for frontier in frontiers:
        for contour in frontier.contours:
            lowest += [float(units.of(v, contour.levels[:, v].min())) for v in frontier.pair if len(contour.levels)]
    for levels in (palette.targets, palette.realised):
        if levels is not None:
            lowest += [float(units.of(j, np.array(level))) for j, level in enumerate(levels) if not np.isnan(level)]
    return max(0.0, 10.0 * math.floor((float(np.nanmin(lowest)) - 3) / 10)), 102.0


def pair_cell(
    units: Units,
    pair: tuple[int, int],
    frontier: Frontier,
    palette: PalettePosition,
    ends: tuple[float, float],
    height: int = LEAST_HEIGHT,
    theme: Theme = DEFAULT_THEME,
) -> go.Figure:
    """Draw one pair.

    Args:
        units: in percentiles.
        pair: positions of the value across and the value upwards.
        frontier: its contours.
        palette: the user's.
        ends: of both axes.
        height: in pixels.
        theme: colours of the values.

    Returns:
        A figure; every point carries the pair.
    """
    across, upwards = pair
    figure = go.Figure()
    steps = np.linspace(*ends, GRID)
    x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
    pair_name = " and ".join(escape_label(units.names[v]) for v in pair)
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 16, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        customdata=[list(pair)] * len(x),
        hovertemplate=f"Open {pair_name}<extra></extra>",
        name="open",
    )
    drawn = [contour for contour in frontier.contours if len(contour.levels)]
    for index, contour in enumerate(drawn):
        shade = CONTOUR_COLOURS[min(2 * index + 1, len(CONTOUR_COLOURS) - 1)]  # visible on white and on black
        figure.add_scatter(
            x=units.of(across, contour.levels[:, across]),
            y=units.of(upwards, contour.levels[:, upwards]),
            mode="lines",
            line={"color": shade, "width": 2},
            hoverinfo="skip",
            name=f"contour {index}",
        )
    _add_mark(figure, units, pair, np.zeros(len(palette.targets)), "base", NEUTRAL, "circle", 7)
    _add_mark(figure, units, pair, palette.targets, "target", ACCENT, "diamond-open", 11)
    if palette.realised is not None:
        _add_mark(figure, units, pair, palette.realised, "realised", ACCENT, "diamond", 7)
    figure = without_fading(apply_layout(figure, height))
    ticks = {"range": list(ends), "tickvals": [25, 50, 75, 100], "tickfont": {"size": 10}, "fixedrange": True}
    for update, value in ((figure.update_xaxes, across), (figure.update_yaxes, upwards)):
        name = escape_label(sentences.capitalised(units.names[value]))
        title = {"text": name, "font": {"size": 11}, "standoff": 3}
        update(**ticks, title=title, showline=True, linecolor=theme.colour(value), linewidth=2)
    return figure.update_layout(margin={"l": 2, "r": 4, "t": 6, "b": 2})


def _add_mark(
    figure: go.Figure,
    units: Units,
    pair: tuple[int, int],
    levels: np.ndarray,
    name: str,
    tint: str,
    symbol: str,
    size: int,
) -> None:
    x, y = (float(units.of(v, np.array(levels[v]))) for v in pair)
    if math.isnan(x) or math.isnan(y):
        return
    marker = {"symbol": symbol, "size": size, "color": tint, "line": {"width": 2, "color": tint}}
    figure.add_scatter(x=[x], y=[y], mode="markers", marker=marker, hoverinfo="skip", name=name)


def joint_share(contour: Contour, pair: tuple[int, int]) -> float:
    """Return the share of what either value could gain alone that both can gain at once, at one budget.

    Args:
        contour: of the pair.
        pair: positions of the values.

    Returns:
        max over points of min(level_1 / highest_1, level_2 / highest_2): 1 when they go together, about 0.7 when they
        are unrelated, less when they conflict; NaN where one of them gains nothing.
    """
    levels = contour.levels[:, list(pair)]
    if not len(levels) or np.any(levels.max(axis=0) <= 1e-9):
        return math.nan
    return float((levels / levels.max(axis=0)).min(axis=1).max())


def joint_share_text(share: float) -> str:
    """Word the share.

    Example:
        >>> joint_share_text(0.7)
        'share the effort: both at once gain 70% of what each gains alone'
    """
    if math.isnan(share):
        return "one of them cannot be moved"
    relation = "go together" if share >= 0.85 else "share the effort" if share >= 0.6 else "pull apart"
    return f"{relation}: both at once gain {amounts.percent(share)} of what each gains alone"


def summary(frontiers: Mapping[tuple[int, int], Frontier], units: Units) -> list[str]:
    """Describe all cells in words, the pairs with the strongest conflict first."""
    shares = []
    for pair, frontier in frontiers.items():
        contours = [contour for contour in frontier.contours if len(contour.levels)]
        if contours:
            shares.append((joint_share(contours[-1], pair), pair, contours[-1].budget))
    shares.sort(key=lambda entry: (math.isnan(entry[0]), entry[0]))
    return [
        f"{sentences.capitalised(units.names[a])} and {units.names[b]} {joint_share_text(share)}, "
        f"{units.wording.at_budget(budget, start=False)}."
        for share, (a, b), budget in shares
    ]


def pairs_csv(frontiers: Mapping[tuple[int, int], Frontier], oracle: Oracle) -> str:
    """Return CSV, one row per point of all cells, with the names of the pair first."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(["across", "upwards", *columns(oracle)])
    for (across, upwards), frontier in frontiers.items():
        for row in rows(frontier.contours, oracle):
            writer.writerow([oracle.values[across], oracle.values[upwards], *row])
    return out.getvalue()
