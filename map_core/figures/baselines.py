"""A solved palette beside weights that are picked without targets: every draw as a dot, and shares with intervals.

Constraint: nothing is drawn at random or solved here; what was drawn is another sample next time, so shares of random
weights carry the interval of :func:`map_core.studies.delivery.proportion`.
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

#: Of each kind of random weights at most so many are drawn; shares are of all.
MAX_DOTS = 400
#: The level of the intervals.
LEVEL = 0.9
PICKED = "#3B7FC4"
SOLVED, RANDOM, SAME, EQUAL = "solved", "random", "random at the same cost", "equal"
#: Height of a bar, of a value's row in the figure of strips, and of the plane.
BAR, STRIP, PLANE = 38, 92, 520
#: Of the plane, in pixels, outside of its axes.
AROUND_PLANE = 100


@dataclass(frozen=True, eq=False)
class BaselineFigureData:
    """What is drawn.

    Args:
        found: the ways to pick weights, as :func:`map_core.analysis.baselines.compare_baselines` gave them.
        targets: (value,) in standard deviations above base, NaN for free values.
        units: percentiles of the base model's replies.
        times: what all but the plain random weights cost, as a multiple of the palette.
    """

    found: tuple[Baseline, ...]
    targets: np.ndarray
    units: Units
    times: float = 1.0

    @property
    def wanted(self) -> list[int]:
        """Positions of the values with a target."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.targets))]

    def way(self, name: str) -> Baseline | None:
        """Return a way by its name; None where there is none."""
        return next((way for way in self.found if way.name == name), None)

    def cost(self) -> str:
        """Word what the other ways cost."""
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
    judged = way.judged
    improves = (judged.improves | ~judged.asked).all(axis=1)
    return int(judged.meets.all(axis=1).sum()), int(improves.sum()), len(judged.kl)


