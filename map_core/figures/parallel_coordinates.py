"""Palettes on the frontier as lines in parallel coordinates, one axis per value: the choice that a budget leaves.

One trace per line, so that a click on any of its points identifies the palette. Constraint: percentiles, the scale that
all values share.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.frontier_spread import FrontierSpread
from map_core.core import amounts, safe_csv
from map_core.figures.plane import CONTOUR_COLOURS, PalettePosition
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, escape_label, without_fading
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.changes import price_text
from map_core.text.units import Units

HEIGHT = 460
Tint = Literal["favoured", "cost", "verdict"]
#: Colours of reachable and unreliable palettes; the latter are dotted as well.
GOOD, DOUBTFUL = "#2A9D74", "#C98A1B"
#: Levels are rounded to whole percentiles, so a level this much lower is no worse.
ROUNDING = 0.5


def lines(
    spread: FrontierSpread,
    numbers: Sequence[int],
    units: Units,
    axes: Sequence[int],
    palette: PalettePosition,
    tint: Tint = "favoured",
    chosen: int | None = None,
    theme: Theme = DEFAULT_THEME,
) -> go.Figure:
    """Draw palettes as lines.

    Args:
        spread: the palettes.
        numbers: positions of the palettes to draw.
        units: in percentiles.
        axes: positions of the values, one per axis.
        palette: the user's, drawn on top.
        tint: colour of a line: that of its most weighted value, or by its cost, or by its verdict.
        chosen: the selected palette, drawn with a thick line.
        theme: colours of the values.

    Returns:
        A figure; the points of a line carry the position of its palette. A line that cannot be trusted is dotted.
    """
    figure = go.Figure()
    axis_positions = list(range(len(axes)))
    budgets = np.unique(spread.budget)
    levels = {j: units.of(j, spread.levels[:, j]) for j in axes}
    for n in numbers:
        shade = _line_colour(spread, n, budgets, tint, theme)
        trusted = bool(spread.trusted[n])
        hover_lines = [
            f"<b>{escape_label(units.names[j])}</b> {units.wording.level(levels[j][n])}" for j in spread.values
        ]
        cost = units.wording.pick("Costs ", "Takes ") + price_text(float(spread.kl[n]), units.wording)
        cost += "" if trusted else ", not reliable"
        figure.add_scatter(
            x=axis_positions,
            y=[float(levels[j][n]) for j in axes],
            mode="lines+markers",
            line={"color": shade, "width": 4 if n == chosen else 1.5, "dash": "solid" if trusted else "dot"},
            marker={"size": 7, "color": shade},
            opacity=1 if n == chosen else 0.7,
            selected={"marker": {"size": 14, "color": ACCENT, "opacity": 1}},
            customdata=[[int(n)]] * len(axes),
            hovertemplate="<br>".join([*hover_lines, cost, "Click to look at it"]) + "<extra></extra>",
            name=f"line {n}",
        )
    _add_reference(figure, units, axes, np.zeros(len(palette.targets)), "base model", NEUTRAL, "dash")
    if palette.realised is not None:
        _add_reference(figure, units, axes, palette.realised, "your palette", ACCENT, "solid")
    targeted = [(position, j) for position, j in enumerate(axes) if not np.isnan(palette.targets[j])]
    figure.add_scatter(
        x=[position for position, _ in targeted],
        y=[float(units.of(j, np.array(palette.targets[j]))) for _, j in targeted],
        mode="markers",
        marker={"symbol": "diamond-open", "size": 14, "color": ACCENT, "line": {"width": 2.5}},
        hovertemplate="Your target<extra></extra>",
        name="targets",
    )
    figure = without_fading(apply_layout(figure, HEIGHT))
    names = [f"<span style='color:{theme.colour(j)}'>●</span> {escape_label(units.names[j])}" for j in axes]
    figure.update_xaxes(
        tickvals=axis_positions,
        ticktext=names,
        autotickangles=[0, -45, -90],
        ticklabeloverflow="allow",
        tickfont={"size": 11},
        range=[-0.3, len(axes) - 0.7],
        showline=False,
        fixedrange=True,
    )
    figure.update_xaxes(gridcolor="rgba(128,138,148,0.5)", gridwidth=1)
    figure.update_yaxes(title=sentences.capitalised(units.wording.scale), fixedrange=True)
    return figure.update_layout(hovermode="closest", margin={"r": 44})


def _line_colour(spread: FrontierSpread, n: int, budgets: np.ndarray, tint: Tint, theme: Theme) -> str:
    """Return the colour of a palette's line."""
    if tint == "favoured":
        return theme.colour(max(spread.values, key=lambda j: float(spread.weights[n, j])))
    if tint == "verdict":
        return GOOD if spread.trusted[n] else DOUBTFUL
    rank = int(np.searchsorted(budgets, spread.budget[n]))
    return CONTOUR_COLOURS[min((rank + 1) * len(CONTOUR_COLOURS) // (len(budgets) + 1), len(CONTOUR_COLOURS) - 1)]


def _add_reference(
    figure: go.Figure, units: Units, axes: Sequence[int], levels: np.ndarray, name: str, tint: str, dash: str
) -> None:
    figure.add_scatter(
        x=list(range(len(axes))),
        y=[float(units.of(j, np.array(levels[j]))) for j in axes],
        mode="lines+markers",
        line={"color": tint, "width": 4 if dash == "solid" else 2.5, "dash": dash},
        marker={"size": 9 if dash == "solid" else 6, "color": tint},
        hovertemplate=f"{sentences.capitalised(name)}: {units.hover}<extra></extra>",
        name=name,
    )


def no_worse(spread: FrontierSpread, units: Units, levels: np.ndarray, values: Sequence[int]) -> list[int]:
    """Return the positions of the palettes that are at least as high as some levels.

    Args:
        spread: the palettes.
        units: in percentiles; levels are compared up to their rounding.
        levels: (value,) in standard deviations above base.
        values: positions of the values to compare; without any, all palettes are returned.
    """
    high_enough = np.ones(len(spread.kl), dtype=bool)
    for j in values:
        high_enough &= units.of(j, spread.levels[:, j]) >= float(units.of(j, np.array(levels[j]))) - ROUNDING
    return [int(n) for n in np.flatnonzero(high_enough)]


def summary(spread: FrontierSpread, numbers: Sequence[int], units: Units) -> list[str]:
    """Describe the figure in words: the range of each value over these palettes, at each budget."""
    parts = []
    for budget in np.unique(spread.budget[list(numbers)]) if len(numbers) else ():
        rows = [n for n in numbers if spread.budget[n] == budget]
        ranges = []
        for j in spread.values:
            levels = spread.levels[rows, j]
            low, high = units.level_text(j, levels.min()), units.level_text(j, levels.max())
            ranges.append(f"{units.names[j]} from {low} to {high}")
        sentence = f"{amounts.counted(len(rows), 'palette')} {units.wording.at_budget(budget, start=False)}"
        sentence += f": {', '.join(ranges)}."
        doubtful = len(rows) - int(spread.trusted[rows].sum())
        if doubtful:
            verb = "rests" if doubtful == 1 else "rest"
            sentence += f" {doubtful} of them {verb} on too few replies to be trusted."
        parts.append(sentence)
    return parts


def spread_csv(spread: FrontierSpread, oracle: Oracle) -> str:
    """Return CSV, one row per palette: budget, nats, whether trusted, level (reward units) and weight (1/reward)."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    levels, weights = (f"level_{v}" for v in oracle.values), (f"weight_{v}" for v in oracle.values)
    writer.writerow(["budget_nats", "kl_nats", "trusted", *levels, *weights])
    for n in range(len(spread.kl)):
        row = [float(spread.budget[n]), float(spread.kl[n]), int(spread.trusted[n])]
        row_weights = spread.weights[n] / oracle.scale
        writer.writerow([*row, *oracle.rewards_at(spread.levels[n]).tolist(), *row_weights.tolist()])
    return out.getvalue()
