"""The plane of two values: the cloud of replies, what can be reached at each budget, base, target and realised level.

Contours are scatter traces whose points carry (contour, direction), so that a click identifies the weights of a
point. Constraint: reply texts never enter a figure, as a browser reads labels as markup.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.frontier import Contour, Frontier, Surface
from map_core.core import safe_csv
from map_core.data.reward_table import RewardTable
from map_core.figures import label_places
from map_core.figures.cloud import cloud
from map_core.figures.theme import ACCENT, NEUTRAL, apply_layout, escape_label, without_fading
from map_core.oracle import Oracle
from map_core.text import sentences
from map_core.text.changes import price_text
from map_core.text.units import Units

#: Of the figure, and of what is around the plot, in pixels.
HEIGHT, AROUND = 520, 80
#: Width of the plot on a wide screen, in pixels.
WIDTH = 640.0
CONTOUR_COLOURS = ("#8CB8E0", "#5B9BD5", "#3B7FC4", "#2E6BAE", "#25578F")


@dataclass(frozen=True, eq=False)
class PalettePosition:
    """Where the user's palette is, in standard deviations above base.

    Args:
        targets: (value,) NaN for free values.
        realised: (value,) levels of the aligned model, or None when out of reach.
    """

    targets: np.ndarray
    realised: np.ndarray | None


def plane(
    table: RewardTable, units: Units, pair: tuple[int, int], frontier: Frontier | None, palette: PalettePosition
) -> go.Figure:
    """Draw a pair of values.

    Args:
        table: its replies are drawn behind the contours.
        units: of both axes.
        pair: positions of the value across and the value upwards.
        frontier: the contours, or None while they are being computed.
        palette: the user's.

    Returns:
        A figure; its contour traces are named ``contour <number>``.
    """
    across, upwards = pair
    figure = go.Figure()
    replies = cloud(table, units, pair)
    figure.add_scatter(
        x=replies.x,
        y=replies.y,
        mode="markers",
        marker={"size": replies.size, "color": NEUTRAL, "opacity": 0.22},
        hoverinfo="skip",
        name="replies of the base model",
    )
    contours = frontier.contours if frontier else ()
    for index, contour in enumerate(contours):
        _add_contour(figure, index, contour, units, pair, len(contours))
    zero = np.array(0.0)
    figure.add_scatter(
        x=[units.of(across, zero)],
        y=[units.of(upwards, zero)],
        mode="markers+text",
        text=["Base"],
        marker={"size": 11, "color": NEUTRAL, "line": {"width": 2, "color": "white"}},
        hovertemplate="Base model<extra></extra>",
        name="base model",
    )
    figure.update_xaxes(title=escape_label(units.axis(across)))
    figure.update_yaxes(title=escape_label(units.axis(upwards)))
    if units.unit == "percentile":
        figure.update_xaxes(range=[0, 102])
        figure.update_yaxes(range=[0, 102])
    else:
        for axis, value in ((figure.update_xaxes, across), (figure.update_yaxes, upwards)):
            low, high = (units.percentiles.level(value, percent) for percent in (1, 99.5))
            for contour in _nonempty(frontier):
                high = max(high, float(np.nanmax(units.of(value, contour.levels[:, value]))))
            padding = 0.04 * (high - low)
            axis(range=[low - padding, high + padding])
    curves = [np.stack([units.of(v, c.levels[:, v]) for v in pair], axis=1) for c in _nonempty(frontier)]
    _add_target(figure, units, pair, palette)
    _place_labels(figure, np.concatenate([np.empty((0, 2)), *curves]))
    without_fading(figure)
    figure = apply_layout(figure, height=HEIGHT)
    return figure.update_layout(clickmode="event+select", hovermode="closest")


def _nonempty(frontier: Frontier | None) -> list[Contour]:
    """Return the contours with at least one point."""
    return [contour for contour in (frontier.contours if frontier else ()) if len(contour.levels)]


def _add_contour(
    figure: go.Figure, index: int, contour: Contour, units: Units, pair: tuple[int, int], count: int
) -> None:
    """Add the contour at this index of ``count`` contours; an empty one is not drawn."""
    if not len(contour.levels):
        return
    across, upwards = pair
    limit = math.isinf(contour.budget)
    x, y = units.of(across, contour.levels[:, across]), units.of(upwards, contour.levels[:, upwards])
    shade_index = min(index * len(CONTOUR_COLOURS) // count, len(CONTOUR_COLOURS) - 1)
    line = NEUTRAL if limit else CONTOUR_COLOURS[shade_index]
    title = "limit" if limit else units.wording.budget(contour.budget)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": line, "width": 2, "dash": "dash" if limit else "solid", "shape": "linear"},
        marker={"size": 8, "color": line},
        selected={"marker": {"size": 15, "color": ACCENT, "opacity": 1}},
        customdata=[[index, direction] for direction in range(len(x))],
        hovertext=[
            hover(units, pair, level, kl, contour.budget) for level, kl in zip(contour.levels, contour.kl, strict=True)
        ],
        hovertemplate="%{hovertext}<br>Click to look at it<extra></extra>",
        name=f"contour {index}",
    )
    figure.add_annotation(
        x=float(x[0]), y=float(y[0]), text=title, showarrow=False, xanchor="right", xshift=-8, font={"size": 12}
    )


def hover(units: Units, values: Sequence[int], level: np.ndarray, kl: float, budget: float) -> str:
    """Describe a point in words: the level of each of these values, and the cost."""
    lines = [f"<b>{escape_label(units.names[v])}</b> {units.level_meaning(v, float(level[v]))}" for v in values]
    if math.isinf(budget):
        lines.append("The best reply to every prompt, the most that choosing gives")
    elif units.wording.numbers:
        lines.append(f"Costs {price_text(kl)}")
    else:
        lines.append(f"Takes {price_text(kl, units.wording)}")
    return "<br>".join(sentences.capitalised(line) for line in lines)


def _add_target(figure: go.Figure, units: Units, pair: tuple[int, int], palette: PalettePosition) -> None:
    """Add the lines and the mark of the target, and the mark of the realised level."""
    across, upwards = pair
    targets = palette.targets[across], palette.targets[upwards]
    x, y = (float(units.of(v, np.array(target))) for v, target in zip(pair, targets, strict=True))
    style = {"color": ACCENT, "width": 1, "dash": "dot"}
    if not math.isnan(targets[0]):
        figure.add_vline(x=x, line=style)
    if not math.isnan(targets[1]):
        figure.add_hline(y=y, line=style)
    met = palette.realised is not None and not any(
        abs(float(palette.realised[v]) - target) > 0.05 for v, target in zip(pair, targets, strict=True)
    )
    if not (math.isnan(targets[0]) or math.isnan(targets[1])):
        figure.add_scatter(
            x=[x],
            y=[y],
            mode="markers+text",
            text=["Target, met" if met else "Target"],
            marker={"symbol": "diamond-open", "size": 15, "color": ACCENT, "line": {"width": 2.5}},
            hovertemplate="Your target<extra></extra>",
            name="target",
        )
    if palette.realised is not None:
        figure.add_scatter(
            x=[float(units.of(across, np.array(palette.realised[across])))],
            y=[float(units.of(upwards, np.array(palette.realised[upwards])))],
            mode="markers+text",
            text=["" if met else "Realised"],
            marker={"symbol": "diamond", "size": 10, "color": ACCENT, "line": {"width": 1, "color": "white"}},
            hovertemplate="What your palette gives<extra></extra>",
            name="realised",
        )


def _place_labels(figure: go.Figure, curves: np.ndarray) -> None:
    """Position the labels of base model, target and realised level clear of each other and of the curves."""
    # The base model's label is placed last: its point lies within the curves, where there is most room.
    labelled = [trace for trace in reversed(figure.data) if trace.mode == "markers+text" and trace.text[0]]
    x, y = (np.array([float(trace[axis][0]) for trace in labelled]) for axis in "xy")
    ranges = figure.layout.xaxis.range, figure.layout.yaxis.range
    texts = [trace.text[0] for trace in labelled]
    positions = label_places.positions(x, y, texts, ranges, HEIGHT - AROUND, curves, WIDTH)
    for trace, position in zip(labelled, positions, strict=True):
        trace.textposition = position
        trace.textfont.shadow = "auto"  # an outline in the contrasting colour, for where every place is on a curve


def clicked_point(frontier: Frontier, customdata: Sequence[int]) -> tuple[Contour, int]:
    """Return the contour and direction of a clicked point."""
    return frontier.contours[int(customdata[0])], int(customdata[1])


def targets_at_point(targets: np.ndarray, levels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Return the targets at a chosen point: its levels for these values; other targets that it misses are lowered.

    Args:
        targets: (value,) before, in standard deviations above base, NaN for free values.
        levels: (value,) of the point.
        values: positions of the values on the figure's axes.

    Returns:
        (value,) targets that the point's own weights meet.
    """
    # A target that the point misses by no more than the solver's rounding is kept.
    new = np.where(levels < targets - 1e-6, levels, targets)
    new[list(values)] = levels[list(values)]
    return new


