"""The drawings of a report: the level of every value, the frontier of two, and what the most expensive target costs.

Constraint: a report in, drawings as numbers out; each says in sentences what it shows.
"""

from __future__ import annotations

import math

import numpy as np

from map_core.core import amounts
from map_core.figures import plane
from map_core.figures.theme import ACCENT, NEUTRAL, dash
from map_core.report.contents import Report
from map_core.report.svg_charts import (
    WIDTH,
    Box,
    Chart,
    ChartBar,
    ChartLabel,
    ChartLine,
    ChartMark,
    Tick,
    round_ends,
    spread_apart,
    ticks,
)
from map_core.text import sentences
from map_core.text.wording import effort

DASHES = {"solid": "", "dash": "7 4", "dot": "2 3"}
#: Heights: of a value's row, and of the drawings with two axes.
ROW, HEIGHT = 38, 300
#: A level this close to its target, in standard deviations, is on it.
MET = 1e-6
#: Lines that can be told apart in one drawing: those that move the most.
MOST_LINES = 8
_TRACK = "#C9C4B8"


def figures(report: Report) -> dict[str, Chart]:
    """Return the drawings that there are, by name: levels, frontier, price, others."""
    drawn = {"levels": levels(report), "frontier": frontier(report), "price": price(report), "others": others(report)}
    return {name: chart for name, chart in drawn.items() if chart is not None}


def levels(report: Report) -> Chart | None:
    """Draw every value on its own track: base level, target, and what the palette gives with its interval."""
    if report.solution is None:
        return None
    values = range(report.plain)
    box = Box(10, WIDTH - 10, 22, 22 + ROW * report.plain, (0.0, 100.0))
    spans, marks, labels, notes = [], [], [], []
    for j in values:
        y = box.top + ROW * j + 22
        base, reached = report.percentile(j, 0.0), report.percentile(j, float(report.solution.levels[j]))
        target = report.percentile(j, float(report.aim[j]))
        name, shade = sentences.capitalised(report.names[j]), report.theme.colour(j)
        labels.append(ChartLabel(box.left, y - 9, name, strong=not math.isnan(target)))
        labels.append(
            ChartLabel(box.right, y - 9, f"{report.wording.level(base)} to {report.wording.level(reached)}", "end")
        )
        spans.append(ChartBar(box.left, box.right, y, _TRACK, 2.0, 1.0))
        sentence = f"{name}: base {report.wording.level(base)}, realised {report.wording.level(reached)}"
        if report.levels is not None:
            low, high = (report.percentile(j, float(end[j])) for end in (report.levels.low, report.levels.high))
            spans.append(ChartBar(box.x(low), box.x(high), y, shade, 9.0, 0.35))
            sentence += f" ({report.wording.level(low)} to {report.wording.level(high)})"
        marks.append(ChartMark(box.x(base), y, "tick", NEUTRAL, f"base {report.wording.level(base)}"))
        marks.append(ChartMark(box.x(reached), y, "dot", shade, f"realised {report.wording.level(reached)}"))
        if not math.isnan(target):
            marks.append(ChartMark(box.x(target), y, "diamond", ACCENT, f"target {report.wording.level(target)}"))
            sentence += f", target {report.wording.level(target)}"
        notes.append(sentence + ".")
    return Chart(
        title="What every value comes to",
        said=tuple(notes),
        height=box.bottom + 24,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in (0, 25, 50, 75, 100)),
        spans=tuple(spans),
        marks=tuple(marks),
        labels=tuple(labels),
    )


