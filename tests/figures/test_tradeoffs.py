"""Tests of the figures of the page Explore against their results: hover texts, pairs, lines, triangle, bands."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from map_core.analysis.frontier import Contour, frontier
from map_core.analysis.frontier import surface as surface_of
from map_core.analysis.frontier_spread import spread_frontier
from map_core.analysis.sensitivity import SensitivityCurve, Switch, sensitivity_curve
from map_core.confidence import bands
from map_core.figures import pair_grid, parallel_coordinates, plane, surface, sweep, theme, triangle
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.solver.newton import solve
from map_core.text.units import Units
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=24, candidates=32, seed=3)
ORACLE = MemoryOracle.of(TABLE)
TARGETS = np.array([0.3, 0.2, math.nan, math.nan])
POSITION = plane.PalettePosition(TARGETS, solve(ORACLE, TARGETS).levels)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_hover_text_of_a_point():
    # The best of four drafts costs log 4 - 3/4 nats.
    level, kl = np.array([0.5, 0.0, 0.0, 0.0]), math.log(4) - 0.75
    percentile = float(UNITS.of(0, np.array(0.5)))
    lines = plane.hover(UNITS, (0,), level, kl, 0.5).split("<br>")
    assert lines[0].startswith(f"<b>helpfulness</b> p{percentile:.0f}, better than")
    assert lines[1] == "Costs 0.64 nats, like the best of 4 drafts"
    assert "best reply to every prompt" in plane.hover(UNITS, (0,), level, math.nan, math.inf)
    reward = Units(ORACLE, percentiles(TABLE), "reward", ("<b>", *VALUES[1:]))
    assert plane.hover(reward, (0,), level, kl, 0.5).startswith("<b>&lt;b&gt;</b>")
    assert f"(p{percentile:.0f})" in plane.hover(reward, (0,), level, kl, 0.5)


def test_unselected_points_keep_their_opacity():
    figure = plane.plane(TABLE, UNITS, (0, 1), frontier(ORACLE, (0, 1), [0.5], directions=5), POSITION)
    for plane_trace in figure.data:
        assert plane_trace.unselected.marker.opacity == (plane_trace.marker.opacity or 1)


@pytest.fixture(scope="module")
def frontiers():
    pairs = [(0, 1), (0, 2), (1, 2)]
    return {pair: frontier(ORACLE, pair, [0.25, 1.0], directions=9, limit=False) for pair in pairs}


# Levels (1, 0), (t, t) and (0, 1): at most a share t of each at once.
@pytest.mark.parametrize(("t", "relation"), [(0.4, "pull apart"), (0.7, "share the effort"), (0.95, "go together")])
def test_joint_share_of_a_pair_by_hand(t, relation):
    levels = np.array([[2.0, 0.0], [2 * t, 3 * t], [0.0, 3.0]])
    share = pair_grid.joint_share(Contour(1.0, levels, levels, np.ones(3), np.zeros(3, dtype=bool)), (0, 1))
    assert share == pytest.approx(t)
    assert pair_grid.joint_share_text(share) == f"{relation}: both at once gain {100 * t:.0f}% of what each gains alone"


def test_joint_share_of_a_constant_value_is_undefined():
    levels = np.array([[0.0, 0.0], [0.0, 1.0]])
    share = pair_grid.joint_share(Contour(1.0, levels, levels, np.ones(2), np.zeros(2, dtype=bool)), (0, 1))
    assert math.isnan(share)
    assert pair_grid.joint_share_text(share) == "one of them cannot be moved"


def test_pair_cell_shows_its_pair_and_takes_clicks_anywhere(frontiers):
    axis_range = pair_grid.shared_range(UNITS, list(frontiers.values()), POSITION)
    figure = pair_grid.pair_cell(UNITS, (0, 1), frontiers[0, 1], POSITION, axis_range)
    contour = trace(figure, "contour 1")
    assert np.array(contour.y) == pytest.approx(UNITS.of(1, frontiers[0, 1].contours[1].levels[:, 1]))
    assert {tuple(data) for data in trace(figure, "open").customdata} == {(0, 1)}
    assert (min(trace(figure, "open").x), max(trace(figure, "open").x)) == axis_range
    assert trace(figure, "target").x[0] == pytest.approx(float(UNITS.of(0, np.array(0.3))))
    assert trace(figure, "realised").x[0] == pytest.approx(float(UNITS.of(0, POSITION.realised[0])))
    assert figure.layout.xaxis.linecolor == theme.DEFAULT_THEME.colour(0)
    # Axes have a title, so that they are not identified by colour alone.
    names = [name[:1].upper() + name[1:] for name in UNITS.names]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (names[0], names[1])
    without_targets = pair_grid.pair_cell(
        UNITS, (0, 2), frontiers[0, 2], plane.PalettePosition(TARGETS, None), axis_range
    )
    assert not [t for t in without_targets.data if t.name in ("target", "realised")]


def test_every_cell_has_the_same_scale(frontiers):
    low, high = pair_grid.shared_range(UNITS, list(frontiers.values()), POSITION)
    lowest = min(
        float(UNITS.of(j, contour.levels[:, j]).min())
        for pair, pair_frontier in frontiers.items()
        for contour in pair_frontier.contours
        for j in pair
    )
    assert 0 <= low <= lowest
    assert low % 10 == 0
    assert high == 102


def test_summary_and_csv_of_pairs(frontiers):
    sentences = pair_grid.summary(frontiers, UNITS)
    assert sentences[0].startswith("Helpfulness and harmlessness pull apart")
    assert len(sentences) == 3
    csv_rows = read_csv(pair_grid.pairs_csv(frontiers, ORACLE))
    assert len(csv_rows) == 3 * 2 * 9
    assert (csv_rows[-1]["across"], csv_rows[-1]["upwards"]) == ("harmlessness", "humor")
    assert float(csv_rows[0]["kl_nats"]) == pytest.approx(0.25)


@pytest.fixture(scope="module")
def spread():
    return spread_frontier(ORACLE, (0, 1), [0.25, 1.0], lines=5)


def test_line_passes_through_all_values_and_holds_its_number(spread):
    figure = parallel_coordinates.lines(spread, [0, 7], UNITS, range(4), POSITION, "cost", chosen=7)
    line = trace(figure, "line 7")
    assert [float(y) for y in line.y] == pytest.approx([float(UNITS.of(j, spread.levels[7, j])) for j in range(4)])
    assert [list(row) for row in line.customdata] == [[7]] * 4
    assert line.line.width > trace(figure, "line 0").line.width
    assert "Costs 1.00 nats" in line.hovertemplate
    assert line.line.color != trace(figure, "line 0").line.color
    assert not [t for t in figure.data if t.name == "line 1"]
    assert [float(y) for y in trace(figure, "targets").y] == pytest.approx(
        [float(UNITS.of(j, TARGETS[j])) for j in (0, 1)]
    )
    assert [float(y) for y in trace(figure, "your palette").y] == pytest.approx(
        [float(UNITS.of(j, POSITION.realised[j])) for j in range(4)]
    )


def test_line_colours(spread):
    figure = parallel_coordinates.lines(
        spread, range(10), UNITS, range(4), plane.PalettePosition(TARGETS, None), "favoured"
    )
    # The first direction of each budget favours only the first value, the second only the second.
    assert trace(figure, "line 0").line.color == trace(figure, "line 5").line.color == theme.DEFAULT_THEME.colour(0)
    assert trace(figure, "line 1").line.color == theme.DEFAULT_THEME.colour(1)
    by_verdict = parallel_coordinates.lines(spread, range(10), UNITS, range(4), POSITION, "verdict")
    for n in range(10):
        assert (trace(by_verdict, f"line {n}").line.dash == "solid") == bool(spread.trusted[n])
        assert (trace(by_verdict, f"line {n}").line.color == parallel_coordinates.GOOD) == bool(spread.trusted[n])


def test_lines_that_are_no_worse(spread):
    assert parallel_coordinates.no_worse(spread, UNITS, POSITION.realised, []) == list(range(10))
    selected = parallel_coordinates.no_worse(spread, UNITS, POSITION.realised, [0, 1])
    assert 0 < len(selected) < 10
    for n in range(10):
        differences = [float(UNITS.of(j, spread.levels[n, j]) - UNITS.of(j, POSITION.realised[j])) for j in (0, 1)]
        assert (n in selected) == (min(differences) >= -parallel_coordinates.ROUNDING)


def test_summary_and_csv_of_lines(spread):
    sentences = parallel_coordinates.summary(spread, range(10), UNITS)
    low, high = (UNITS.level_text(0, level) for level in (spread.levels[:5, 0].min(), spread.levels[:5, 0].max()))
    assert sentences[0].startswith(f"5 palettes at 0.25 nats: helpfulness from {low} to {high}, harmlessness from")
    assert parallel_coordinates.summary(spread, [], UNITS) == []
    csv_rows = read_csv(parallel_coordinates.spread_csv(spread, ORACLE))
    assert len(csv_rows) == 10
    assert float(csv_rows[9]["weight_harmlessness"]) == pytest.approx((spread.weights / ORACLE.scale)[9, 1])


def test_corners_of_the_triangle_favour_one_value_each():
    x, y = triangle.triangle_positions(6)
    # In the order of the surface: only the third value, third and second in equal parts, only the second, ...,
    # only the first.
    assert (x[0], y[0]) == (0, 0)
    assert (x[2], y[2]) == (1, 0)
    assert (x[5], y[5]) == pytest.approx((0.5, math.sqrt(0.75)))
    surface = surface_of(ORACLE, (0, 1, 2), [0.5], directions=5, limit=False)
    sheet = surface.contours[0]
    highest = sheet.levels.argmax(axis=0)
    x, y = triangle.triangle_positions(len(sheet.levels))
    assert (x[highest[0]], y[highest[0]]) == pytest.approx((0.5, math.sqrt(0.75)))
    assert (x[highest[1]], y[highest[1]]) == (1, 0)
    assert (x[highest[2]], y[highest[2]]) == (0, 0)


def test_the_triangle_and_the_space_show_the_same_palettes():
    frontier_surface = surface_of(ORACLE, (0, 1, 2), [0.5], directions=5, limit=False)
    sheet = frontier_surface.contours[0]
    figure = triangle.triangle(UNITS, frontier_surface, sheet)
    points = trace(figure, "points")
    assert np.array(points.marker.color) == pytest.approx(sheet.levels[:, :3].min(axis=1))
    assert [list(row) for row in points.customdata] == [[n] for n in range(15)]
    corners = [a.text.split("> ")[1] for a in figure.layout.annotations]
    assert corners == ["All to helpfulness", "All to harmlessness", "All to humor"]
    space = surface.space(UNITS, frontier_surface, POSITION, sheet.levels[3])
    assert np.array(trace(space, "contour 0").intensity) == pytest.approx(np.array(points.marker.color))
    assert trace(space, "Chosen").x[0] == pytest.approx(float(UNITS.of(0, sheet.levels[3, 0])))


@pytest.fixture(scope="module")
def sweep_data():
    curve = sensitivity_curve(ORACLE, np.array([math.nan, 0.2, math.nan, math.nan]), 0, points=11)
    return sweep.SweepData(curve, UNITS, 0.3, bands(ORACLE, curve), [0, 1])


def test_bands_lie_around_the_lines(sweep_data):
    figure = sweep.levels(sweep_data)
    band = trace(figure, "band of harmlessness")
    high, low = np.array(band.y[:11], dtype=float), np.array(band.y[11:][::-1], dtype=float)
    line = np.array(trace(figure, "harmlessness").y, dtype=float)
    assert np.all(low <= line)
    assert np.all(line <= high)
    assert high == pytest.approx(UNITS.of(1, sweep_data.bands.levels.high[:, 1]))
    assert [t.name for t in figure.data] == [
        "band of harmlessness",
        "band of helpfulness",
        "harmlessness",
        "helpfulness",
    ]
    assert trace(sweep.kl(sweep_data), "band").y[0] == pytest.approx(sweep_data.bands.kl.high[0])
    assert trace(sweep.weights(sweep_data), "band of harmlessness").fillcolor.startswith("rgba(213,94,0,")


def test_breakpoints_are_annotated():
    levels = np.zeros((3, 4))
    switches = (Switch(0.1, 0, True), Switch(0.11, 2, False), Switch(0.5, 1, True))
    curve = SensitivityCurve(0, np.array([0.0, 0.5, 1.0]), levels, levels, np.zeros(3), switches, 1.0)
    sweep_data = sweep.SweepData(curve, UNITS, math.nan)
    notes = [a for a in sweep.levels(sweep_data).layout.annotations if a.textangle == -90]
    assert [a.text for a in notes] == [
        "helpfulness begins to cost",
        "humor comes for free",
        "harmlessness begins to cost",
    ]
    # Annotations close to each other are at opposite ends of their lines.
    assert [a.yanchor for a in notes] == ["top", "bottom", "top"]


def test_summary_and_csv_of_a_sweep(sweep_data):
    sentences = sweep.summary(sweep_data)
    assert len(sentences) == 4
    assert sentences[0].startswith("With helpfulness at p")
    assert "humor" not in sentences[0]
    low, high = sweep_data.bands.kl.low[-1], sweep_data.bands.kl.high[-1]
    assert f"It costs {sweep_data.curve.kl[-1]:.2f} nats ({low:.2f} to {high:.2f})." in sentences[-1]
    csv_rows = read_csv(sweep.sweep_csv(sweep_data.curve, ORACLE, sweep_data.bands))
    assert float(csv_rows[4]["level_humor_low"]) == pytest.approx(ORACLE.rewards_at(sweep_data.bands.levels.low)[4, 2])
    assert float(csv_rows[4]["weight_helpfulness_high"]) == pytest.approx(
        (sweep_data.bands.weights.high / ORACLE.scale)[4, 0]
    )
    assert "level_humor_low" not in sweep.sweep_csv(sweep_data.curve, ORACLE)