def summary(frontier: Frontier, units: Units) -> list[str]:
    """Describe the figure in words: by budget, the highest level of either value and the levels of both together."""
    across, upwards = frontier.pair
    parts = []
    for contour in _nonempty(frontier):
        middle = contour.levels[len(contour.levels) // 2]
        budget = (
            "With the best reply to every prompt"
            if math.isinf(contour.budget)
            else units.wording.at_budget(contour.budget)
        )
        parts.append(
            f"{budget}: {units.names[across]} up to {units.level_text(across, contour.levels[:, across].max())}, "
            f"{units.names[upwards]} up to {units.level_text(upwards, contour.levels[:, upwards].max())}, or "
            f"{units.level_text(across, middle[across])} and {units.level_text(upwards, middle[upwards])} together."
        )
    return parts


def columns(oracle: Oracle) -> list[str]:
    """Return the names of the columns of :func:`rows`."""
    levels, weights = (f"level_{v}" for v in oracle.values), (f"weight_{v}" for v in oracle.values)
    return ["budget_nats", "kl_nats", *levels, *weights]


def rows(contours: Sequence[Contour], oracle: Oracle) -> Iterator[list[float | str]]:
    """Yield the points of contours: budget, nats, then the level (reward units) and weight (1/reward) of each value."""
    for contour in contours:
        limit = math.isinf(contour.budget)
        for x, level, kl in zip(contour.weights, contour.levels, contour.kl, strict=True):
            weights = [""] * len(x) if limit else (x / oracle.scale).tolist()
            row: list[float | str] = ["limit" if limit else contour.budget, "" if math.isnan(kl) else float(kl)]
            yield [*row, *oracle.rewards_at(level).tolist(), *weights]


def plane_csv(frontier: Frontier | Surface, oracle: Oracle) -> str:
    """Return CSV, one row per point of a frontier or surface."""
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(columns(oracle))
    writer.writerows(rows(frontier.contours, oracle))
    return out.getvalue()
