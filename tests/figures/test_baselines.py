"""Tests of the figures and texts of baseline weights: figures show the computed numbers, and shares have intervals."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis import baselines
from map_core.core.wilson import wilson_interval
from map_core.figures import baselines as baseline_figures
from map_core.figures import baselines_text as baseline_texts
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.units import Units
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=20, candidates=16, seed=4)
ORACLE = MemoryOracle.of(TABLE)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)
TARGETS = np.array([0.3, 0.2, 0.25, math.nan])


def figure_data(
    targets: np.ndarray = TARGETS, count: int = 60, times: float = 1.0
) -> baseline_figures.BaselineFigureData:
    results = baselines.compare_baselines(TABLE, targets, count=count, budget=None)
    if times != 1.0:
        results = baselines.compare_baselines(
            TABLE, targets, count=count, budget=times * float(results[0].evaluation.kl[0])
        )
    return baseline_figures.BaselineFigureData(results, targets, UNITS, times)


@pytest.fixture(scope="module")
def data() -> baseline_figures.BaselineFigureData:
    return figure_data()


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def baseline_meeting(meets: list[list[bool]]) -> baselines.Baseline:
    """Return a baseline of two values that meets the given targets and improves the same values."""
    rows = np.array(meets)
    zero = np.zeros(rows.shape)
    ones = np.ones(len(rows))
    return baselines.Baseline(
        "random", baselines.WeightsEvaluation(zero, zero, ones, ones, rows, rows, rows | True), zero
    )


def test_shares_by_hand():
    baseline = baseline_meeting([[True, True], [True, False], [False, False], [True, True]])
    assert baseline_figures.counts(baseline) == (2, 2, 4)
    # Wilson for 2 of 4 at 90%: z = 1.645, middle 1/2, half width (z / (4 + z^2)) sqrt(2 * 2 / 4 + z^2 / 4) = 0.318.
    z = 1.6448536
    half = z / (4 + z * z) * math.sqrt(1 + z * z / 4)
    assert wilson_interval(2, 4, 0.9) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert baseline_texts.share(2, 4) == f"50% ({50 - 100 * half:.0f} to {50 + 100 * half:.0f}%)"


def test_shares_in_words():
    assert baseline_texts.share(24, 400) == "6% (4 to 8%)"
    assert baseline_texts.share(0, 400) == "none (0 to 0.7%)"
    assert baseline_texts.share(2, 1000).startswith("0.2% (")
    assert baseline_texts.share(50, 50).startswith("100% (")


def test_bars_are_the_shares_and_only_random_ones_have_an_interval(data: baseline_figures.BaselineFigureData):
    for improved in (False, True):
        figure = baseline_figures.shares(data, improved)
        bars = trace(figure, "improve all" if improved else "meet all")
        bar_order = data.ways[::-1]
        expected = [
            baseline_figures.counts(baseline)[improved] / baseline_figures.counts(baseline)[2] for baseline in bar_order
        ]
        assert np.array(bars.x) == pytest.approx(expected)
        interval = trace(figure, "interval")
        assert list(interval.y) == ["Random, same cost", "Random, any cost"]
        count, rows = baseline_figures.counts(data.way("random"))[improved], 60
        low, high = wilson_interval(count, rows, 0.9)
        assert interval.error_x.array[1] == pytest.approx(high - count / rows, abs=1e-9)
        assert interval.error_x.arrayminus[1] == pytest.approx(count / rows - low, abs=1e-9)
        assert trace(figure, "label").text[-1] == "yes"


def test_every_draw_is_a_dot(data: baseline_figures.BaselineFigureData):
    figure = baseline_figures.plane(data, (0, 2))
    baseline = data.way("random")
    dots = trace(figure, "random")
    assert np.array(dots.x) == pytest.approx(UNITS.of(0, baseline.evaluation.levels[:, 0]))
    assert np.array(dots.y) == pytest.approx(UNITS.of(2, baseline.evaluation.levels[:, 2]))
    meets = baseline.evaluation.meets.all(axis=1)
    assert [symbol == "star" for symbol in dots.marker.symbol] == meets.tolist()
    solved = trace(figure, "solved")
    assert solved.x[0] == pytest.approx(float(UNITS.of(0, data.ways[0].evaluation.levels[0, 0])))
    assert {"equal", "only humor", "base model"} <= {t.name for t in figure.data}
    # One line per target, and none for a value without a target.
    assert len(figure.layout.shapes) == 2
    assert len(baseline_figures.plane(data, (0, 3)).layout.shapes) == 1


def test_each_value_has_a_strip_of_dots(data: baseline_figures.BaselineFigureData):
    figure = baseline_figures.strips(data)
    assert list(figure.layout.yaxis.ticktext) == ["Helpfulness", "Harmlessness", "Humor"]
    dots, baseline = trace(figure, "random at the same cost"), data.way("random at the same cost")
    assert np.array(dots.x[60:120]) == pytest.approx(UNITS.of(1, baseline.evaluation.levels[:, 1]))
    assert all(0.5 < y < 1.5 for y in dots.y[60:120])
    expected = [float(UNITS.of(j, np.array(TARGETS[j]))) for j in range(3)]
    assert list(trace(figure, "target").x) == pytest.approx(expected)


def test_number_of_dots_is_limited(monkeypatch: pytest.MonkeyPatch, data: baseline_figures.BaselineFigureData):
    monkeypatch.setattr(baseline_figures, "MAX_DOTS", 10)
    assert len(trace(baseline_figures.plane(data, (0, 1)), "random").x) == 10
    assert trace(baseline_figures.shares(data), "interval").error_x.array[1] > 0  # of all 60


def test_the_summary_says_what_the_figure_shows(data: baseline_figures.BaselineFigureData):
    lines = baseline_texts.summary(data)
    assert len(lines) == len(data.ways)
    met, improved, rows = baseline_figures.counts(data.way("random"))
    assert (
        baseline_texts.headline(data) == f"Of 60 random weights, {baseline_texts.share(met, rows)} meet all 3 targets."
    )
    assert f"{baseline_texts.share(improved, rows)} improve every targeted value" in lines[1]
    # The palette is the cheapest way to its targets, so nothing else meets them at its cost.
    assert baseline_figures.counts(data.way("random at the same cost"))[0] == 0
    assert "cheapest way" in lines[2]
    assert lines[-1].startswith("Only humor at the same cost: ")
    assert "misses " in lines[-1]
    facts = baseline_texts.facts(data)
    assert [label for label, _, _ in facts] == [
        "Your palette",
        "Random, any cost",
        "Random, same cost",
        "Improve every targeted value",
    ]


def test_at_twice_the_cost(data: baseline_figures.BaselineFigureData):
    twice = figure_data(times=2.0)
    assert twice.way("equal").evaluation.kl[0] == pytest.approx(2 * data.way("solved").evaluation.kl[0], rel=1e-6)
    assert twice.cost() == "at 2 times the cost"
    assert not baseline_texts.cheapest(twice)
    assert twice.title(twice.way("random at the same cost")) == "Random, 2 times the cost"


def test_one_target_has_one_direction():
    single = figure_data(np.array([0.3, math.nan, math.nan, math.nan]))
    assert baseline_figures.counts(single.way("random at the same cost"))[0] == 60
    assert "meet the target" in baseline_texts.headline(single)
    assert not baseline_texts.cheapest(single)


def test_out_of_reach_palette_is_omitted():
    out_of_reach = figure_data(np.array([50.0, 0.2, math.nan, math.nan]))
    assert out_of_reach.way("solved") is None
    assert (
        baseline_texts.headline(out_of_reach)
        == f"Of 60 random weights, {baseline_texts.share(0, 60)} meet both targets."
    )
    assert "Your palette" not in [label for label, _, _ in baseline_texts.facts(out_of_reach)]
    assert "cheapest" not in " ".join(baseline_texts.summary(out_of_reach))
    assert not [t for t in baseline_figures.plane(out_of_reach, (0, 1)).data if t.name == "solved"]
    assert not [t for t in baseline_figures.strips(out_of_reach).data if t.name == "palette"]


def test_tables_have_a_cell_for_each_column(data: baseline_figures.BaselineFigureData):
    for header, rows in (baseline_texts.table(data), baseline_texts.wins(data)):
        assert all(len(cells) == len(header) for _, cells in rows)
        assert rows[0][1][0] == "Your palette"
    assert baseline_texts.table(data)[1][0][1][1:3] == ["yes", "yes"]


def test_csv_contains_all_weights(data: baseline_figures.BaselineFigureData):
    rows = list(csv.DictReader(io.StringIO(baseline_texts.baselines_csv(data))))
    assert len(rows) == 1 + 60 + 60 + 1 + 3
    palette = data.ways[0].evaluation
    assert [float(rows[0][f"level_{v}"]) for v in VALUES] == pytest.approx(list(ORACLE.rewards_at(palette.levels[0])))
    assert [float(rows[0][f"weight_{v}"]) for v in VALUES] == pytest.approx(list(palette.weights[0] / ORACLE.scale))
    met = [row for row in rows if row["way"] == "random" and row["meets_all"] == "1"]
    assert len(met) == baseline_figures.counts(data.way("random"))[0]


def test_names_are_escaped(data: baseline_figures.BaselineFigureData):
    named = replace(data, units=replace(UNITS, names=("<b>x</b>", *VALUES[1:])))
    for figure in (
        baseline_figures.plane(named, (0, 1)),
        baseline_figures.strips(named),
        baseline_figures.shares(named),
    ):
        assert "<b>x" not in figure.to_json().replace("\\u003c", "<")


def test_the_axes_of_the_plane_leave_room_for_a_label_beyond_the_outermost_point(data):
    figure = baseline_figures.plane(data, (0, 1))
    for axis, (low, high) in (("x", figure.layout.xaxis.range), ("y", figure.layout.yaxis.range)):
        points = np.concatenate([np.ravel(trace_of_plane[axis]).astype(float) for trace_of_plane in figure.data])
        margin = baseline_figures.MARGIN * (high - low) / (1 + 2 * baseline_figures.MARGIN)
        assert low + margin <= np.nanmin(points) + 1e-9
        assert np.nanmax(points) <= high - margin + 1e-9
