"""Tests of label positions: labels are beside their point, inside the figure, and do not overlap."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.figures.label_places import POSITIONS, positions

UNIT = ((0.0, 1.0), (0.0, 1.0))


def label_positions(points: list[tuple[float, float]], texts: list[str]) -> list[str]:
    x, y = np.array(points, float).T
    return positions(x, y, texts, UNIT, 300.0)


def test_label_with_room_is_at_the_bottom_right():
    assert label_positions([(0.2, 0.5)], ["Base"]) == ["bottom right"]


@pytest.mark.parametrize(
    ("point", "side"), [((0.98, 0.5), "left"), ((0.02, 0.5), "right"), ((0.3, 0.0), "top"), ((0.3, 1.0), "bottom")]
)
def test_label_at_the_edge_stays_inside(point, side):
    assert side in label_positions([point], ["Only helpfulness"])[0]


def test_labels_of_close_points_do_not_overlap():
    chosen = label_positions([(0.5, 0.5), (0.52, 0.5)], ["Only coherence", "Only helpfulness"])
    assert len(set(chosen)) == 2
    assert set(chosen) <= set(POSITIONS)


def test_label_avoids_curves():
    # A frontier that falls to the right passes just above its target, so the free side is at the bottom left.
    x = np.linspace(0.2, 0.9, 40)
    curve = np.stack([x, 0.55 - 0.6 * (x - 0.5)], axis=1)
    point = np.array([0.5]), np.array([0.53])
    assert positions(*point, ["Target, met"], UNIT, 300.0, curve) == ["bottom left"]
    # A second curve lies close below, as for the next smaller budget: a wide plot has room at the top right.
    two_curves = np.concatenate([curve, np.stack([x - 0.1, 0.55 - 0.6 * (x - 0.5)], axis=1)])
    assert positions(*point, ["Target, met"], UNIT, 300.0, two_curves, 640.0) == ["top right"]
    edge = np.array([0.97]), np.array([0.9])
    assert "left" in positions(*edge, ["Target, met"], UNIT, 300.0, curve, 2000.0)[0]


def test_no_labels():
    assert positions(np.array([]), np.array([]), [], UNIT, 300.0) == []


def test_labels_separate_on_a_wide_screen_stay_separate_on_a_narrow_one():
    """The points are 132 pixels apart on the wide plot and 56 on the narrow one; their labels take 28 and 77."""
    x, y = np.array([0.5, 0.706]), np.array([0.5, 0.5])
    curves = np.column_stack([np.full(200, 0.8), np.linspace(0.0, 1.0, 200)])
    texts = ["Base", "Target, met"]
    target_alone = positions(x[1:], y[1:], texts[1:], UNIT, 440.0, curves, 640.0)
    assert target_alone == ["bottom left"]
    base, target = positions(x, y, texts, UNIT, 440.0, curves, 640.0)
    extents = [
        (270.0 * position, POSITIONS[label_position][0], 7.0 * len(text) / 2)
        for position, label_position, text in zip(x, (base, target), texts, strict=True)
    ]
    (left_label, right_label) = (
        (position + shift * (half_width + 3.5), half_width) for position, shift, half_width in extents
    )
    separate = abs(right_label[0] - left_label[0]) >= left_label[1] + right_label[1]
    assert separate or POSITIONS[base][1] != POSITIONS[target][1]