def share_text(part: float) -> str:
    """Format a share in percent, with a decimal where it is near 0 or 1 without being it."""
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
    ways = data.found[::-1]
    names, parts, labels, above, below = [], [], [], [], []
    for way in ways:
        of, rows = counts(way)[int(improved)], counts(way)[2]
        low, high = wilson_interval(of, rows, LEVEL) if rows > 1 else (of / rows, of / rows)
        names.append(escape(data.title(way)))
        parts.append(of / rows)
        above.append(max(high - of / rows, 0.0))
        below.append(max(of / rows - low, 0.0))
        labels.append(share_text(of / rows) if rows > 1 else ("yes" if of else "no"))
    shades = [ACCENT if way.name == SOLVED else PICKED if len(way.judged.kl) > 1 else NEUTRAL for way in ways]
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
    drawn = [n for n, way in enumerate(ways) if len(way.judged.kl) > 1]
    ends = {"array": np.array(above)[drawn], "arrayminus": np.array(below)[drawn]}
    figure.add_scatter(
        x=np.array(parts)[drawn],
        y=np.array(names)[drawn],
        error_x={**ends, "thickness": 1.6, "width": 4, "color": NEUTRAL},
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
    """Return the rows that are drawn: the first ones, which are as random as any, up to a limit."""
    return np.arange(min(len(way.judged.kl), MAX_DOTS))


def _dots(way: Baseline, times: int = 1) -> dict[str, Any]:
    """Return the look of the dots of random weights, repeated; another symbol and size where they meet every target."""
    meets = np.tile(_meets(way), times)
    same = way.name == SAME
    return {
        "symbol": np.where(meets, "star", "circle" if same else "circle-open"),
        "size": np.where(meets, 12, 5),
        "color": PICKED if same else NEUTRAL,
        "opacity": np.where(meets, 1.0, 0.45),
    }


def _meets(way: Baseline) -> np.ndarray:
    """Return whether each drawn row meets every target, (row,)."""
    return np.asarray(way.judged.meets[_rows(way)].all(axis=1))


def plane(data: BaselineFigureData, pair: tuple[int, int]) -> go.Figure:
    """Draw every draw in the plane of two values, with the palette, the other ways, the targets and the base model.

    Returns:
        A figure; a trace is named after each way, and "base model".
    """
    across, upwards = pair
    units, figure = data.units, go.Figure()
    mark = units.wording.mark
    effort = units.wording.pick("%{customdata[0]:.2f} nats", "effort %{customdata[0]:.0f}% of the most")
    for value, add in ((across, figure.add_vline), (upwards, figure.add_hline)):
        if not np.isnan(data.targets[value]):
            at = float(units.of(value, np.array(data.targets[value])))
            line = {"color": ACCENT, "width": 1.2, "dash": "dash"}
            where = {"text": "target", "font": {"size": 12}, "bgcolor": "rgba(0,0,0,0)"}
            add(at, line=line, annotation=where, annotation_position="top right" if value == across else "bottom right")
    for name in (RANDOM, SAME):
        way = data.way(name)
        if way is None:
            continue
        rows = _rows(way)
        verdict_notes = ["meets every target" if meets else "" for meets in _meets(way)]
        figure.add_scatter(
            x=units.of(across, way.judged.levels[rows, across]),
            y=units.of(upwards, way.judged.levels[rows, upwards]),
            mode="markers",
            marker=_dots(way),
            customdata=list(zip(units.efforts(way.judged.kl[rows]), verdict_notes, strict=True)),
            hovertemplate=f"{mark}%{{x:.0f}}, {mark}%{{y:.0f}}, {effort}<br>%{{customdata[1]}}"
            f"<extra>{escape(data.title(way))}</extra>",
            name=name,
        )
    singles = [way for way in data.found if way.name not in (RANDOM, SAME)]
    # The palette's label is placed first, and the others find room beside it.
    singles.sort(key=lambda way: way.name != SOLVED)
    drawn = [np.zeros(len(units.names)), *(way.judged.levels[0] for way in singles)]
    x, y = (np.array([float(units.of(v, np.array(level[v]))) for level in drawn]) for v in pair)
    ends = [
        np.concatenate([at, *(np.ravel(trace[axis]) for trace in figure.data)]) for axis, at in (("x", x), ("y", y))
    ]
    edges = tuple((float(np.nanmin(along)), float(np.nanmax(along))) for along in ends)
    base_place, *other_places = label_places.positions(
        x, y, ["Base", *(data.title(way) for way in singles)], edges, PLANE - AROUND_PLANE
    )
    figure.add_scatter(
        x=[units.of(across, np.array(0.0))],
        y=[units.of(upwards, np.array(0.0))],
        mode="markers+text",
        text=["<b>Base</b>"],
        textposition=base_place,
        marker={"size": 11, "color": NEUTRAL, "line": {"width": 2, "color": "white"}},
        hovertemplate="Base model<extra></extra>",
        name="base model",
    )
    for way, place in zip(singles, other_places, strict=True):
        level = way.judged.levels[0]
        figure.add_scatter(
            x=[units.of(across, np.array(level[across]))],
            y=[units.of(upwards, np.array(level[upwards]))],
            mode="markers+text",
            text=[f"<b>{escape(data.title(way))}</b>"],
            textposition=place,
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
    figure.update_xaxes(title=escape(units.axis(across)))
    figure.update_yaxes(title=escape(units.axis(upwards)))
    return figure.update_layout(hovermode="closest")


def strips(data: BaselineFigureData) -> go.Figure:
    """Draw one row per targeted value: every draw along its levels, with the palette, the target and the base model.

    Returns:
        A figure; a trace is named after each kind of random weights, and "palette", "target" and "base model".
    """
    units, wanted, figure = data.units, data.wanted, go.Figure()
    heights = {j: len(wanted) - 1 - place for place, j in enumerate(wanted)}
    for name, middle in ((RANDOM, 0.2), (SAME, -0.2)):
        way = data.way(name)
        if way is None:
            continue
        rows = _rows(way)
        # Spread by the golden ratio: even, and the same each time.
        spread = ((np.arange(len(rows)) * 0.6180339887) % 1.0 - 0.5) * 0.3
        figure.add_scatter(
            x=np.concatenate([units.of(j, way.judged.levels[rows, j]) for j in wanted]),
            y=np.concatenate([heights[j] + middle + spread for j in wanted]),
            mode="markers",
            marker=_dots(way, len(wanted)),
            hovertemplate=f"{units.wording.mark}%{{x:.0f}}<extra>" + escape(data.title(way)) + "</extra>",
            name=name,
        )
    solved = data.way(SOLVED)
    ticks = {"symbol": "line-ns", "size": 34}
    for name, levels, marker in (
        ("base model", np.zeros(len(data.targets)), {**ticks, "line": {"width": 2.5, "color": NEUTRAL}}),
        ("target", data.targets, {**ticks, "size": 46, "line": {"width": 2.5, "color": ACCENT}}),
        ("palette", None if solved is None else solved.judged.levels[0], {"symbol": "diamond", "size": 14}),
    ):
        if levels is None:
            continue
        shade = {"color": ACCENT, "line": {"width": 1.5, "color": "white"}} if name == "palette" else {}
        figure.add_scatter(
            x=[float(units.of(j, np.array(levels[j]))) for j in wanted],
            y=[heights[j] for j in wanted],
            mode="markers",
            marker={**marker, **shade},
            hovertemplate=f"{name}: {units.wording.mark}%{{x:.0f}}<extra></extra>",
            name=name,
        )
    figure = apply_layout(figure, STRIP * len(wanted) + 70)
    figure.update_xaxes(title=f"Level ({units.wording.scale})")
    names = [escape(sentences.capitalised(units.names[j])) for j in wanted]
    figure.update_yaxes(tickvals=[heights[j] for j in wanted], ticktext=names, range=[-0.6, len(wanted) - 0.4])
    return figure.update_layout(hovermode="closest")
