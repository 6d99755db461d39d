"""Figures of picked weights are their numbers; shares carry their intervals."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis import baselines
from map_core.core.wilson import wilson_interval
from map_core.figures import baselines as drawn
from map_core.figures import baselines_text as told
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.units import Units
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=20, candidates=16, seed=4)
ORACLE = MemoryOracle.of(TABLE)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)
TARGETS = np.array([0.3, 0.2, 0.25, math.nan])


def compared(targets: np.ndarray = TARGETS, count: int = 60, times: float = 1.0) -> drawn.BaselineFigureData:
    ways = baselines.compare_baselines(TABLE, targets, count=count, budget=None)
    if times != 1.0:
        ways = baselines.compare_baselines(TABLE, targets, count=count, budget=times * float(ways[0].evaluation.kl[0]))
    return drawn.BaselineFigureData(ways, targets, UNITS, times)


@pytest.fixture(scope="module")
def data() -> drawn.BaselineFigureData:
    return compared()


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def judged(meets: list[list[bool]]) -> baselines.Baseline:
    """Weights of two values of which it is known what they meet; improvements are the same."""
    rows = np.array(meets)
    zero = np.zeros(rows.shape)
    ones = np.ones(len(rows))
    return baselines.Baseline(
        "random", baselines.WeightsEvaluation(zero, zero, ones, ones, rows, rows, rows | True), zero
    )


def test_shares_by_hand():
    way = judged([[True, True], [True, False], [False, False], [True, True]])
    assert drawn.counts(way) == (2, 2, 4)
    # Wilson for 2 of 4 at 90%: z = 1.645, middle 1/2, half width (z / (4 + z^2)) sqrt(2 * 2 / 4 + z^2 / 4) = 0.318.
    z = 1.6448536
    half = z / (4 + z * z) * math.sqrt(1 + z * z / 4)
    assert wilson_interval(2, 4, 0.9) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert told.share(2, 4) == f"50% ({50 - 100 * half:.0f} to {50 + 100 * half:.0f}%)"


def test_shares_in_words():
    assert told.share(24, 400) == "6% (4 to 8%)"
    assert told.share(0, 400) == "none (0 to 0.7%)"
    assert told.share(2, 1000).startswith("0.2% (")
    assert told.share(50, 50).startswith("100% (")


def test_bars_are_the_shares_and_only_random_ones_have_an_interval(data: drawn.BaselineFigureData):
    for improved in (False, True):
        figure = drawn.shares(data, improved)
        bars = trace(figure, "improve all" if improved else "meet all")
        ways = data.ways[::-1]
        parts = [drawn.counts(way)[improved] / drawn.counts(way)[2] for way in ways]
        assert np.array(bars.x) == pytest.approx(parts)
        interval = trace(figure, "interval")
        assert list(interval.y) == ["Random, same cost", "Random, any cost"]
        of, rows = drawn.counts(data.way("random"))[improved], 60
        low, high = wilson_interval(of, rows, 0.9)
        assert interval.error_x.array[1] == pytest.approx(high - of / rows, abs=1e-9)
        assert interval.error_x.arrayminus[1] == pytest.approx(of / rows - low, abs=1e-9)
        assert trace(figure, "label").text[-1] == "yes"


def test_every_draw_is_a_dot(data: drawn.BaselineFigureData):
    figure = drawn.plane(data, (0, 2))
    way = data.way("random")
    dots = trace(figure, "random")
    assert np.array(dots.x) == pytest.approx(UNITS.of(0, way.evaluation.levels[:, 0]))
    assert np.array(dots.y) == pytest.approx(UNITS.of(2, way.evaluation.levels[:, 2]))
    meets = way.evaluation.meets.all(axis=1)
    assert [symbol == "star" for symbol in dots.marker.symbol] == meets.tolist()
    solved = trace(figure, "solved")
    assert solved.x[0] == pytest.approx(float(UNITS.of(0, data.ways[0].evaluation.levels[0, 0])))
    assert {"equal", "only humor", "base model"} <= {t.name for t in figure.data}
    # A line a target; a value without one has none.
    assert len(figure.layout.shapes) == 2
    assert len(drawn.plane(data, (0, 3)).layout.shapes) == 1


def test_each_value_has_a_strip_of_dots(data: drawn.BaselineFigureData):
    figure = drawn.strips(data)
    assert list(figure.layout.yaxis.ticktext) == ["Helpfulness", "Harmlessness", "Humor"]
    dots, way = trace(figure, "random at the same cost"), data.way("random at the same cost")
    assert np.array(dots.x[60:120]) == pytest.approx(UNITS.of(1, way.evaluation.levels[:, 1]))
    assert all(0.5 < y < 1.5 for y in dots.y[60:120])
    aims = [float(UNITS.of(j, np.array(TARGETS[j]))) for j in range(3)]
    assert list(trace(figure, "target").x) == pytest.approx(aims)


def test_no_more_dots_than_can_be_told_apart(monkeypatch: pytest.MonkeyPatch, data: drawn.BaselineFigureData):
    monkeypatch.setattr(drawn, "MAX_DOTS", 10)
    assert len(trace(drawn.plane(data, (0, 1)), "random").x) == 10
    assert trace(drawn.shares(data), "interval").error_x.array[1] > 0  # of all 60


def test_the_summary_says_what_the_figure_shows(data: drawn.BaselineFigureData):
    lines = told.summary(data)
    assert len(lines) == len(data.ways)
    met, improved, rows = drawn.counts(data.way("random"))
    assert told.headline(data) == f"Of 60 random weights, {told.share(met, rows)} meet all 3 targets."
    assert f"{told.share(improved, rows)} improve every targeted value" in lines[1]
    # The palette is the cheapest way to its targets: at its cost only itself meets them.
    assert drawn.counts(data.way("random at the same cost"))[0] == 0
    assert "cheapest way" in lines[2]
    assert lines[-1].startswith("Only humor at the same cost: ")
    assert "misses " in lines[-1]
    facts = told.facts(data)
    assert [label for label, _, _ in facts] == [
        "Your palette",
        "Random, any cost",
        "Random, same cost",
        "Improve every targeted value",
    ]


def test_at_twice_the_cost(data: drawn.BaselineFigureData):
    twice = compared(times=2.0)
    assert twice.way("equal").evaluation.kl[0] == pytest.approx(2 * data.way("solved").evaluation.kl[0], rel=1e-6)
    assert twice.cost() == "at 2 times the cost"
    assert not told.cheapest(twice)
    assert twice.title(twice.way("random at the same cost")) == "Random, 2 times the cost"


def test_one_target_has_one_direction():
    single = compared(np.array([0.3, math.nan, math.nan, math.nan]))
    assert drawn.counts(single.way("random at the same cost"))[0] == 60
    assert "meet the target" in told.headline(single)
    assert not told.cheapest(single)


def test_out_of_reach_leaves_the_palette_out():
    far = compared(np.array([50.0, 0.2, math.nan, math.nan]))
    assert far.way("solved") is None
    assert told.headline(far) == f"Of 60 random weights, {told.share(0, 60)} meet both targets."
    assert "Your palette" not in [label for label, _, _ in told.facts(far)]
    assert "cheapest" not in " ".join(told.summary(far))
    assert not [t for t in drawn.plane(far, (0, 1)).data if t.name == "solved"]
    assert not [t for t in drawn.strips(far).data if t.name == "palette"]


def test_tables_have_a_cell_for_each_column(data: drawn.BaselineFigureData):
    for header, rows in (told.table(data), told.wins(data)):
        assert all(len(cells) == len(header) for _, cells in rows)
        assert rows[0][1][0] == "Your palette"
    assert told.table(data)[1][0][1][1:3] == ["yes", "yes"]


def test_the_data_are_all_weights(data: drawn.BaselineFigureData):
    rows = list(csv.DictReader(io.StringIO(told.baselines_csv(data))))
    assert len(rows) == 1 + 60 + 60 + 1 + 3
    palette = data.ways[0].evaluation
    assert [float(rows[0][f"level_{v}"]) for v in VALUES] == pytest.approx(list(ORACLE.rewards_at(palette.levels[0])))
    assert [float(rows[0][f"weight_{v}"]) for v in VALUES] == pytest.approx(list(palette.weights[0] / ORACLE.scale))
    met = [row for row in rows if row["way"] == "random" and row["meets_all"] == "1"]
    assert len(met) == drawn.counts(data.way("random"))[0]


def test_a_name_is_text(data: drawn.BaselineFigureData):
    named = replace(data, units=replace(UNITS, names=("<b>x</b>", *VALUES[1:])))
    for figure in (drawn.plane(named, (0, 1)), drawn.strips(named), drawn.shares(named)):
        assert "<b>x" not in figure.to_json().replace("\\u003c", "<")


def test_the_axes_of_the_plane_leave_room_for_a_label_beyond_the_outermost_point(data):
    figure = drawn.plane(data, (0, 1))
    for axis, (low, high) in (("x", figure.layout.xaxis.range), ("y", figure.layout.yaxis.range)):
        points = np.concatenate([np.ravel(part[axis]).astype(float) for part in figure.data])
        margin = drawn.MARGIN * (high - low) / (1 + 2 * drawn.MARGIN)
        assert low + margin <= np.nanmin(points) + 1e-9
        assert np.nanmax(points) <= high - margin + 1e-9
