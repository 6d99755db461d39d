"""Coordinates of small charts: axes, lines, marks and labels in a box, which a template writes as SVG.

Every chart is as wide as a phone's screen, so that its text is legible there; a wide page sets two side by side.
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
    """A position on an axis, in pixels, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class ChartLine:
    """A polyline: SVG path data, colour and dash pattern."""

    path: str
    colour: str
    dashes: str = ""
    width: float = 2.0


@dataclass(frozen=True)
class ChartMark:
    """A mark: "dot", "ring", "diamond", "filled" (a diamond) or "tick", with a title for its tooltip."""

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
    """Text in a chart; ``anchor`` is "start", "middle" or "end", and ``here`` marks the label of the palette itself."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    strong: bool = False
    here: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart; its width is :data:`WIDTH`.

    Args:
        title: what it shows, in a few words.
        said: its content as sentences, for screen readers and as a caption.
        height: height in pixels.
        box: position and ranges of the axes.
        x_ticks: ticks of the horizontal axis.
        y_ticks: ticks of the vertical axis.
        x_title: title of the horizontal axis; may be empty.
        y_title: title of the vertical axis; may be empty.
        lines: polylines, drawn first.
        spans: horizontal bars, drawn over the lines.
        marks: marks, drawn over the bars.
        labels: texts, drawn last.
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
    """The plot area of a chart, which maps data to pixels.

    Args:
        left: left edge, in pixels.
        right: right edge.
        top: upper edge.
        bottom: lower edge.
        across: data range of the horizontal axis, (lowest, highest).
        upwards: data range of the vertical axis.
    """

    left: float
    right: float
    top: float
    bottom: float
    across: tuple[float, float]
    upwards: tuple[float, float] = (0.0, 1.0)

    def x(self, number: float) -> float:
        """Map a number of the horizontal axis to pixels."""
        return _interpolated(number, self.across, self.left, self.right)

    def y(self, number: float) -> float:
        """Map a number of the vertical axis to pixels."""
        return _interpolated(number, self.upwards, self.bottom, self.top)

    def path(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """Return SVG path data through some points; those with NaN or infinity are left out."""
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        return " ".join(
            f"{'L' if k else 'M'}{amounts.fixed(self.x(x), 1)} {amounts.fixed(self.y(y), 1)}"
            for k, (x, y) in enumerate(points)
        )


def _interpolated(number: float, ends: tuple[float, float], first: float, last: float) -> float:
    """Map ``ends`` linearly to ``first`` and ``last``; a number that is not finite gives ``first``."""
    low, high = ends
    if not math.isfinite(number):
        return first
    share = (number - low) / (high - low) if high > low else 0.5
    return first + (last - first) * share


def round_ends(numbers: Sequence[float], *, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return the round ends of an axis that contain all numbers, within ``low`` and ``high``.

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
    """Return round numbers between two ends, at most ``most`` + 1 of them."""
    step = _step(ends[1] - ends[0], most - 1)
    first = math.ceil(ends[0] / step - 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, math.floor(ends[1] / step + 1e-9) + 1)]


def _step(length: float, parts: int) -> float:
    """Return the smallest step of 1, 2 or 5 times a power of ten that divides a length into at most ``parts``."""
    rough = max(length, 1e-12) / parts
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


def spread_apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least ``gap`` within [low, high], keeping their order."""
    order = np.argsort(positions, kind="stable")
    moved = np.clip(np.asarray(positions, dtype=float)[order], low, high)
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    for k in range(len(moved) - 1, -1, -1):
        moved[k] = min(moved[k], high - gap * (len(moved) - 1 - k))
    spread = np.empty(len(moved))
    spread[order] = moved
    return spread.tolist()
