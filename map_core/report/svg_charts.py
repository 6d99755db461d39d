"""Small drawings as numbers: axes, lines, marks and labels placed in a box, for a template to write as SVG.

Every drawing is as wide as a telephone, so that its text can be read there; a page sets two beside each other.
Constraint: coordinates and plain text only; no markup is made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core import amounts

WIDTH = 360


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what it is called."""

    at: float
    label: str


@dataclass(frozen=True)
class ChartLine:
    """A line through points: the path of an SVG, its colour and dashes."""

    path: str
    colour: str
    dashes: str = ""
    width: float = 2.0


@dataclass(frozen=True)
class ChartMark:
    """A mark: "dot", "ring", "diamond", "filled" (a diamond) or "tick", named for those who point at it."""

    x: float
    y: float
    kind: str
    colour: str
    title: str = ""


@dataclass(frozen=True)
class ChartBar:
    """A horizontal bar: an interval, or the track that marks are drawn on."""

    left: float
    right: float
    y: float
    colour: str
    width: float = 4.0
    opacity: float = 0.35


@dataclass(frozen=True)
class ChartLabel:
    """Text in a drawing; its anchor is "start", "middle" or "end", and it may describe the palette itself."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    strong: bool = False
    here: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Args:
        title: what it shows, a few words.
        said: the same as sentences, for those who do not see it.
        height: its width is :data:`WIDTH`.
        box: where its axes are.
        x_ticks, y_ticks: of the axes.
        x_title, y_title: of the axes; may be empty.
        lines, spans, marks, labels: from the back to the front.
    """

    title: str
    said: tuple[str, ...]
    height: float
    box: Box
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    x_title: str = ""
    y_title: str = ""
    lines: tuple[ChartLine, ...] = ()
    spans: tuple[ChartBar, ...] = ()
    marks: tuple[ChartMark, ...] = ()
    labels: tuple[ChartLabel, ...] = ()


@dataclass(frozen=True)
class Box:
    """The plane of a drawing: from the units of its axes to places on paper.

    Args:
        left, right, top, bottom: edges on paper.
        across, upwards: lowest and highest number of each axis.
    """

    left: float
    right: float
    top: float
    bottom: float
    across: tuple[float, float]
    upwards: tuple[float, float] = (0.0, 1.0)

    def x(self, number: float) -> float:
        """Return the place of a number across."""
        return _placed(number, self.across, self.left, self.right)

    def y(self, number: float) -> float:
        """Return the place of a number upwards."""
        return _placed(number, self.upwards, self.bottom, self.top)

    def path(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """Return the path through some points; those that are no numbers are left out."""
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        return " ".join(
            f"{'L' if k else 'M'}{amounts.fixed(self.x(x), 1)} {amounts.fixed(self.y(y), 1)}"
            for k, (x, y) in enumerate(points)
        )


def _placed(number: float, ends: tuple[float, float], first: float, last: float) -> float:
    low, high = ends
    if not math.isfinite(number):
        return first
    share = (number - low) / (high - low) if high > low else 0.5
    return first + (last - first) * share


def round_ends(numbers: Sequence[float], *, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return the ends of an axis that hold all numbers, on round places; ``low`` and ``high`` are never passed.

    Example:
        >>> round_ends([41.0, 87.0], low=0.0, high=100.0)
        (40.0, 90.0)
    """
    finite = [float(number) for number in numbers if math.isfinite(number)]
    least, most = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if most - least < 1e-9:
        least, most = least - 0.5, most + 0.5
    step = _step(most - least, 5)
    ends = math.floor(least / step + 1e-9) * step, math.ceil(most / step - 1e-9) * step
    return (ends[0] if low is None else max(ends[0], low)), (ends[1] if high is None else min(ends[1], high))


def ticks(ends: tuple[float, float], most: int = 6) -> list[float]:
    """Return round places between two ends, at most so many and one."""
    step = _step(ends[1] - ends[0], most - 1)
    first = math.ceil(ends[0] / step - 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, math.floor(ends[1] / step + 1e-9) + 1)]


def _step(length: float, parts: int) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that needs no more parts."""
    rough = max(length, 1e-12) / parts
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


def spread_apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that they lie a gap apart within two ends, their order kept."""
    order = np.argsort(places, kind="stable")
    moved = np.clip(np.asarray(places, dtype=float)[order], low, high)
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    for k in range(len(moved) - 1, -1, -1):
        moved[k] = min(moved[k], high - gap * (len(moved) - 1 - k))
    placed = np.empty(len(moved))
    placed[order] = moved
    return placed.tolist()
