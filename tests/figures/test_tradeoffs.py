"""The figures of the page Explore, each against the result that it draws: hovers, pairs, lines, triangle, bands."""

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
STAND = plane.PalettePosition(TARGETS, solve(ORACLE, TARGETS).levels)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_point_says_what_it_is():
    # The best of four drafts costs log 4 - 3/4 nats.
    level, kl = np.array([0.5, 0.0, 0.0, 0.0]), math.log(4) - 0.75
    rank = float(UNITS.of(0, np.array(0.5)))
    said = plane.hover(UNITS, (0,), level, kl, 0.5).split("<br>")
    assert said[0].startswith(f"<b>helpfulness</b> p{rank:.0f}, better than")
    assert said[1] == "Costs 0.64 nats, like the best of 4 drafts"
    assert "best reply to every prompt" in plane.hover(UNITS, (0,), level, math.nan, math.inf)
    reward = Units(ORACLE, percentiles(TABLE), "reward", ("<b>", *VALUES[1:]))
    assert plane.hover(reward, (0,), level, kl, 0.5).startswith("<b>&lt;b&gt;</b>")
    assert f"(p{rank:.0f})" in plane.hover(reward, (0,), level, kl, 0.5)


def test_nothing_fades_when_a_point_is_chosen():
    figure = plane.plane(TABLE, UNITS, (0, 1), frontier(ORACLE, (0, 1), [0.5], directions=5), STAND)
    for trace in figure.data:
        assert trace.unselected.marker.opacity == (trace.marker.opacity or 1)


@pytest.fixture(scope="module")
def found():
    chosen = [(0, 1), (0, 2), (1, 2)]
    return {pair: frontier(ORACLE, pair, [0.25, 1.0], directions=9, limit=False) for pair in chosen}


# Levels (1, 0), (t, t) and (0, 1): at best t of each at once.
@pytest.mark.parametrize(("t", "said"), [(0.4, "pull apart"), (0.7, "share the effort"), (0.95, "go together")])
def test_what_a_pair_can_have_at_once_by_hand(t, said):
    levels = np.array([[2.0, 0.0], [2 * t, 3 * t], [0.0, 3.0]])
    share = pair_grid.joint_share(Contour(1.0, levels, levels, np.ones(3), np.zeros(3, dtype=bool)), (0, 1))
    assert share == pytest.approx(t)
    assert pair_grid.joint_share_text(share) == f"{said}: both at once gain {100 * t:.0f}% of what each gains alone"


def test_a_value_that_cannot_be_moved_shares_nothing():
    levels = np.array([[0.0, 0.0], [0.0, 1.0]])
    share = pair_grid.joint_share(Contour(1.0, levels, levels, np.ones(2), np.zeros(2, dtype=bool)), (0, 1))
    assert math.isnan(share)
    assert pair_grid.joint_share_text(share) == "one of them cannot be moved"


def test_a_cell_draws_its_pair_and_catches_clicks_anywhere(found):
    ends = pair_grid.shared_range(UNITS, list(found.values()), STAND)
    figure = pair_grid.pair_cell(UNITS, (0, 1), found[0, 1], STAND, ends)
    contour = trace(figure, "contour 1")
    assert np.array(contour.y) == pytest.approx(UNITS.of(1, found[0, 1].contours[1].levels[:, 1]))
    assert {tuple(carried) for carried in trace(figure, "open").customdata} == {(0, 1)}
    assert (min(trace(figure, "open").x), max(trace(figure, "open").x)) == ends
    assert trace(figure, "target").x[0] == pytest.approx(float(UNITS.of(0, np.array(0.3))))
    assert trace(figure, "realised").x[0] == pytest.approx(float(UNITS.of(0, STAND.realised[0])))
    assert figure.layout.xaxis.linecolor == theme.DEFAULT_THEME.colour(0)
    # Axes are named in words, and not by their colour alone.
    names = [name[:1].upper() + name[1:] for name in UNITS.names]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (names[0], names[1])
    free = pair_grid.pair_cell(UNITS, (0, 2), found[0, 2], plane.PalettePosition(TARGETS, None), ends)
    assert not [t for t in free.data if t.name in ("target", "realised")]


