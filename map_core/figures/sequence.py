"""Sequential alignment: the level of each value step by step, and what later steps undo, beside all values at once.

Constraint: nothing is solved here; a change under :data:`NEAR` is not marked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from map_core.analysis.sequential import SequentialPath
from map_core.core import amounts
from map_core.figures.theme import ACCENT, DEFAULT_THEME, NEUTRAL, Theme, apply_layout, dash
from map_core.solver.newton import Solution
from map_core.text import sentences
from map_core.text.units import Units
from map_core.text.wording import effort

#: Levels closer than this, in standard deviations, are equal to a reader.
NEAR = 0.01
#: Heights in pixels: of one value's panel, and of the margins around the panels.
PANEL, AROUND = 104, 96
#: Largest number of steps that are named on the axis and whose falls are labelled.
MAX_NAMED_STEPS = 9
#: Smallest range of a panel in percentiles, so that a small change does not look large.
LEAST_SPAN = 8.0


@dataclass(frozen=True, eq=False)
class SequenceFigureData:
    """The data of the figure and texts.

    Args:
        path: cut to the rounds to be shown.
        together: the solution for all values at once; None where the targets are out of reach.
        units: percentiles of the base model's replies.
        theme: colours of the values.
    """

    path: SequentialPath
    together: Solution | None
    units: Units
    theme: Theme = DEFAULT_THEME

    def name(self, value: int) -> str:
        """Return a value's name with a capital letter."""
        return sentences.capitalised(self.units.names[value])

    def at(self, value: int, levels: np.ndarray) -> np.ndarray:
        """Return (step + 1,) levels of one value in the units of the axis."""
        return self.units.of(value, levels)

    def level(self, value: int, level: float) -> str:
        """Word a level of one value, with as many digits as it takes to distinguish the levels that are mentioned."""
        return self.units.wording.level(float(self.at(value, np.array(level))), self._digits[value])

    def change(self, step: int, value: int) -> tuple[str, str]:
        """Word the levels of one value before and after a step; steps are numbered from 0."""
        before, after = self.path.levels[step : step + 2, value]
        return self.level(value, before), self.level(value, after)

    @cached_property
    def _digits(self) -> dict[int, int]:
        """Decimals of each value's levels: 1 where two mentioned levels differ by less than one unit, else 0."""
        digits = {}
        for j in self.path.order:
            levels, target = self.at(j, self.path.levels[:, j]), float(self.at(j, np.array(self.path.targets[j])))
            mentioned = (self.path.aligned == j) | (self.path.undone[:, j] >= NEAR)
            missed = [target - levels[-1]] if self.path.shortfall[-1][j] >= NEAR else []
            differences = np.abs([*np.diff(levels)[mentioned], *missed])
            digits[j] = int(((differences >= 0.05) & (differences < 1)).any())
        return digits


def path(data: SequenceFigureData) -> go.Figure:
    """Draw one panel per value, in the order of alignment, and one of the distance, over the steps.

    Returns:
        A figure; in the panel of each value its level is named after it, what other steps took from it
        "undone: NAME", its target "target: NAME" and the simultaneous level "all at once: NAME".
    """
    sequential, order = data.path, data.path.order
    rows = len(order) + 1
    titles = [_title(data, j) for j in order] + [_distance_title(data)]
    figure = make_subplots(
        rows, 1, shared_xaxes=True, vertical_spacing=34 / (PANEL * rows), subplot_titles=[escape(t) for t in titles]
    )
    end = sequential.steps + (1 if sequential.steps < 6 else max(1, round(0.12 * sequential.steps)))

    for row, j in enumerate(order, start=1):
        levels, target = data.at(j, sequential.levels[:, j]), float(data.at(j, np.array(sequential.targets[j])))
        together = math.nan if data.together is None else float(data.at(j, np.array(data.together.levels[j])))
        _add_panel(figure, data, row, j, levels, target, together, end)
        low, high = np.nanmin([*levels, target, together]), np.nanmax([*levels, target, together])
        middle, span = (low + high) / 2, max(LEAST_SPAN, high - low)
        figure.update_yaxes(
            range=[middle - 0.66 * span, middle + 0.66 * span], tickprefix=data.units.wording.mark, nticks=4, row=row
        )
    _add_distance(figure, data, rows, end)
    _label_steps(figure, data, rows, end)
    figure = apply_layout(figure, PANEL * rows + AROUND)
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    return figure.update_layout(hovermode="closest", margin={"l": 8, "r": 30, "t": 30, "b": 8})


def _title(data: SequenceFigureData, value: int) -> str:
    reached = data.level(value, data.path.levels[-1, value])
    beside = "" if data.together is None else f", all at once {data.level(value, data.together.levels[value])}"
    return f"{data.name(value)}: {reached} at the end{beside}"


def _distance_title(data: SequenceFigureData) -> str:
    wording = data.units.wording
    if not wording.numbers:
        # Short enough for a phone, where a title is cut off and not wrapped.
        beside = "" if data.together is None else f", all at once {effort(data.together.kl)}"
        return f"Effort in %: {effort(float(data.path.kl[-1]))} at the end{beside}"
    beside = "" if data.together is None else f", all at once {sentences.number(data.together.kl)}"
    return f"Distance: {sentences.number(float(data.path.kl[-1]))} nats at the end{beside}"