def frontier(report: Report) -> Chart | None:
    """Draw the levels that can be reached of the two values that cost most, at each budget."""
    curves = report.frontier
    if curves is None:
        return None
    across, upwards = curves.pair
    contours = [contour for contour in curves.contours if len(contour.levels)]
    if not contours:
        return None
    xs = [report.units.of(across, contour.levels[:, across]) for contour in contours]
    ys = [report.units.of(upwards, contour.levels[:, upwards]) for contour in contours]
    base = report.percentile(across, 0.0), report.percentile(upwards, 0.0)
    goal = tuple(report.percentile(j, float(report.assessment.targets[j])) for j in curves.pair)
    point = None
    if report.solution is not None:
        point = tuple(report.percentile(j, float(report.solution.levels[j])) for j in curves.pair)
    near = [place for place in (base, goal, point) if place is not None]
    box = Box(
        40,
        WIDTH - 14,
        12,
        HEIGHT - 42,
        round_ends([*np.concatenate(xs), *(place[0] for place in near)], low=0.0, high=100.0),
        round_ends([*np.concatenate(ys), *(place[1] for place in near)], low=0.0, high=100.0),
    )
    lines: list[ChartLine] = []
    labels: list[ChartLabel] = []
    marks: list[ChartMark] = []
    for number, (contour, x, y) in enumerate(zip(contours, xs, ys, strict=True)):
        limit = math.isinf(contour.budget)
        shade = NEUTRAL if limit else plane.CONTOUR_COLOURS[min(number, len(plane.CONTOUR_COLOURS) - 1)]
        lines.append(ChartLine(box.path(x, y), shade, "5 4" if limit else "", 1.6))
        # At the end where the value across counts alone: there contours lie furthest apart.
        x_end, y_end = box.x(float(x[-1])), box.y(float(y[-1]))
        if all(abs(x_end - other.x) > 20 for other in labels):
            labels.append(
                ChartLabel(
                    x_end,
                    min(y_end + 14, box.bottom - 3),
                    "limit" if limit else _budget(report, contour.budget),
                    "middle",
                )
            )
    for edge, level in enumerate(goal):
        if not math.isnan(level):
            ends = (([level, level], list(box.upwards)), (list(box.across), [level, level]))[edge]
            lines.append(ChartLine(box.path(*ends), ACCENT, "2 4", 1.0))
    marks.append(ChartMark(box.x(base[0]), box.y(base[1]), "ring", NEUTRAL, "base model"))
    labels.append(ChartLabel(box.x(base[0]) + 8, box.y(base[1]) + 14, "Base"))
    text = plane.summary(curves, report.units)
    if not any(map(math.isnan, goal)):
        marks.append(ChartMark(box.x(goal[0]), box.y(goal[1]), "diamond", ACCENT, "target"))
    if point is not None:
        marks.append(ChartMark(box.x(point[0]), box.y(point[1]), "filled", ACCENT, "what the palette gives"))
        right = box.x(point[0]) > WIDTH - 90
        labels.append(
            ChartLabel(
                box.x(point[0]) + (-9 if right else 9),
                box.y(point[1]) + 15,
                "Nearest" if report.stands_in else "Palette",
                "end" if right else "start",
                strong=True,
                here=True,
            )
        )
        text.append(
            f"{'The nearest palette' if report.stands_in else 'The palette'} gives {report.names[across]} "
            f"{report.wording.level(point[0])} and {report.names[upwards]} {report.wording.level(point[1])}."
        )
    return Chart(
        title=f"{sentences.capitalised(report.names[across])} against {report.names[upwards]}, "
        + report.wording.pick("at each budget of nats", "at each effort"),
        said=tuple(text),
        height=HEIGHT,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in ticks(box.across)),
        y_ticks=tuple(Tick(box.y(p), report.wording.place(p)) for p in ticks(box.upwards)),
        x_title=sentences.capitalised(report.names[across]),
        y_title=sentences.capitalised(report.names[upwards]),
        lines=tuple(lines),
        marks=tuple(marks),
        labels=tuple(labels),
    )


def _budget(report: Report, kl: float) -> str:
    return amounts.significant(kl) if report.wording.numbers else effort(kl)


def _price(report: Report, on_axis: float) -> str:
    """Word a distance as the axis of the figure has it."""
    if report.wording.numbers:
        return f"{sentences.number(on_axis)} nats"
    return f"{amounts.fixed(on_axis)}% of the most effort"


