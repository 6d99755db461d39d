"""Where the names of points go, so that none covers another or leaves the figure on a narrow screen.

Constraint: places are estimated for the narrowest screen; a wider one has more room for the same places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Of the plot on the narrowest screen, in pixels.
PLOT_WIDTH = 270.0
#: A letter's mean width and a line's height, in pixels, at the size of labels; from the point to its label.
LETTER, LINE, GAP = 7.0, 15.0, 7.0
#: Where a label may stand, the ones that are liked best first: Plotly's name, and the label's middle from the point in
#: halves of its own width and height.
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
        texts: (point,) as they are read.
        ranges: of both axes, low and high.
        height: of the plot in pixels.
        drawn: (other point, 2) points of curves, which have no labels and are not to be covered either.
        width: of the plot in pixels, at which nothing is to be covered; none leaves the narrowest one, at which labels
            do not cover each other in any case.

    Returns:
        The place of each label that covers least of the earlier labels, of all points, and of what is outside.
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
        for place, (aside, below) in POSITIONS.items():
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
                best = (covered, place, box, narrow_box)
        assert best is not None
        chosen.append(best[1])
        taken.append(best[2])
        taken_narrow.append(best[3])
    return chosen


def _overlap(box: tuple[float, float, float, float], other_box: tuple[float, float, float, float]) -> float:
    """Return the area that two boxes (left, top, right, bottom) share."""
    sides = [min(box[n + 2], other_box[n + 2]) - max(box[n], other_box[n]) for n in range(2)]
    return max(0.0, sides[0]) * max(0.0, sides[1])