def _add_panel(
    figure: go.Figure,
    data: SequenceFigureData,
    row: int,
    value: int,
    levels: np.ndarray,
    target: float,
    together: float,
    end: int,
) -> None:
    """Add the traces of one value to its panel.

    Args:
        figure: with a panel in each row.
        data: the path.
        row: of the panel, from 1.
        value: position of the value.
        levels: (step + 1,) in the units of the axis.
        target: likewise.
        together: the simultaneous level, likewise; NaN for none.
        end: x of the simultaneous level.
    """
    sequential, shade, name = data.path, data.theme.colour(value), data.units.names[value]
    figure.add_scatter(
        x=[0, end],
        y=[target, target],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        hovertemplate=f"target {data.units.hover}<extra></extra>",
        name=f"target: {name}",
        row=row,
        col=1,
    )
    aligns_value = sequential.aligned == value
    figure.add_scatter(
        x=np.arange(sequential.steps + 1),
        y=levels,
        mode="lines+markers",
        line={"color": shade, "width": 2.5, "dash": dash(value), "shape": "hv"},
        marker={"size": np.where([False, *aligns_value], 10, 4), "color": shade, "opacity": 1.0},
        customdata=["base model", *(f"step {n}, {escape(data.units.names[j])}" for n, j in numbered_steps(sequential))],
        hovertemplate=f"%{{customdata}}: {data.units.wording.mark}%{{y:.1f}}<extra></extra>",
        name=name,
        row=row,
        col=1,
    )
    falls = np.flatnonzero(sequential.undone[:, value] >= NEAR) + 1
    if len(falls):
        # A fall is drawn as a thick line down to an arrow, so that it is recognised by shape and not only by colour.
        figure.add_scatter(
            x=[x for step in falls for x in (step, step, None)],
            y=[y for step in falls for y in (levels[step - 1], levels[step], None)],
            mode="lines",
            line={"color": ACCENT, "width": 4},
            hoverinfo="skip",
            name=f"falls: {name}",
            row=row,
            col=1,
        )
        sizes = [float(levels[step - 1] - levels[step]) for step in falls]
        figure.add_scatter(
            x=falls,
            y=levels[falls],
            mode="markers+text",
            marker={"symbol": "triangle-down", "size": 12, "color": ACCENT, "line": {"width": 0}},
            text=[
                f"−{amounts.fixed(size, 0 if size >= 1 else 1)}" if sequential.steps <= MAX_NAMED_STEPS else ""
                for size in sizes
            ],
            textposition="bottom right",
            textfont={"size": 12},
            hoverinfo="skip",
            name=f"undone: {name}",
            row=row,
            col=1,
        )
    if math.isfinite(together):
        figure.add_scatter(
            x=[end],
            y=[together],
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": shade, "line": {"width": 1.5, "color": NEUTRAL}},
            hovertemplate=f"all at once: {data.units.wording.mark}%{{y:.1f}}<extra></extra>",
            name=f"all at once: {name}",
            row=row,
            col=1,
        )


def numbered_steps(sequential: SequentialPath) -> list[tuple[int, int]]:
    """Return the steps as (number from 1, position of the value that is aligned)."""
    return [(number, int(j)) for number, j in enumerate(sequential.aligned, start=1)]


def _add_distance(figure: go.Figure, data: SequenceFigureData, row: int, end: int) -> None:
    """Add the panel of the distance from the base model."""
    sequential = data.path
    effort = data.units.wording.pick("%{y:.3f} nats", "%{y:.0f}% of the most")
    figure.add_scatter(
        x=np.arange(sequential.steps + 1),
        y=data.units.efforts(sequential.kl),
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 2.5, "shape": "hv"},
        marker={"size": 5, "color": NEUTRAL},
        fill="tozeroy",
        fillcolor="rgba(128,138,148,0.15)",
        hovertemplate=f"{effort}<extra></extra>",
        name="distance",
        row=row,
        col=1,
    )
    if data.together is not None:
        figure.add_scatter(
            x=[end],
            y=[float(data.units.efforts(data.together.kl))],
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": NEUTRAL},
            hovertemplate=f"all at once: {effort}<extra></extra>",
            name="all at once: distance",
            row=row,
            col=1,
        )
    figure.update_yaxes(rangemode="tozero", nticks=4, row=row)


def _label_steps(figure: go.Figure, data: SequenceFigureData, rows: int, end: int) -> None:
    """Label steps by name where there is room, by round otherwise, and draw a line where a round ends."""
    sequential, size = data.path, len(data.path.order)
    ticks, texts = [0], ["Base"]
    if sequential.steps <= MAX_NAMED_STEPS:
        ticks += [number for number, _ in numbered_steps(sequential)]
        texts += [escape(data.name(j)) for _, j in numbered_steps(sequential)]
    else:
        ticks += [min(size * number, sequential.steps) for number in range(1, sequential.rounds + 1)]
        texts += [f"Round {number}" if number == 1 else str(number) for number in range(1, sequential.rounds + 1)]
    if data.together is not None:
        ticks, texts = [*ticks, end], [*texts, "All at once"]
    # Added in one call: Plotly's add_vline would update every panel for every line.
    round_lines = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": size * number + 0.5,
            "x1": size * number + 0.5,
            "y0": 0,
            "y1": 1,
            "line": {"color": "rgba(128,138,148,0.4)", "width": 1},
        }
        for number in range(1, sequential.rounds)
    ]
    figure.update_layout(shapes=round_lines)
    padding = 0.02 * end
    last = end if data.together is not None else sequential.steps
    figure.update_xaxes(range=[-padding, last + max(2 * padding, 0.2)], tickvals=ticks, ticktext=texts)
    figure.update_xaxes(showticklabels=True, row=rows)