def test_every_cell_has_the_same_scale(found):
    low, high = pair_grid.shared_range(UNITS, list(found.values()), STAND)
    lowest = min(
        float(UNITS.of(v, c.levels[:, v]).min()) for pair, one in found.items() for c in one.contours for v in pair
    )
    assert 0 <= low <= lowest
    assert low % 10 == 0
    assert high == 102


def test_pairs_in_words_and_as_data(found):
    said = pair_grid.summary(found, UNITS)
    assert said[0].startswith("Helpfulness and harmlessness pull apart")
    assert len(said) == 3
    data = rows(pair_grid.pairs_csv(found, ORACLE))
    assert len(data) == 3 * 2 * 9
    assert (data[-1]["across"], data[-1]["upwards"]) == ("harmlessness", "humor")
    assert float(data[0]["kl_nats"]) == pytest.approx(0.25)


@pytest.fixture(scope="module")
def spread():
    return spread_frontier(ORACLE, (0, 1), [0.25, 1.0], lines=5)


def test_a_line_goes_through_all_values_and_carries_its_number(spread):
    figure = parallel_coordinates.lines(spread, [0, 7], UNITS, range(4), STAND, "cost", chosen=7)
    drawn = trace(figure, "line 7")
    assert [float(y) for y in drawn.y] == pytest.approx([float(UNITS.of(j, spread.levels[7, j])) for j in range(4)])
    assert [list(row) for row in drawn.customdata] == [[7]] * 4
    assert drawn.line.width > trace(figure, "line 0").line.width
    assert "Costs 1.00 nats" in drawn.hovertemplate
    assert drawn.line.color != trace(figure, "line 0").line.color
    assert not [t for t in figure.data if t.name == "line 1"]
    assert [float(y) for y in trace(figure, "targets").y] == pytest.approx(
        [float(UNITS.of(j, TARGETS[j])) for j in (0, 1)]
    )
    assert [float(y) for y in trace(figure, "your palette").y] == pytest.approx(
        [float(UNITS.of(j, STAND.realised[j])) for j in range(4)]
    )


def test_the_colour_of_a_line(spread):
    figure = parallel_coordinates.lines(
        spread, range(10), UNITS, range(4), plane.PalettePosition(TARGETS, None), "favoured"
    )
    # The first direction of each budget is all for the first value, the second all for the second.
    assert trace(figure, "line 0").line.color == trace(figure, "line 5").line.color == theme.DEFAULT_THEME.colour(0)
    assert trace(figure, "line 1").line.color == theme.DEFAULT_THEME.colour(1)
    told = parallel_coordinates.lines(spread, range(10), UNITS, range(4), STAND, "verdict")
    for n in range(10):
        assert (trace(told, f"line {n}").line.dash == "solid") == bool(spread.trusted[n])
        assert (trace(told, f"line {n}").line.color == parallel_coordinates.GOOD) == bool(spread.trusted[n])


def test_lines_that_are_no_worse(spread):
    assert parallel_coordinates.no_worse(spread, UNITS, STAND.realised, []) == list(range(10))
    shown = parallel_coordinates.no_worse(spread, UNITS, STAND.realised, [0, 1])
    assert 0 < len(shown) < 10
    for n in range(10):
        far = [float(UNITS.of(j, spread.levels[n, j]) - UNITS.of(j, STAND.realised[j])) for j in (0, 1)]
        assert (n in shown) == (min(far) >= -parallel_coordinates.ROUNDING)


def test_lines_in_words_and_as_data(spread):
    said = parallel_coordinates.summary(spread, range(10), UNITS)
    low, high = (UNITS.level_text(0, level) for level in (spread.levels[:5, 0].min(), spread.levels[:5, 0].max()))
    assert said[0].startswith(f"5 palettes at 0.25 nats: helpfulness from {low} to {high}, harmlessness from")
    assert parallel_coordinates.summary(spread, [], UNITS) == []
    data = rows(parallel_coordinates.spread_csv(spread, ORACLE))
    assert len(data) == 10
    assert float(data[9]["weight_harmlessness"]) == pytest.approx((spread.weights / ORACLE.scale)[9, 1])


