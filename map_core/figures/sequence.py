"""One value after another: the level of each value step by step, what later steps undo, beside all values at once.

Constraint: nothing is solved here; a change under :data:`NEAR` is left unsaid.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from map_core import words
from map_core.dual import Solution, Status
from map_core.figures.design import ACCENT, NEUTRAL, Units, colour, dash, laid_out
from map_core.sequence import SequentialPath

#: Levels so close, in standard deviations, are the same to a reader.
NEAR = 0.01
#: Height of one value's panel, and of what is around the panels.
PANEL, AROUND = 104, 96
#: Steps are named on the axis, and falls labelled, up to so many of them.
MOST_NAMED = 9
#: The least height of a panel in percentiles, so that a small change does not look large.
LEAST_SPAN = 8.0


@dataclass(frozen=True, eq=False)
class Shown:
    """What is drawn.

    Args:
        path: of as many rounds as are looked at.
        together: all values at once; None where the targets are out of reach.
        units: percentiles of the base model's replies.
    """

    path: SequentialPath
    together: Solution | None
    units: Units

    def name(self, value: int) -> str:
        """A value as it begins a line."""
        return words.capitalised(self.units.names[value])

    def at(self, value: int, levels: np.ndarray) -> np.ndarray:
        """(step + 1,) levels of one value in the units of the axis."""
        return self.units.of(value, levels)

    def change(self, value: int, before: float, after: float) -> tuple[str, str]:
        """Two levels in words, with as many digits as tell them apart."""
        shown = self.units.of(value, np.array([before, after]))
        digits = 1 if 0.05 <= abs(shown[1] - shown[0]) < 1 else 0
        return f"p{shown[0]:.{digits}f}", f"p{shown[1]:.{digits}f}"


@dataclass(frozen=True)
class Step:
    """One step of a path, in words.

    Args:
        number, round: from 1.
        value: position of the value that is aligned.
        before, after: its level.
        undone: (position, before, after) of each value that was aligned before and fell below its target by this.
        nats: distance from the base model after the step.
    """

    number: int
    round: int
    value: int
    before: str
    after: str
    undone: tuple[tuple[int, str, str], ...]
    nats: float


def steps(shown: Shown) -> tuple[Step, ...]:
    """Every step of the path."""
    path, told = shown.path, []
    undone = path.undone
    for at, value in enumerate(path.aligned):
        j = int(value)
        fell = [int(i) for i in np.flatnonzero(undone[at] >= NEAR)]
        told.append(
            Step(
                at + 1,
                at // len(path.order) + 1,
                j,
                *shown.change(j, path.levels[at, j], path.levels[at + 1, j]),
                tuple((i, *shown.change(i, path.levels[at, i], path.levels[at + 1, i])) for i in fell),
                float(path.kl[at + 1]),
            )
        )
    return tuple(told)


def path(shown: Shown) -> go.Figure:
    """A panel a value, in their order, and one of the distance; steps run across.

    Returns:
        A figure; in the panel of each value its level is named after it, what other steps took from it
        "undone: NAME", its target "target: NAME" and the simultaneous level "all at once: NAME".
    """
    found, order = shown.path, shown.path.order
    rows = len(order) + 1
    titles = [_title(shown, j) for j in order] + [_distance(shown)]
    figure = make_subplots(
        rows, 1, shared_xaxes=True, vertical_spacing=34 / (PANEL * rows), subplot_titles=[escape(t) for t in titles]
    )
    end = found.steps + (1 if found.steps < 6 else max(1, round(0.12 * found.steps)))
    levels = {j: shown.at(j, found.levels[:, j]) for j in order}
    goals = {j: float(shown.at(j, np.array(found.targets[j]))) for j in order}
    ends = {
        j: math.nan if shown.together is None else float(shown.at(j, np.array(shown.together.levels[j]))) for j in order
    }
    spans = {j: (np.nanmin([*levels[j], goals[j], ends[j]]), np.nanmax([*levels[j], goals[j], ends[j]])) for j in order}
    for row, j in enumerate(order, start=1):
        _panel(figure, shown, row, j, levels[j], goals[j], ends[j], end)
        middle, span = sum(spans[j]) / 2, max(LEAST_SPAN, spans[j][1] - spans[j][0])
        figure.update_yaxes(range=[middle - 0.66 * span, middle + 0.66 * span], tickprefix="p", nticks=4, row=row)
    _nats(figure, shown, rows, end)
    _across(figure, shown, rows, end)
    figure = laid_out(figure, PANEL * rows + AROUND)
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    return figure.update_layout(hovermode="closest", margin={"l": 8, "r": 30, "t": 30, "b": 8})


def _title(shown: Shown, value: int) -> str:
    reached = shown.units.said(value, shown.path.levels[-1, value])
    beside = "" if shown.together is None else f", all at once {shown.units.said(value, shown.together.levels[value])}"
    return f"{shown.name(value)}: {reached} at the end{beside}"


def _distance(shown: Shown) -> str:
    beside = "" if shown.together is None else f", all at once {words.number(shown.together.kl)}"
    return f"Distance: {words.number(float(shown.path.kl[-1]))} nats at the end{beside}"


def _panel(
    figure: go.Figure, shown: Shown, row: int, value: int, levels: np.ndarray, goal: float, together: float, end: int
) -> None:
    found, shade, name = shown.path, colour(value), shown.units.names[value]
    at = np.arange(found.steps + 1)
    figure.add_scatter(
        x=[0, end],
        y=[goal, goal],
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        hovertemplate="target p%{y:.0f}<extra></extra>",
        name=f"target: {name}",
        row=row,
        col=1,
    )
    mine = found.aligned == value
    figure.add_scatter(
        x=at,
        y=levels,
        mode="lines+markers",
        line={"color": shade, "width": 2.5, "dash": dash(value), "shape": "hv"},
        marker={"size": np.where([False, *mine], 10, 4), "color": shade, "opacity": 1.0},
        customdata=["base model", *(f"step {n}, {escape(shown.units.names[j])}" for n, j in _numbered(found))],
        hovertemplate="%{customdata}: p%{y:.1f}<extra></extra>",
        name=name,
        row=row,
        col=1,
    )
    fell = np.flatnonzero(found.undone[:, value] >= NEAR) + 1
    if len(fell):
        # A fall is a thick line down to an arrow: told by shape, and by its label where there is room.
        figure.add_scatter(
            x=[place for step in fell for place in (step, step, None)],
            y=[level for step in fell for level in (levels[step - 1], levels[step], None)],
            mode="lines",
            line={"color": ACCENT, "width": 4},
            hoverinfo="skip",
            name=f"falls: {name}",
            row=row,
            col=1,
        )
        by = [float(levels[step - 1] - levels[step]) for step in fell]
        figure.add_scatter(
            x=fell,
            y=levels[fell],
            mode="markers+text",
            marker={"symbol": "triangle-down", "size": 12, "color": ACCENT, "line": {"width": 0}},
            text=[f"−{size:.{0 if size >= 1 else 1}f}" if found.steps <= MOST_NAMED else "" for size in by],
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
            hovertemplate="all at once: p%{y:.1f}<extra></extra>",
            name=f"all at once: {name}",
            row=row,
            col=1,
        )


def _numbered(found: SequentialPath) -> list[tuple[int, int]]:
    return [(number, int(j)) for number, j in enumerate(found.aligned, start=1)]


def _nats(figure: go.Figure, shown: Shown, row: int, end: int) -> None:
    found = shown.path
    figure.add_scatter(
        x=np.arange(found.steps + 1),
        y=found.kl,
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 2.5, "shape": "hv"},
        marker={"size": 5, "color": NEUTRAL},
        fill="tozeroy",
        fillcolor="rgba(128,138,148,0.15)",
        hovertemplate="%{y:.3f} nats<extra></extra>",
        name="distance",
        row=row,
        col=1,
    )
    if shown.together is not None:
        figure.add_scatter(
            x=[end],
            y=[shown.together.kl],
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": NEUTRAL},
            hovertemplate="all at once: %{y:.3f} nats<extra></extra>",
            name="all at once: distance",
            row=row,
            col=1,
        )
    figure.update_yaxes(rangemode="tozero", nticks=4, row=row)


def _across(figure: go.Figure, shown: Shown, rows: int, end: int) -> None:
    """Steps by name where there is room, rounds otherwise, and a line where a round ends."""
    found, size = shown.path, len(shown.path.order)
    places, texts = [0], ["Base"]
    if found.steps <= MOST_NAMED:
        places += [number for number, _ in _numbered(found)]
        texts += [escape(shown.name(j)) for _, j in _numbered(found)]
    else:
        ends = [min(size * number, found.steps) for number in range(1, found.rounds + 1)]
        places += ends
        texts += [f"Round {number}" if number == 1 else str(number) for number in range(1, found.rounds + 1)]
    if shown.together is not None:
        places, texts = [*places, end], [*texts, "All at once"]
    # All at once: added one by one, Plotly goes through every panel anew for each.
    ends_of_rounds = [
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
        for number in range(1, found.rounds)
    ]
    figure.update_layout(shapes=ends_of_rounds)
    room = 0.02 * end
    last = end if shown.together is not None else found.steps
    figure.update_xaxes(range=[-room, last + max(2 * room, 0.2)], tickvals=places, ticktext=texts)
    figure.update_xaxes(showticklabels=True, row=rows)


def summary(shown: Shown) -> list[str]:
    """The path in words: a sentence a step, each with what it undid."""
    said = []
    for step in steps(shown):
        name = shown.units.names[step.value]
        sentence = f"{step.number}. Aligning {name} brings it from {step.before} to {step.after}"
        if step.before == step.after:
            sentence = f"{step.number}. Aligning {name} leaves it at {step.after}"
        taken = [f"{shown.units.names[i]} from {before} to {after}" for i, before, after in step.undone]
        said.append(f"{sentence}; it took {words.listed(taken)}." if taken else f"{sentence}.")
    return said


def undone(shown: Shown) -> str:
    """The largest single loss on the way, in a sentence that can be repeated."""
    lost = shown.path.undone
    if not shown.path.steps:
        return "Not one step can be taken."
    if lost.max() < NEAR:
        return "No step takes back what an earlier one gave."
    at, i = (int(place) for place in np.unravel_index(np.argmax(lost), lost.shape))
    before, after = shown.change(i, shown.path.levels[at, i], shown.path.levels[at + 1, i])
    name, by = shown.units.names[i], shown.units.names[int(shown.path.aligned[at])]
    return f"Aligning {by} took {name} from {before} to {after}."


def missed(shown: Shown) -> list[str]:
    """Where each value ends that is below its target, the furthest below first."""
    found, said = shown.path, []
    for j in np.argsort(-found.shortfall[-1]):
        if found.shortfall[-1][j] >= NEAR:
            reached, asked = shown.change(int(j), found.levels[-1, j], found.targets[j])
            said.append(f"{shown.units.names[j]} is at {reached} of {asked}")
    return said


def ending(shown: Shown) -> str:
    """Where the path ends, against the targets and against all at once."""
    found, together = shown.path, shown.together
    after = f"After {found.rounds} round{'s' * (found.rounds != 1)}"
    misses = words.listed(missed(shown))
    nats = f"{words.number(float(found.kl[-1]))} nats"
    if together is None:
        where = f": {misses}" if misses else ""
        return f"{after}{where}, at {nats}; no number of rounds meets all targets." if found.steps else ""
    beside = f"all at once meets every target with {words.number(together.kl)}"
    if not misses:
        return f"{after} every target is met, with {nats}; {beside}."
    return f"{after} {misses}, with {nats} spent; {beside}."


def needed(shown: Shown, rounds: int | None, searched: int) -> str:
    """How many rounds it takes until the path is the simultaneous solution.

    Args:
        shown: for the number of values.
        rounds: as :meth:`map_core.sequence.SequentialPath.rounds_to` found it within :data:`NEAR`.
        searched: rounds that were gone through.
    """
    same = f"within {NEAR:g} standard deviations of all at once"
    if rounds is None:
        return f"After {searched} rounds the levels are not yet {same}."
    if rounds <= 1:
        return f"In this order one round is enough: every level is then {same}."
    return f"In this order it takes {rounds} rounds until every level is, and stays, {same}."


def table(shown: Shown) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """A row a step: the header, and (position of the aligned value, cells)."""
    rows = []
    for step in steps(shown):
        # No break within a change: it is read as one.
        taken = [f"{shown.units.names[i]} {before}\u00a0→\u00a0{after}" for i, before, after in step.undone]
        change = step.after if step.before == step.after else f"{step.before}\u00a0→\u00a0{step.after}"
        cells = [f"{step.number}. {shown.name(step.value)}", change]
        rows.append((step.value, [*cells, ", ".join(taken) or "–", f"{step.nats:.3f}"]))
    return ["Step", "Its level", "What it undid", "Nats"], rows


def alt(shown: Shown) -> str:
    """The figure in a sentence."""
    names = words.listed([shown.units.names[j] for j in shown.path.order])
    return f"The level of each value step by step, aligned in the order {names}. {undone(shown)} {ending(shown)}"


def sequence_csv(shown: Shown) -> str:
    """A row a step, and one of all at once: nats, then every level in reward units and what was undone in sd."""
    oracle, found, out = shown.units.oracle, shown.path, io.StringIO()
    writer = csv.writer(out)
    values = oracle.values
    writer.writerow(
        [
            "step",
            "round",
            "aligned",
            "kl_nats",
            *(f"level_{v}" for v in values),
            *(f"weight_{v}" for v in values),
            *(f"undone_sd_{v}" for v in values),
        ]
    )

    def row(label: Sequence[object], kl: float, levels: np.ndarray, x: np.ndarray, lost: np.ndarray) -> None:
        numbers = [kl, *oracle.rewards_at(levels), *(x / oracle.scale), *lost]
        writer.writerow([*label, *(float(number) for number in numbers)])

    nothing = np.zeros(len(values))
    row([0, 0, ""], 0.0, found.levels[0], found.weights[0], nothing)
    for number, j in _numbered(found):
        label = [number, (number - 1) // len(found.order) + 1, values[j]]
        row(label, found.kl[number], found.levels[number], found.weights[number], found.undone[number - 1])
    if shown.together is not None:
        row(["all at once", "", ""], shown.together.kl, shown.together.levels, shown.together.weights, nothing)
    return out.getvalue()


def stopped(shown: Shown) -> str:
    """Why a path that was proven out of reach stops; empty where it does not."""
    found = shown.path
    if found.status is not Status.UNBOUNDED:
        return ""
    following = found.order[found.steps % len(found.order)]
    if not found.steps:
        return f"The path stops before its first step: {shown.units.names[following]} alone cannot come to its target."
    return f"The path stops after step {found.steps}: that shows that no weights reach these targets together."