def price(report: Report) -> Chart | None:
    """Draw the nats spent as the target of the most expensive value is moved and the others stay."""
    curve = report.curve
    if curve is None or report.solution is None:
        return None
    xs, at = report.units.of(curve.value, curve.targets), float(report.units.efforts(report.solution.kl))
    costs = report.units.efforts(curve.kl)
    now = report.percentile(curve.value, float(report.aim[curve.value]))
    box = Box(40, WIDTH - 14, 12, HEIGHT - 42, _ends(xs, now), round_ends([0.0, at, *costs], low=0.0))
    lines = [_now(box, now), ChartLine(box.path(xs, costs), report.theme.colour(curve.value), width=2.4)]
    name = report.names[curve.value]
    first, last = (
        f"{_price(report, float(end))} at {report.wording.level(x)}"
        for end, x in ((costs[0], xs[0]), (costs[-1], xs[-1]))
    )
    return Chart(
        title=f"What {name} costs, the other targets kept",
        said=(
            f"The target of {name} costs {first} and {last}; here it is {report.wording.level(now)}, at "
            f"{_price(report, at)}.",
        ),
        height=HEIGHT,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in ticks(box.across)),
        y_ticks=tuple(Tick(box.y(kl), amounts.significant(kl)) for kl in ticks(box.upwards)),
        x_title=f"Target of {name}",
        y_title=report.wording.pick("Nats", "Effort, % of the most"),
        lines=tuple(lines),
        marks=(ChartMark(box.x(now), box.y(at), "filled", ACCENT, f"here: {_price(report, at)}"),),
        labels=(ChartLabel(box.x(now), box.top + 8, "here", "middle", here=True),),
    )


def others(report: Report) -> Chart | None:
    """Draw the levels of the other values along the same sweep."""
    curve = report.curve
    if curve is None:
        return None
    varying = [j for j in range(len(report.names)) if j != curve.value and not report.oracle.constant[j]]
    if not varying:
        return None
    moves = np.ptp(curve.levels, axis=0)
    values = sorted(sorted(varying, key=lambda j: -moves[j])[:MOST_LINES])
    xs = report.units.of(curve.value, curve.targets)
    now = report.percentile(curve.value, float(report.aim[curve.value]))
    ys = {j: report.units.of(j, curve.levels[:, j]) for j in values}
    box = Box(
        40,
        WIDTH - 110,
        12,
        HEIGHT - 42,
        _ends(xs, now),
        round_ends([float(y) for column in ys.values() for y in column], low=0.0, high=100.0),
    )
    lines = [_now(box, now)]
    lines += [ChartLine(box.path(xs, y), report.theme.colour(j), DASHES[dash(j)], 2.0) for j, y in ys.items()]
    places = spread_apart([box.y(float(y[-1])) for y in ys.values()], 14, box.top + 4, box.bottom)
    # A leader in the value's colour joins each line to its name, which stays dark enough to read.
    ends = [box.path([float(xs[-1])], [float(y[-1])]) for y in ys.values()]
    lines += [
        ChartLine(f"{end}L{box.right + 10} {amounts.fixed(place, 1)}", report.theme.colour(j), "", 1.2)
        for j, end, place in zip(ys, ends, places, strict=True)
    ]
    labels = [
        ChartLabel(box.right + 13, place + 4, _short(sentences.capitalised(report.names[j])))
        for j, place in zip(ys, places, strict=True)
    ]
    parts = [
        f"{sentences.capitalised(report.names[j])}: {report.wording.level(y[0])} at the left, "
        f"{report.wording.level(y[-1])} at the right."
        for j, y in ys.items()
    ]
    few = "" if len(values) == len(varying) else f" (the {len(values)} that move most)"
    return Chart(
        title=f"What the other values do as {report.names[curve.value]} is raised{few}",
        said=tuple(parts),
        height=HEIGHT,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in ticks(box.across, 5)),
        y_ticks=tuple(Tick(box.y(p), report.wording.place(p)) for p in ticks(box.upwards)),
        x_title=f"Target of {report.names[curve.value]}",
        y_title="Level",
        lines=tuple(lines),
        labels=tuple(labels),
    )


def _ends(xs: np.ndarray, now: float) -> tuple[float, float]:
    return round_ends([*xs, now], low=0.0, high=100.0)


def _now(box: Box, now: float) -> ChartLine:
    return ChartLine(box.path([now, now], list(box.upwards)), ACCENT, "2 4", 1.0)


def _short(name: str, most: int = 15) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