def test_the_triangle_has_its_corners_where_all_goes_to_one_value():
    x, y = triangle.triangle_positions(6)
    # In the order of the sheet: all to the third, half third half second, all to the second, ..., all to the first.
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
    found = surface_of(ORACLE, (0, 1, 2), [0.5], directions=5, limit=False)
    sheet = found.contours[0]
    figure = triangle.triangle(UNITS, found, sheet)
    points = trace(figure, "points")
    assert np.array(points.marker.color) == pytest.approx(sheet.levels[:, :3].min(axis=1))
    assert [list(row) for row in points.customdata] == [[n] for n in range(15)]
    corners = [a.text.split("> ")[1] for a in figure.layout.annotations]
    assert corners == ["All to helpfulness", "All to harmlessness", "All to humor"]
    space = surface.space(UNITS, found, STAND, sheet.levels[3])
    assert np.array(trace(space, "contour 0").intensity) == pytest.approx(np.array(points.marker.color))
    assert trace(space, "Chosen").x[0] == pytest.approx(float(UNITS.of(0, sheet.levels[3, 0])))


@pytest.fixture(scope="module")
def swept():
    along = sensitivity_curve(ORACLE, np.array([math.nan, 0.2, math.nan, math.nan]), 0, points=11)
    return sweep.SweepData(along, UNITS, 0.3, bands(ORACLE, along), [0, 1])


def test_bands_lie_around_the_lines(swept):
    figure = sweep.levels(swept)
    band = trace(figure, "band of harmlessness")
    high, low = np.array(band.y[:11], dtype=float), np.array(band.y[11:][::-1], dtype=float)
    line = np.array(trace(figure, "harmlessness").y, dtype=float)
    assert np.all(low <= line)
    assert np.all(line <= high)
    assert high == pytest.approx(UNITS.of(1, swept.bands.levels.high[:, 1]))
    assert [t.name for t in figure.data] == [
        "band of harmlessness",
        "band of helpfulness",
        "harmlessness",
        "helpfulness",
    ]
    assert trace(sweep.kl(swept), "band").y[0] == pytest.approx(swept.bands.kl.high[0])
    assert trace(sweep.weights(swept), "band of harmlessness").fillcolor.startswith("rgba(213,94,0,")


def test_breakpoints_stand_in_words_on_the_figure():
    levels = np.zeros((3, 4))
    turns = (Switch(0.1, 0, True), Switch(0.11, 2, False), Switch(0.5, 1, True))
    along = SensitivityCurve(0, np.array([0.0, 0.5, 1.0]), levels, levels, np.zeros(3), turns, 1.0)
    drawn = sweep.SweepData(along, UNITS, math.nan)
    notes = [a for a in sweep.levels(drawn).layout.annotations if a.textangle == -90]
    assert [a.text for a in notes] == [
        "helpfulness begins to cost",
        "humor comes for free",
        "harmlessness begins to cost",
    ]
    # Two close to each other stand at different ends of their lines.
    assert [a.yanchor for a in notes] == ["top", "bottom", "top"]


def test_a_sweep_in_words_and_as_data(swept):
    said = sweep.summary(swept)
    assert len(said) == 4
    assert said[0].startswith("With helpfulness at p")
    assert "humor" not in said[0]
    low, high = swept.bands.kl.low[-1], swept.bands.kl.high[-1]
    assert f"It costs {swept.curve.kl[-1]:.2f} nats ({low:.2f} to {high:.2f})." in said[-1]
    data = rows(sweep.sweep_csv(swept.curve, ORACLE, swept.bands))
    assert float(data[4]["level_humor_low"]) == pytest.approx(ORACLE.rewards_at(swept.bands.levels.low)[4, 2])
    assert float(data[4]["weight_helpfulness_high"]) == pytest.approx((swept.bands.weights.high / ORACLE.scale)[4, 0])
    assert "level_humor_low" not in sweep.sweep_csv(swept.curve, ORACLE)
