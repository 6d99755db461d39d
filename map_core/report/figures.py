"""The charts of a report: every value's level, the frontier of two values, and the cost of the most expensive target.

Constraint: a report in, chart coordinates out; each chart also carries its content as sentences.
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
#: Height of a value's row, and of the charts with two axes.
ROW, HEIGHT = 38, 300
#: Most lines that can be distinguished in one chart; the values that move the most are drawn.
MOST_LINES = 8
_TRACK = "#C9C4B8"


def figures(report: Report) -> dict[str, Chart]:
    """Return the charts by name: levels, frontier, price, others; those without data are left out."""
    charts = {"levels": levels(report), "frontier": frontier(report), "price": price(report), "others": others(report)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def levels(report: Report) -> Chart | None:
    """Draw every value on its own track: base level, target, and realised level with its interval."""
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
        title="The level of every value",
        said=tuple(notes),
        height=box.bottom + 24,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in (0, 25, 50, 75, 100)),
        spans=tuple(spans),
        marks=tuple(marks),
        labels=tuple(labels),
    )


def frontier(report: Report) -> Chart | None:
    """Draw the attainable levels of the two values with the highest prices, one contour per budget."""
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
    target = tuple(report.percentile(j, float(report.assessment.targets[j])) for j in curves.pair)
    point = None
    if report.solution is not None:
        point = tuple(report.percentile(j, float(report.solution.levels[j])) for j in curves.pair)
    drawn_points = [drawn for drawn in (base, target, point) if drawn is not None]
    box = Box(
        40,
        WIDTH - 14,
        12,
        HEIGHT - 42,
        round_ends([*np.concatenate(xs), *(drawn[0] for drawn in drawn_points)], low=0.0, high=100.0),
        round_ends([*np.concatenate(ys), *(drawn[1] for drawn in drawn_points)], low=0.0, high=100.0),
    )
    lines: list[ChartLine] = []
    labels: list[ChartLabel] = []
    marks: list[ChartMark] = []
    for index, (contour, x, y) in enumerate(zip(contours, xs, ys, strict=True)):
        limit = math.isinf(contour.budget)
        shade = NEUTRAL if limit else plane.CONTOUR_COLOURS[min(index, len(plane.CONTOUR_COLOURS) - 1)]
        lines.append(ChartLine(box.path(x, y), shade, "5 4" if limit else "", 1.6))
        # Above the end where only the vertical value counts: beside each other, at the other end, names would overlap.
        x_end, y_end = box.x(float(x[0])), max(box.y(float(y[0])) - 5, box.top + 10)
        if all(abs(y_end - other.y) > 12 for other in labels):
            labels.append(ChartLabel(x_end, y_end, "limit" if limit else _budget(report, contour.budget)))
    if not math.isnan(target[0]):
        lines.append(ChartLine(box.path([target[0], target[0]], box.upwards), ACCENT, "2 4", 1.0))
    if not math.isnan(target[1]):
        lines.append(ChartLine(box.path(box.across, [target[1], target[1]]), ACCENT, "2 4", 1.0))
    marks.append(ChartMark(box.x(base[0]), box.y(base[1]), "ring", NEUTRAL, "base model"))
    labels.append(ChartLabel(box.x(base[0]) + 8, box.y(base[1]) + 14, "Base"))
    text = plane.summary(curves, report.units)
    if not any(map(math.isnan, target)):
        marks.append(ChartMark(box.x(target[0]), box.y(target[1]), "diamond", ACCENT, "target"))
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
    """Format a cost in the unit of the chart's axis: nats, or percent of the most effort."""
    if report.wording.numbers:
        return f"{sentences.number(on_axis)} nats"
    return f"{amounts.fixed(on_axis)}% of the most effort"


def price(report: Report) -> Chart | None:
    """Draw the nats over the target of the most expensive value, with the other targets unchanged."""
    curve = report.curve
    if curve is None or report.solution is None:
        return None
    xs, cost = report.units.of(curve.value, curve.targets), float(report.units.efforts(report.solution.kl))
    costs = report.units.efforts(curve.kl)
    now = report.percentile(curve.value, float(report.aim[curve.value]))
    box = Box(40, WIDTH - 14, 12, HEIGHT - 42, _ends(xs, now), round_ends([0.0, cost, *costs], low=0.0))
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
            f"{_price(report, cost)}.",
        ),
        height=HEIGHT,
        box=box,
        x_ticks=tuple(Tick(box.x(p), report.wording.place(p)) for p in ticks(box.across)),
        y_ticks=tuple(Tick(box.y(kl), amounts.significant(kl)) for kl in ticks(box.upwards)),
        x_title=f"Target of {name}",
        y_title=report.wording.pick("Nats", "Effort, % of the most"),
        lines=tuple(lines),
        marks=(ChartMark(box.x(now), box.y(cost), "filled", ACCENT, f"here: {_price(report, cost)}"),),
        labels=(ChartLabel(box.x(now), box.top + 8, "here", "middle", here=True),),
    )


def others(report: Report) -> Chart | None:
    """Draw the levels of the other values over the same target."""
    curve = report.curve
    if curve is None:
        return None
    varying = [j for j in range(len(report.names)) if j != curve.value and not report.oracle.constant[j]]
    if not varying:
        return None
    ranges = np.ptp(curve.levels, axis=0)
    values = sorted(sorted(varying, key=lambda j: -ranges[j])[:MOST_LINES])
    xs = report.units.of(curve.value, curve.targets)
    now = report.percentile(curve.value, float(report.aim[curve.value]))
    ys = {j: report.units.of(j, curve.levels[:, j]) for j in values}
    box = Box(
        40,
        WIDTH - 118,
        12,
        HEIGHT - 42,
        _ends(xs, now),
        round_ends([float(y) for column in ys.values() for y in column], low=0.0, high=100.0),
    )
    lines = [_now(box, now)]
    lines += [ChartLine(box.path(xs, y), report.theme.colour(j), DASHES[dash(j)], 2.0) for j, y in ys.items()]
    label_heights = spread_apart([box.y(float(y[-1])) for y in ys.values()], 14, box.top + 4, box.bottom)
    # A leader in the value's colour joins each line to its name, which is drawn dark for contrast.
    ends = [box.path([float(xs[-1])], [float(y[-1])]) for y in ys.values()]
    lines += [
        ChartLine(f"{end}L{box.right + 10} {amounts.fixed(height, 1)}", report.theme.colour(j), "", 1.2)
        for j, end, height in zip(ys, ends, label_heights, strict=True)
    ]
    labels = [
        ChartLabel(box.right + 13, height + 4, _short(sentences.capitalised(report.names[j])))
        for j, height in zip(ys, label_heights, strict=True)
    ]
    texts = [
        f"{sentences.capitalised(report.names[j])}: {report.wording.level(y[0])} at the left, "
        f"{report.wording.level(y[-1])} at the right."
        for j, y in ys.items()
    ]
    few = "" if len(values) == len(varying) else f" (the {len(values)} that move most)"
    return Chart(
        title=f"Levels of the other values as {report.names[curve.value]} is raised{few}",
        said=tuple(texts),
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


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
