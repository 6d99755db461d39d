"""Positions of the labels of points, so that none covers another or leaves the figure on a narrow screen.

Constraint: sizes are estimated for the narrowest screen; a wider one has more room at the same positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Width of the plot on the narrowest screen, in pixels.
PLOT_WIDTH = 270.0
#: Mean width of a letter, height of a line, and distance from a point to its label, in pixels.
LETTER, LINE, GAP = 7.0, 15.0, 7.0
#: Positions of a label in order of preference: Plotly's name, and the offset of the label's centre from the point in
#: half widths and half heights.
POSITIONS = {
    "bottom right": (1, 1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "top left": (-1, -1),
    "bottom center": (0, 1),
    "top center": (0, -1),
}


def positions(
    x: np.ndarray,
    y: np.ndarray,
    texts: Sequence[str],
    ranges: tuple[tuple[float, float], ...],
    height: float,
    drawn: np.ndarray | None = None,
    width: float = PLOT_WIDTH,
) -> list[str]:
    """Return Plotly's ``textposition`` of each label, chosen one after another.

    Args:
        x: (point,) in the units of its axis.
        y: likewise.
        texts: (point,) labels.
        ranges: of both axes, low and high.
        height: of the plot in pixels.
        drawn: (other point, 2) unlabelled points of curves, which labels should not cover either.
        width: of the plot in pixels for which overlaps are measured; overlaps between labels are also measured for
            the narrowest plot.

    Returns:
        For each label the position with the least overlap: with earlier labels, with all points, and with the area
        outside the plot.
    """
    (left, right), (low, high) = ranges

    def in_pixels(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        across = (np.asarray(x, float) - left) / max(right - left, 1e-12) * width
        return across, (high - np.asarray(y, float)) / max(high - low, 1e-12) * height

    def boxes(across: np.ndarray, down: np.ndarray) -> list[tuple[float, float, float, float]]:
        return [(a - 6, d - 6, a + 6, d + 6) for a, d in zip(across, down, strict=True)]

    across, down = in_pixels(x, y)
    points = boxes(across, down)
    curves = [] if drawn is None else boxes(*in_pixels(*drawn.T))
    taken: list[tuple[float, float, float, float]] = []
    taken_narrow: list[tuple[float, float, float, float]] = []
    chosen = []
    for k, text in enumerate(texts):
        half = (LETTER * len(text) / 2, LINE / 2)
        others = [*taken, *curves, *(box for n, box in enumerate(points) if n != k)]
        best = None
        for position, (aside, below) in POSITIONS.items():
            middle_x = across[k] + aside * (half[0] + GAP / 2)
            middle_y = down[k] + below * (half[1] + GAP)
            box = (middle_x - half[0], middle_y - half[1], middle_x + half[0], middle_y + half[1])
            narrow = across[k] * PLOT_WIDTH / width + (middle_x - across[k])
            outside = max(0.0, half[0] - narrow) + max(0.0, narrow + half[0] - PLOT_WIDTH)
            outside += max(0.0, -box[1]) + max(0.0, box[3] - height)
            narrow_box = (narrow - half[0], box[1], narrow + half[0], box[3])
            covered = sum(_overlap(box, other) for other in others) + outside * LINE
            covered += sum(_overlap(narrow_box, other) for other in taken_narrow)
            if best is None or covered < best[0] - 1e-9:
                best = (covered, position, box, narrow_box)
        assert best is not None
        chosen.append(best[1])
        taken.append(best[2])
        taken_narrow.append(best[3])
    return chosen


def _overlap(box: tuple[float, float, float, float], other_box: tuple[float, float, float, float]) -> float:
    """Return the area that two boxes (left, top, right, bottom) share."""
    sides = [min(box[n + 2], other_box[n + 2]) - max(box[n], other_box[n]) for n in range(2)]
    return max(0.0, sides[0]) * max(0.0, sides[1])
