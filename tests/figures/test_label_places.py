"""Labels of points: beside their point, off each other, and inside the figure."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.figures.label_places import POSITIONS, positions

UNIT = ((0.0, 1.0), (0.0, 1.0))


def places(points: list[tuple[float, float]], texts: list[str]) -> list[str]:
    x, y = np.array(points, float).T
    return positions(x, y, texts, UNIT, 300.0)


def test_a_label_with_room_stands_below_to_the_right():
    assert places([(0.2, 0.5)], ["Base"]) == ["bottom right"]


@pytest.mark.parametrize(
    ("point", "side"), [((0.98, 0.5), "left"), ((0.02, 0.5), "right"), ((0.3, 0.0), "top"), ((0.3, 1.0), "bottom")]
)
def test_a_label_at_the_edge_stands_inside(point, side):
    assert side in places([point], ["Only helpfulness"])[0]


def test_labels_of_close_points_do_not_cover_each_other():
    placed = places([(0.5, 0.5), (0.52, 0.5)], ["Only coherence", "Only helpfulness"])
    assert len(set(placed)) == 2
    assert set(placed) <= set(POSITIONS)


def test_a_label_stands_off_a_curve():
    # A frontier that falls to the right, just above its target: the free side is below to the left.
    x = np.linspace(0.2, 0.9, 40)
    curve = np.stack([x, 0.55 - 0.6 * (x - 0.5)], axis=1)
    point = np.array([0.5]), np.array([0.53])
    assert positions(*point, ["Target, met"], UNIT, 300.0, curve) == ["bottom left"]
    # Another one close below, as the next smaller effort has it: on a wide plot there is room above to the right.
    close = np.concatenate([curve, np.stack([x - 0.1, 0.55 - 0.6 * (x - 0.5)], axis=1)])
    assert positions(*point, ["Target, met"], UNIT, 300.0, close, 640.0) == ["top right"]
    edge = np.array([0.97]), np.array([0.9])
    assert "left" in positions(*edge, ["Target, met"], UNIT, 300.0, curve, 2000.0)[0]


def test_nothing_to_place():
    assert positions(np.array([]), np.array([]), [], UNIT, 300.0) == []


def test_labels_that_a_wide_screen_keeps_apart_are_apart_on_a_narrow_one_too():
    """132 pixels lie between the two on the wide plot, 56 on the narrow one; their names need 28 and 77."""
    x, y = np.array([0.5, 0.706]), np.array([0.5, 0.5])
    curves = np.column_stack([np.full(200, 0.8), np.linspace(0.0, 1.0, 200)])
    texts = ["Base", "Target, met"]
    alone = positions(x[1:], y[1:], texts[1:], UNIT, 440.0, curves, 640.0)
    assert alone == ["bottom left"]
    base, target = positions(x, y, texts, UNIT, 440.0, curves, 640.0)
    across = [
        (270.0 * at, POSITIONS[place][0], 7.0 * len(text) / 2)
        for at, place, text in zip(x, (base, target), texts, strict=True)
    ]
    (left, right) = ((at + aside * (half + 3.5), half) for at, aside, half in across)
    apart = abs(right[0] - left[0]) >= left[1] + right[1]
    assert apart or POSITIONS[base][1] != POSITIONS[target][1]
