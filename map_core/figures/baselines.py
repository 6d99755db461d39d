"""A solved palette beside weights that are picked without targets: every draw as a dot, and shares with intervals.

Constraint: nothing is drawn at random or solved here. Random weights are a sample, so their shares carry Wilson
intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from map_core.analysis.baselines import Baseline
from map_core.core import amounts
from map_core.core.wilson import wilson_interval
from map_core.figures import label_places
from map_core.figures.theme import ACCENT, NEUTRAL, apply_layout
from map_core.text import sentences
from map_core.text.units import Units

#: Largest number of dots for each kind of random weights; shares are of all of them.
MAX_DOTS = 400
#: Confidence level of the intervals.
LEVEL = 0.9
PICKED = "#3B7FC4"
SOLVED, RANDOM, SAME, EQUAL = "solved", "random", "random at the same cost", "equal"
#: Heights in pixels: of a bar, of a value's row in the figure of strips, and of the plane.
BAR, STRIP, PLANE = 38, 92, 520
#: Height of the plane's margins and titles, in pixels.
AROUND_PLANE = 100
#: Of the plane of two values, as a share of what is drawn: a line of text and its distance from a point.
MARGIN = 0.07


@dataclass(frozen=True, eq=False)
class BaselineFigureData:
    """The data of the figures and texts.

    Args:
        ways: the ways to pick weights, as :func:`map_core.analysis.baselines.compare_baselines` returns them.
        targets: (value,) in standard deviations above base, NaN for free values.
        units: percentiles of the base model's replies.
        times: cost of all but the plain random weights, as a multiple of the palette's.
    """

    ways: tuple[Baseline, ...]
    targets: np.ndarray
    units: Units
    times: float = 1.0

    @property
    def targeted(self) -> list[int]:
        """Positions of the values with a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.targets))]

    def way(self, name: str) -> Baseline | None:
        """Return a way by its name; None where there is none."""
        return next((way for way in self.ways if way.name == name), None)

    def cost(self) -> str:
        """Word the cost of all ways but the plain random one."""
        if self.way(SOLVED) is None:
            return "at half of what can be spent"
        return "at the same cost" if self.times == 1 else f"at {amounts.significant(self.times)} times the cost"

    def title(self, way: Baseline) -> str:
        """Return the title of a way for people."""
        if way.name == SOLVED:
            return "Your palette"
        if way.name == RANDOM:
            return "Random, any cost"
        if way.name == SAME:
            return f"Random, {self.cost().removeprefix('at ').removeprefix('the ')}"
        if way.name == EQUAL:
            return "Equal"
        value = self.units.oracle.values.index(way.name.removeprefix("only "))
        return f"Only {self.units.names[value]}"


def counts(way: Baseline) -> tuple[int, int, int]:
    """Count a way's rows: those that meet every target, those that improve every targeted value, and all."""
    evaluation = way.evaluation
    return int(evaluation.row_meets.sum()), int(evaluation.row_improves.sum()), len(evaluation.kl)


def share_text(part: float) -> str:
    """Format a share in percent, with a decimal where it is near 0 or 1 but not equal to it."""
    if part == 0.0:
        return "none"
    if part == 1.0 or 0.0095 <= part <= 0.9905:
        return amounts.percent(part)
    return amounts.percent(part, 1)


def shares(data: BaselineFigureData, improved: bool = False) -> go.Figure:
    """Draw one bar per way: the share of its weights that meet every target, or that improve every targeted value.

    Args:
        data: the ways.
        improved: improvement over the base model instead of targets.

    Returns:
        A figure with a trace of bars; a way of one row is a plain yes or no.
    """
    ways = data.ways[::-1]  # Plotly draws the first bar at the bottom
    names, parts, labels, above, below = [], [], [], [], []
    for way in ways:
        met, better, rows = counts(way)
        successes = better if improved else met
        part = successes / rows
        low, high = wilson_interval(successes, rows, LEVEL) if rows > 1 else (part, part)
        names.append(escape(data.title(way)))
        parts.append(part)
        above.append(max(high - part, 0.0))
        below.append(max(part - low, 0.0))
        labels.append(share_text(part) if rows > 1 else ("yes" if successes else "no"))
    shades = [ACCENT if way.name == SOLVED else PICKED if len(way.evaluation.kl) > 1 else NEUTRAL for way in ways]
    figure = go.Figure()
    figure.add_bar(
        x=parts,
        y=names,
        orientation="h",
        marker={"color": shades, "pattern": {"shape": ["" if way.name != SAME else "/" for way in ways]}},
        width=0.62,
        hoverinfo="skip",
        name="improve all" if improved else "meet all",
    )
    random = [index for index, way in enumerate(ways) if len(way.evaluation.kl) > 1]
    errors = {"array": np.array(above)[random], "arrayminus": np.array(below)[random]}
    figure.add_scatter(
        x=np.array(parts)[random],
        y=np.array(names)[random],
        error_x={**errors, "thickness": 1.6, "width": 4, "color": NEUTRAL},
        mode="markers",
        marker={"size": 0.1, "color": NEUTRAL},
        hoverinfo="skip",
        name="interval",
    )
    figure.add_scatter(
        x=np.array(parts) + np.array(above) + 0.02,
        y=names,
        mode="text",
        text=labels,
        textposition="middle right",
        textfont={"size": 13},
        hoverinfo="skip",
        name="label",
    )
    figure = apply_layout(figure, BAR * len(ways) + 44)
    figure.update_xaxes(range=[0, 1.2], tickformat=".0%", tickvals=[0, 0.5, 1])
    figure.update_yaxes(showgrid=False)
    return figure.update_layout(margin={"l": 8, "r": 12, "t": 6, "b": 8})


