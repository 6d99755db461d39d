"""Tests of the figure of tuned models: one mark per palette and one trace per route."""

from __future__ import annotations

from dataclasses import replace

import pytest

from map_core.figures.tuning import alt, level_against_nats
from tests.text.test_tuning_evidence import LEVEL_WORDS, make_study


def test_each_palette_is_a_mark_with_its_interval():
    figure = level_against_nats((make_study(), replace(make_study(), method="distill")), LEVEL_WORDS)
    pairs, distill, most, exact = figure.data
    assert (pairs.name, distill.name) == ("Compare replies", "Imitate good replies")
    assert list(pairs.x) == pytest.approx([0.5 / 0.29] * 2)
    assert list(pairs.y) == pytest.approx([80.0] * 2)
    assert list(pairs.error_y.array) == pytest.approx([10.0] * 2)
    assert list(pairs.customdata) == ["Humor at 65, kindness at 60"] * 2
    assert (exact.x[0], exact.y[0]) == (1.0, 100.0)
    assert max(most.x) > max(pairs.x)
    assert "60% of the way on average for 1.30 times" in alt((make_study(),))


def test_palette_without_a_share_of_the_way_is_omitted():
    single = make_study()
    without_share = {**single.palettes[0], "check": {**single.palettes[0]["check"], "share_of_way": None}}
    figure = level_against_nats((replace(single, palettes=(without_share, single.palettes[1])),), LEVEL_WORDS)
    assert len(figure.data[0].x) == len(figure.data[0].customdata) == 1
