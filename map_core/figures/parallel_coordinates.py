"""Many palettes as lines over the values, in parallel coordinates: what a budget leaves to choose between.

One trace a line, so that a click on any of its points says which palette it is. Constraint: percentiles, the scale
that all values share.
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
#: Of the verdicts reachable and possible, but not reliable; the latter is dotted as well.
GOOD, DOUBTFUL = "#2A9D74", "#C98A1B"
#: A level this much lower, in percentiles, is no worse.
ROUNDING = 0.5


def lines(
    fan: FrontierSpread,
    numbers: Sequence[int],
    units: Units,
    axes: Sequence[int],
    palette: PalettePosition,
    tint: Tint = "favoured",
    chosen: int | None = None,
    theme: Theme = DEFAULT_THEME,
) -> go.Figure:
    """Draw a fan.

    Args:
        fan: the palettes.
        numbers: the lines that are drawn, the others are left out.
        units: in percentiles.
        axes: positions of the values, one an axis.
        palette: the user's, drawn on top.
        tint: a line has the colour of the value that it weighs most, of its cost, or of its verdict.
        chosen: the line that is looked at, drawn thick.
        theme: colours of the values.

    Returns:
        A figure; a line's points carry its number. A line that cannot be trusted is dotted.
    """
    figure = go.Figure()
    places = list(range(len(axes)))
    budgets = np.unique(fan.budget)
    levels = {j: units.of(j, fan.levels[:, j]) for j in axes}
    for n in numbers:
        drawn = _tint(fan, n, budgets, tint, theme)
        trusted = bool(fan.trusted[n])
        hover_lines = [f"<b>{escape_label(units.names[j])}</b> {units.wording.level(levels[j][n])}" for j in fan.values]
        cost = units.wording.pick("Costs ", "Takes ") + price_text(float(fan.kl[n]), units.wording)
        cost += "" if trusted else ", not reliable"
        figure.add_scatter(
            x=places,
            y=[float(levels[j][n]) for j in axes],
            mode="lines+markers",
            line={"color": drawn, "width": 4 if n == chosen else 1.5, "dash": "solid" if trusted else "dot"},
            marker={"size": 7, "color": drawn},
            opacity=1 if n == chosen else 0.7,
            selected={"marker": {"size": 14, "color": ACCENT, "opacity": 1}},
            customdata=[[int(n)]] * len(axes),
            hovertemplate="<br>".join([*hover_lines, cost, "Click to look at it"]) + "<extra></extra>",
            name=f"line {n}",
        )
    _add_mine(figure, units, axes, np.zeros(len(palette.targets)), "base model", NEUTRAL, "dash")
    if palette.realised is not None:
        _add_mine(figure, units, axes, palette.realised, "your palette", ACCENT, "solid")
    wanted = [n for n, j in enumerate(axes) if not np.isnan(palette.targets[j])]
    figure.add_scatter(
        x=wanted,
        y=[float(units.of(axes[n], np.array(palette.targets[axes[n]]))) for n in wanted],
        mode="markers",
        marker={"symbol": "diamond-open", "size": 14, "color": ACCENT, "line": {"width": 2.5}},
        hovertemplate="Your target<extra></extra>",
        name="targets",
    )
    figure = without_fading(apply_layout(figure, HEIGHT))
    names = [f"<span style='color:{theme.colour(j)}'>●</span> {escape_label(units.names[j])}" for j in axes]
    figure.update_xaxes(
        tickvals=places,
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


def _tint(fan: FrontierSpread, n: int, budgets: np.ndarray, tint: Tint, theme: Theme) -> str:
    """Return the colour of a line."""
    if tint == "favoured":
        return theme.colour(max(fan.values, key=lambda j: float(fan.weights[n, j])))
    if tint == "verdict":
        return GOOD if fan.trusted[n] else DOUBTFUL
    of = int(np.searchsorted(budgets, fan.budget[n]))
    return CONTOUR_COLOURS[min((of + 1) * len(CONTOUR_COLOURS) // (len(budgets) + 1), len(CONTOUR_COLOURS) - 1)]


def _add_mine(
    figure: go.Figure, units: Units, axes: Sequence[int], levels: np.ndarray, name: str, tint: str, dash: str
) -> None:
    figure.add_scatter(
        x=list(range(len(axes))),
        y=[float(units.of(j, np.array(levels[j]))) for j in axes],
        mode="lines+markers",
        line={"color": tint, "width": 4 if dash == "solid" else 2.5, "dash": dash},
        marker={"size": 9 if dash == "solid" else 6, "color": tint},
        hovertemplate=f"{name[:1].upper()}{name[1:]}: {units.hover}<extra></extra>",
        name=name,
    )


def no_worse(fan: FrontierSpread, units: Units, levels: np.ndarray, values: Sequence[int]) -> list[int]:
    """Return the lines that are at least as high as these levels in these values.

    Args:
        fan: the palettes.
        units: in percentiles, whose rounding is forgiven.
        levels: (value,) in standard deviations above base.
        values: positions that count; all lines without any.
    """
    kept = np.ones(len(fan.kl), dtype=bool)
    for j in values:
        kept &= units.of(j, fan.levels[:, j]) >= float(units.of(j, np.array(levels[j]))) - ROUNDING
    return [int(n) for n in np.flatnonzero(kept)]


def summary(fan: FrontierSpread, numbers: Sequence[int], units: Units) -> list[str]:
    """Describe the figure in words: the range of each value over these palettes, at each budget."""
    parts = []
    for budget in np.unique(fan.budget[list(numbers)]) if len(numbers) else ():
        of = [n for n in numbers if fan.budget[n] == budget]
        ends = [(j, fan.levels[of, j].min(), fan.levels[of, j].max()) for j in fan.values]
        ranges = [
            f"{units.names[j]} from {units.level_text(j, low)} to {units.level_text(j, high)}" for j, low, high in ends
        ]
        doubtful = len(of) - int(fan.trusted[of].sum())
        paper = (
            f" {doubtful} of them {'rests' if doubtful == 1 else 'rest'} on too few replies to be trusted."
            if doubtful
            else ""
        )
        count = amounts.counted(len(of), "palette")
        parts.append(f"{count} {units.wording.at_budget(budget, start=False)}: {', '.join(ranges)}.{paper}")
    return parts


def fan_csv(fan: FrontierSpread, oracle: Oracle) -> str:
    """Return CSV, one row per palette: budget, nats, whether trusted, level (reward units) and weight (1/reward)."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    levels, weights = (f"level_{v}" for v in oracle.values), (f"weight_{v}" for v in oracle.values)
    writer.writerow(["budget_nats", "kl_nats", "trusted", *levels, *weights])
    for n in range(len(fan.kl)):
        row = [float(fan.budget[n]), float(fan.kl[n]), int(fan.trusted[n])]
        writer.writerow([*row, *oracle.rewards_at(fan.levels[n]).tolist(), *(fan.weights[n] / oracle.scale).tolist()])
    return out.getvalue()