def _rows(way: Baseline) -> np.ndarray:
    """Return the positions of the rows that are drawn: the first :data:`MAX_DOTS`, since their order is random."""
    return np.arange(min(len(way.evaluation.kl), MAX_DOTS))


def _dots(way: Baseline, repeats: int = 1) -> dict[str, Any]:
    """Return the marker of the dots of random weights; those that meet every target have another symbol and size.

    Args:
        way: the kind of random weights.
        repeats: number of times that the rows are drawn one after another.
    """
    meets = np.tile(_meets(way), repeats)
    same = way.name == SAME
    return {
        "symbol": np.where(meets, "star", "circle" if same else "circle-open"),
        "size": np.where(meets, 12, 5),
        "color": PICKED if same else NEUTRAL,
        "opacity": np.where(meets, 1.0, 0.45),
    }


def _meets(way: Baseline) -> np.ndarray:
    """Return whether each drawn row meets every target, (row,)."""
    return way.evaluation.row_meets[_rows(way)]


def plane(data: BaselineFigureData, pair: tuple[int, int]) -> go.Figure:
    """Plot random weights in the plane of two values, with the palette, the other ways, the targets and the base model.

    Returns:
        A figure; a trace is named after each way, and "base model".
    """
    across, upwards = pair
    units, figure = data.units, go.Figure()
    mark = units.wording.mark
    effort = units.wording.pick("%{customdata[0]:.2f} nats", "effort %{customdata[0]:.0f}% of the most")
    target_levels = [float(units.of(value, np.array(data.targets[value]))) for value in pair]
    for value, target, add in zip(pair, target_levels, (figure.add_vline, figure.add_hline), strict=True):
        if not np.isnan(target):
            add(
                target,
                line={"color": ACCENT, "width": 1.2, "dash": "dash"},
                annotation={"text": "target", "font": {"size": 12}, "bgcolor": "rgba(0,0,0,0)"},
                annotation_position="top right" if value == across else "bottom right",
            )
    for name in (RANDOM, SAME):
        way = data.way(name)
        if way is None:
            continue
        rows = _rows(way)
        verdict_notes = ["meets every target" if meets else "" for meets in _meets(way)]
        figure.add_scatter(
            x=units.of(across, way.evaluation.levels[rows, across]),
            y=units.of(upwards, way.evaluation.levels[rows, upwards]),
            mode="markers",
            marker=_dots(way),
            customdata=list(zip(units.efforts(way.evaluation.kl[rows]), verdict_notes, strict=True)),
            hovertemplate=f"{mark}%{{x:.0f}}, {mark}%{{y:.0f}}, {effort}<br>%{{customdata[1]}}"
            f"<extra>{escape(data.title(way))}</extra>",
            name=name,
        )
    singles = [way for way in data.ways if way.name not in (RANDOM, SAME)]
    # The palette's label is placed first, and the others find room beside it.
    singles.sort(key=lambda way: way.name != SOLVED)
    drawn = [np.zeros(len(units.names)), *(way.evaluation.levels[0] for way in singles)]
    x, y = (np.array([float(units.of(v, np.array(level[v]))) for level in drawn]) for v in pair)
    coordinates = [
        np.concatenate([own, *(np.ravel(trace[axis]) for trace in figure.data)]) for axis, own in (("x", x), ("y", y))
    ]
    ranges = tuple(
        _with_margin(np.append(along, targets)) for along, targets in zip(coordinates, target_levels, strict=True)
    )
    base_position, *other_positions = label_places.positions(
        x, y, ["Base", *(data.title(way) for way in singles)], ranges, PLANE - AROUND_PLANE
    )
    figure.add_scatter(
        x=[units.of(across, np.array(0.0))],
        y=[units.of(upwards, np.array(0.0))],
        mode="markers+text",
        text=["<b>Base</b>"],
        textposition=base_position,
        marker={"size": 11, "color": NEUTRAL, "line": {"width": 2, "color": "white"}},
        hovertemplate="Base model<extra></extra>",
        name="base model",
    )
    for way, position in zip(singles, other_positions, strict=True):
        level = way.evaluation.levels[0]
        figure.add_scatter(
            x=[units.of(across, np.array(level[across]))],
            y=[units.of(upwards, np.array(level[upwards]))],
            mode="markers+text",
            text=[f"<b>{escape(data.title(way))}</b>"],
            textposition=position,
            textfont={"size": 13 if way.name == SOLVED else 12},
            marker={
                "symbol": "diamond" if way.name == SOLVED else "square" if way.name == EQUAL else "cross",
                "size": 14 if way.name == SOLVED else 10,
                "color": ACCENT if way.name == SOLVED else NEUTRAL,
                "line": {"width": 1.5, "color": "white"},
            },
            hovertemplate=f"{mark}%{{x:.0f}}, {mark}%{{y:.0f}}<extra>" + escape(data.title(way)) + "</extra>",
            name=way.name,
        )
    figure = apply_layout(figure, PLANE)
    figure.update_xaxes(title=escape(units.axis(across)), range=ranges[0])
    figure.update_yaxes(title=escape(units.axis(upwards)), range=ranges[1])
    return figure.update_layout(hovermode="closest")


