"""Tests of the figures and sentences of a delivery study: they show the study's numbers."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from map_core.figures import delivery, theme
from map_core.studies.delivery import DeliveryStudy, cross_fit_delivery
from tests.tables import VALUES, make_table

UNREACHABLE_LEVEL = 20.0


@pytest.fixture(scope="module")
def data() -> delivery.DeliveryFigureData:
    table, fresh = make_table(prompts=24, candidates=32), make_table(prompts=24, candidates=8, seed=1)
    base, spread = table.rewards.mean(axis=0), table.rewards.std(axis=0)
    palettes = [
        np.where([True, False, True, False], base + 0.3 * spread, math.nan),
        base + 0.1 * spread,
        np.array([math.nan, math.nan, UNREACHABLE_LEVEL, math.nan]),
    ]
    return delivery.DeliveryFigureData(
        cross_fit_delivery(table, fresh, palettes, halvings=2), (None, 55, 99), VALUES, (3, 2, 1, 0)
    )


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_a_palette_has_a_title(data: delivery.DeliveryFigureData):
    assert data.title(0) == "Helpfulness, humor"
    assert data.title(1) == "All 4 values at p55"
    assert data.title(2) == "Humor at p99 (not possible: the nearest stands in)"


def test_overview_shows_all_palettes(data: delivery.DeliveryFigureData):
    figure, delivered = delivery.overview(data), data.delivery
    humor = trace(figure, "humor")
    gains = (delivered.realised[:, 2] - delivered.base[2]) / delivered.scale[2]
    assert np.array(humor.y) == pytest.approx(gains)
    assert np.array(humor.error_y.array) == pytest.approx(delivered.error[:, 2] / delivered.scale[2])
    assert humor.marker.color == theme.DEFAULT_THEME.colour(1)  # the colour of this value in the open table
    assert len(trace(figure, "harmlessness").x) == 1
    assert len({t.marker.symbol for t in figure.data if t.name in VALUES}) == 4
    assert len(trace(figure, "pooled weights").x) == 2 + 4 + 1


def test_palette_figure_has_a_row_per_value(data: delivery.DeliveryFigureData):
    figure, delivered = delivery.palette(data, 0), data.delivery
    rows = [0, 2]
    for name, levels in (
        ("target", delivered.targets),
        ("forecast", delivered.forecast),
        ("realised", delivered.realised),
        ("pooled weights", delivered.pooled),
    ):
        expected = (levels[0, rows] - delivered.base[rows]) / delivered.scale[rows]
        assert np.array(trace(figure, name).x) == pytest.approx(expected, nan_ok=True)
    assert list(figure.layout.yaxis.ticktext) == ["Helpfulness", "Humor"]


def test_sentences_on_method_and_results(data: delivery.DeliveryFigureData):
    metadata = {"date": "2026-01-02", "model": {"name": "tiny"}}
    study = DeliveryStudy(metadata, data.percentiles, data.delivery, data.delivery)
    assert "3 graded and 3 random palettes were solved on one half of 24 prompts" in delivery.method_sentence(study)
    assert delivery.method_sentence(study).endswith("8 to each prompt, by tiny on 2026-01-02.")
    # On 24 prompts the interval of the share of the way is too wide for a plain yes.
    fully_delivered = replace(
        data.delivery, way_error=0.05, realised=data.delivery.targets, inside=np.ones_like(data.delivery.inside)
    )
    answer = delivery.answer_sentence(replace(study, graded=fully_delivered))
    assert answer == (
        "Yes: new replies to other prompts came 100% of the way to the targets, and in 100 of 100 cases the level was "
        "within the range that was forecast."
    )
    uncertain_answer = delivery.answer_sentence(replace(study, graded=replace(fully_delivered, way_error=0.2)))
    assert uncertain_answer.startswith("For the most part: ")
    assert (
        delivery.answer_sentence(
            replace(study, graded=replace(fully_delivered, reachable=0 * fully_delivered.reachable))
        )
        == ""
    )
    labels = [(label, figure) for label, figure, _ in delivery.facts(study)]
    assert labels[0] == ("Of the way to the targets", f"{data.delivery.way(data.delivery.realised):.0%}")
    assert labels[2] == ("All that was asked improved", f"{data.delivery.improved[:2].sum()} of 2")
    header, rows = delivery.by_value(data)
    assert len(header) == len(rows[0][1]) == 4
    assert rows[0] == (3, ["Helpfulness", *rows[0][1][1:]])
    assert delivery.not_improved_sentence(study) == ""
    # Where nothing rises, the sentence states the largest requested increase.
    fallen = replace(data.delivery, realised=data.delivery.realised - 10 * data.delivery.scale)
    assert delivery.answer_sentence(replace(study, graded=fallen)).startswith("Only in part: new replies")
    largest_request = ((fallen.asked - fallen.start) / fallen.scale)[:2]
    sentence = delivery.not_improved_sentence(replace(study, random=fallen))
    assert f"asked for {np.nanmax(largest_request):.2f} standard deviations at the most" in sentence
    assert "89%, 9% and 47% (Llama2-7B-chat, HHH-80)" in delivery.paper_sentence()


def test_summary_and_csv_match_the_figures(data: delivery.DeliveryFigureData):
    lines = delivery.summary(data, 0)
    assert [sentence.split(":")[0] for sentence in lines] == ["Helpfulness", "Humor"]
    inside = abs(data.delivery.realised[0, 0] - data.delivery.forecast[0, 0]) <= data.delivery.error[0, 0]
    assert ("inside its interval" in lines[0]) is bool(inside)
    rows = list(csv.DictReader(io.StringIO(delivery.delivery_csv(data))))
    assert [row["value"] for row in rows] == ["helpfulness", "humor", *VALUES, "humor"]
    assert float(rows[1]["realised"]) == pytest.approx(data.delivery.realised[0, 2])
    assert float(rows[-1]["asked"]) == UNREACHABLE_LEVEL