def _with_margin(coordinates: np.ndarray) -> tuple[float, float]:
    """Return the range of an axis: that of what is drawn, with room for a label beyond the outermost point."""
    low, high = float(np.nanmin(coordinates)), float(np.nanmax(coordinates))
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def strips(data: BaselineFigureData) -> go.Figure:
    """Draw one row per targeted value: the levels of random weights, with the palette, the target and the base model.

    Returns:
        A figure; a trace is named after each kind of random weights, and "palette", "target" and "base model".
    """
    units, targeted, figure = data.units, data.targeted, go.Figure()
    heights = {j: len(targeted) - 1 - row for row, j in enumerate(targeted)}
    for name, middle in ((RANDOM, 0.2), (SAME, -0.2)):
        way = data.way(name)
        if way is None:
            continue
        rows = _rows(way)
        # Jitter by the golden ratio: evenly spread, and the same in every drawing.
        spread = ((np.arange(len(rows)) * 0.6180339887) % 1.0 - 0.5) * 0.3
        figure.add_scatter(
            x=np.concatenate([units.of(j, way.evaluation.levels[rows, j]) for j in targeted]),
            y=np.concatenate([heights[j] + middle + spread for j in targeted]),
            mode="markers",
            marker=_dots(way, len(targeted)),
            hovertemplate=f"{units.wording.mark}%{{x:.0f}}<extra>" + escape(data.title(way)) + "</extra>",
            name=name,
        )
    solved = data.way(SOLVED)
    ticks = {"symbol": "line-ns", "size": 34}
    for name, levels, marker in (
        ("base model", np.zeros(len(data.targets)), {**ticks, "line": {"width": 2.5, "color": NEUTRAL}}),
        ("target", data.targets, {**ticks, "size": 46, "line": {"width": 2.5, "color": ACCENT}}),
        ("palette", None if solved is None else solved.evaluation.levels[0], {"symbol": "diamond", "size": 14}),
    ):
        if levels is None:
            continue
        shade = {"color": ACCENT, "line": {"width": 1.5, "color": "white"}} if name == "palette" else {}
        figure.add_scatter(
            x=[float(units.of(j, np.array(levels[j]))) for j in targeted],
            y=[heights[j] for j in targeted],
            mode="markers",
            marker={**marker, **shade},
            hovertemplate=f"{name}: {units.wording.mark}%{{x:.0f}}<extra></extra>",
            name=name,
        )
    figure = apply_layout(figure, STRIP * len(targeted) + 70)
    figure.update_xaxes(title=f"Level ({units.wording.scale})")
    names = [escape(sentences.capitalised(units.names[j])) for j in targeted]
    figure.update_yaxes(tickvals=[heights[j] for j in targeted], ticktext=names, range=[-0.6, len(targeted) - 0.4])
    return figure.update_layout(hovermode="closest")
