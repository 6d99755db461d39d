"""Tests of the figures: every trace is compared with the result that it shows."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis.frontier import frontier
from map_core.analysis.frontier import surface as surface_of
from map_core.analysis.sensitivity import sensitivity_curve
from map_core.core.types import Verdict
from map_core.feasibility import assess
from map_core.figures import candidate_field, converging, plane, surface, sweep, theme
from map_core.figures.cloud import MAX_REPLIES, cloud
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.units import Unit, Units
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=24, candidates=32, seed=3)
ORACLE = MemoryOracle.of(TABLE)
TARGETS = np.array([0.3, 0.2, math.nan, math.nan])


def units(unit: Unit = "percentile") -> Units:
    return Units(ORACLE, percentiles(TABLE), unit, VALUES)


@pytest.fixture(scope="module")
def pair_frontier():
    return frontier(ORACLE, (0, 1), [0.25, 1.0])


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_every_value_has_its_own_colour_and_line():
    styles = [(theme.DEFAULT_THEME.colour(j), theme.dash(j)) for j in range(24)]
    assert len(set(styles)) == 24
    assert theme.DEFAULT_THEME.colour(0) == theme.DEFAULT_THEME.colour(len(theme.COLOURS))


def cielab(colour: str) -> np.ndarray:
    """Return a colour in CIELAB, where distances approximate perceived differences."""
    rgb = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_accent_colour_differs_from_the_colours_of_values():
    other_colours = {*theme.COLOURS, *plane.CONTOUR_COLOURS, theme.NEUTRAL}
    accent = cielab(theme.ACCENT)
    # Colours of values differ by at least about 20; an earlier accent colour was only 14 from the second value's.
    assert min(float(np.linalg.norm(accent - cielab(colour))) for colour in other_colours) > 40


def test_units_convert_levels_to_rewards_and_percentiles():
    levels = np.array([[0.0, 1.0]])
    rewards = units("reward").of(2, levels)
    assert rewards == pytest.approx(ORACLE.base[2] + levels * ORACLE.scale[2])
    assert units().of(2, levels)[0] == pytest.approx(
        [percentiles(TABLE).percentile_of(2, float(r)) for r in rewards[0]]
    )
    assert units().axis(2) == "Humor (percentile)"
    assert units().level_text(0, 0.0).startswith("p")


def test_cloud_percentiles_agree_with_those_of_levels():
    rows = np.arange(10)
    cloud = units().cloud(TABLE, 1, rows)
    assert cloud == pytest.approx([percentiles(TABLE).percentile_of(1, float(r)) for r in TABLE.rewards[:10, 1]])
    assert units("reward").cloud(TABLE, 1, rows) == pytest.approx(TABLE.rewards[:10, 1])


def test_ties_do_not_make_a_percentile_jump():
    tied = make_table(prompts=4, candidates=25, values=("diversity", "humor"))
    rewards = tied.rewards.copy()
    rewards[rewards[:, 0] > np.quantile(rewards[:, 0], 0.7), 0] = 9.0
    table = replace(tied, rewards=rewards)
    units_of_table = Units(MemoryOracle.of(table), percentiles(table), "percentile", table.values)
    top = units_of_table.oracle.standardise(np.array([9.0, 0.0]))[0]
    at_tie, below_tie = units_of_table.of(0, np.array([top, top - 1e-7]))
    assert at_tie == pytest.approx(below_tie, abs=1e-3)
    assert units_of_table.cloud(table, 0, np.flatnonzero(rewards[:, 0] == 9.0)) == pytest.approx(at_tie, abs=0.1)


def test_the_plane_draws_contours_base_target_and_realised(pair_frontier):
    solution = assess(ORACLE, TARGETS).solution
    figure = plane.plane(TABLE, units("reward"), (0, 1), pair_frontier, plane.PalettePosition(TARGETS, solution.levels))
    contour = trace(figure, "contour 0")
    assert np.array(contour.x) == pytest.approx(units("reward").of(0, pair_frontier.contours[0].levels[:, 0]))
    assert list(contour.customdata[5]) == [0, 5]
    assert trace(figure, "base model").x[0] == pytest.approx(ORACLE.base[0])
    assert trace(figure, "target").y[0] == pytest.approx(ORACLE.base[1] + 0.2 * ORACLE.scale[1])
    assert trace(figure, "realised").x[0] == pytest.approx(ORACLE.base[0] + solution.levels[0] * ORACLE.scale[0])
    # An outline keeps a label readable where every position beside its point overlaps a curve.
    assert {t.textfont.shadow for t in figure.data if t.mode == "markers+text" and t.text[0]} == {"auto"}
    assert {a.text for a in figure.layout.annotations} == {"0.25 nats", "1 nats", "limit"}


def test_plane_without_a_frontier():
    figure = plane.plane(TABLE, units(), (0, 2), None, plane.PalettePosition(TARGETS, None))
    assert [t.name for t in figure.data] == ["replies of the base model", "base model"]
    assert len(figure.layout.shapes) == 1  # only one of the two values has a target


def test_cloud_subsample_is_deterministic():
    big = make_table(prompts=60, candidates=32)
    clouds = [
        plane.plane(
            big,
            Units(MemoryOracle.of(big), percentiles(big), "reward", VALUES),
            (0, 1),
            None,
            plane.PalettePosition(TARGETS, None),
        ).data[0]
        for _ in range(2)
    ]
    assert len(clouds[0].x) == MAX_REPLIES
    assert clouds[0].x == pytest.approx(clouds[1].x)
    assert set(clouds[0].marker.size) == {4.0}
    # The subsample is representative: its percentiles are those of all replies.
    for sample, value in ((clouds[0].x, 0), (clouds[0].y, 1)):
        assert np.percentile(sample, [10, 50, 90]) == pytest.approx(
            np.percentile(big.rewards[:, value], [10, 50, 90]), abs=0.1
        )


def test_point_size_follows_the_weight_of_the_replies():
    rewards = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [5.0, 2.0]])
    table = replace(make_table(prompts=2, candidates=2, values=("humor", "length")), rewards=rewards)
    weighted = replace(table, weights=np.array([3.0, 1.0]))
    for cloud_table, x, mass in ((table, [0, 1, 5], [1, 2, 1]), (weighted, [0, 1, 5], [3, 4, 1])):
        points = cloud(
            cloud_table,
            Units(MemoryOracle.of(cloud_table), percentiles(cloud_table), "reward", cloud_table.values),
            (0, 1),
        )
        assert points.x == pytest.approx(x)
        assert points.size**2 / 16 == pytest.approx(3 * np.array(mass) / np.sum(mass))
    held_out = replace(table, held_out=np.array([False, True]))
    points = cloud(held_out, Units(MemoryOracle.of(held_out), percentiles(held_out), "reward", table.values), (0, 1))
    assert points.x == pytest.approx([0, 1])


def test_clicked_point_is_an_attainable_palette(pair_frontier):
    """The weights of a contour point give its levels, so its palette is attainable at the budget of the contour."""
    contour, direction = plane.clicked_point(pair_frontier, [1, 20])
    targets = plane.targets_at_point(np.array([0.3, 0.2, 1.5, math.nan]), contour.levels[direction], pair_frontier.pair)
    assert targets[:2] == pytest.approx(contour.levels[20, :2])
    assert targets[2] == pytest.approx(min(1.5, contour.levels[20, 2]))
    assert math.isnan(targets[3])
    outcome = assess(ORACLE, targets)
    assert outcome.verdict is not Verdict.OUT_OF_REACH
    assert outcome.solution.kl == pytest.approx(1.0, abs=1e-6)


def test_summary_and_csv_of_the_plane(pair_frontier):
    lines = plane.summary(pair_frontier, units())
    assert len(lines) == 3
    assert lines[0].startswith("At 0.25 nats: helpfulness up to p")
    rows = list(csv.DictReader(io.StringIO(plane.plane_csv(pair_frontier, ORACLE))))
    assert len(rows) == sum(len(contour.levels) for contour in pair_frontier.contours)
    first = pair_frontier.contours[0]
    assert float(rows[3]["level_humor"]) == ORACLE.rewards_at(first.levels)[3, 2]
    assert float(rows[3]["weight_helpfulness"]) == (first.weights / ORACLE.scale)[3, 0]
    assert rows[-1]["budget_nats"] == "limit"
    assert rows[-1]["weight_humor"] == ""


def test_empty_contours_are_omitted():
    floors = np.array([math.nan, math.nan, 1.5, math.nan])
    costly = frontier(ORACLE, (0, 1), [0.01], floors=floors, directions=5, limit=False)
    figure = plane.plane(TABLE, units("reward"), (0, 1), costly, plane.PalettePosition(TARGETS, None))
    assert not [t for t in figure.data if t.name.startswith("contour")]
    assert plane.summary(costly, units()) == []


@pytest.fixture(scope="module")
def sheets():
    return surface_of(ORACLE, (0, 1, 2), [0.25, 1.0], directions=6)


def test_the_space_draws_surfaces_base_target_and_realised(sheets):
    targets = np.array([0.3, 0.2, 0.1, math.nan])
    solution = assess(ORACLE, targets).solution
    figure = surface.space(units("reward"), sheets, plane.PalettePosition(targets, solution.levels))
    meshes = [trace(figure, f"contour {number}") for number in range(3)]
    for mesh, contour in zip(meshes, sheets.contours, strict=True):
        assert np.array(mesh.z) == pytest.approx(units("reward").of(2, contour.levels[:, 2]))
        assert np.column_stack([mesh.i, mesh.j, mesh.k]).tolist() == sheets.triangles.tolist()
    assert trace(figure, "Base").x[0] == pytest.approx(ORACLE.base[0])
    assert trace(figure, "Target, met").z[0] == pytest.approx(ORACLE.base[2] + 0.1 * ORACLE.scale[2])
    assert trace(figure, "Realised").y[0] == pytest.approx(ORACLE.rewards_at(solution.levels)[1])
    # The legend names the points, because a label beside a point could cover another point.
    assert figure.layout.showlegend
    assert not any(t.mode == "markers+text" for t in figure.data if t.type == "scatter3d")
    assert [t.name for t in figure.data if t.showlegend] == ["Base", "Target, met"]
    assert "Humor" in figure.layout.scene.zaxis.title.text
    assert [note.text for note in figure.layout.annotations] == ["↑ Humor"]


def test_the_space_without_targets_and_with_an_empty_surface():
    floors = np.array([math.nan, math.nan, math.nan, 1.2])
    costly = surface_of(ORACLE, (0, 1, 2), [0.01], floors=floors, directions=4, limit=False)
    figure = surface.space(units(), costly, plane.PalettePosition(np.full(4, math.nan), None))
    assert [t.name for t in figure.data] == ["Base"]
    assert surface.summary(costly, units()) == []


def test_summary_and_csv_of_the_space(sheets):
    lines = surface.summary(sheets, units())
    assert len(lines) == 3
    assert lines[0].startswith("At 0.25 nats: helpfulness up to p")
    assert lines[-1].startswith("With the best reply to every prompt")
    rows = list(csv.DictReader(io.StringIO(plane.plane_csv(sheets, ORACLE))))
    assert len(rows) == 3 * 21
    assert float(rows[0]["kl_nats"]) == pytest.approx(0.25)


@pytest.fixture(scope="module")
def sweep_data():
    return sweep.SweepData(
        sensitivity_curve(ORACLE, np.array([math.nan, 0.2, math.nan, math.nan]), 0, points=21), units(), 0.3
    )


def test_the_sweep_draws_levels_weights_and_distance(sweep_data):
    levels, weights, kl = sweep.levels(sweep_data), sweep.weights(sweep_data), sweep.kl(sweep_data)
    assert [t.name for t in levels.data] == ["harmlessness", "humor", "positivity", "helpfulness"]
    assert np.array(trace(levels, "helpfulness").y) == pytest.approx(units().of(0, sweep_data.curve.levels[:, 0]))
    assert np.array(trace(weights, "harmlessness").y) == pytest.approx(sweep_data.curve.weights[:, 1])
    assert np.array(kl.data[0].y) == pytest.approx(sweep_data.curve.kl)
    assert "now" in [a.text for a in kl.layout.annotations]
    assert trace(levels, "humor").line.color == theme.DEFAULT_THEME.colour(2)
    harmlessness = {trace(figure, "harmlessness").line.color for figure in (levels, weights)}
    assert harmlessness == {theme.DEFAULT_THEME.colour(1)}


def test_sweep_csv(sweep_data):
    rows = list(csv.reader(io.StringIO(sweep.sweep_csv(sweep_data.curve, ORACLE))))
    assert rows[0][:3] == ["target_helpfulness", "kl_nats", "level_helpfulness"]
    assert len(rows) == 1 + len(sweep_data.curve.targets)
    assert float(rows[5][1]) == sweep_data.curve.kl[4]


def convergence_data(prompts: int = 12) -> converging.ConvergenceData:
    rng = np.random.default_rng(4)
    scale, base = ORACLE.scale, ORACLE.base
    levels = base + scale * (np.array([0.3, 0.2, 0.0, 0.0]) + 0.2 * rng.normal(size=(prompts, 4)))
    forecast = base + scale * np.array([0.3, 0.2, 0.05, 0.0])
    return converging.ConvergenceData(levels, levels - 0.3 * scale, forecast, ORACLE.rewards_at(TARGETS), prompts)


def test_a_running_mean_and_its_band_by_hand():
    mean, half = converging.running_means(np.array([[1.0], [3.0], [2.0]]))
    assert mean.ravel() == pytest.approx([1.0, 2.0, 2.0])
    # Student's 95th percentile with 1 and 2 degrees of freedom, times s / sqrt(n) = 1 and 1 / sqrt(3).
    assert half.ravel()[1:] == pytest.approx([6.3138, 2.91999 / math.sqrt(3)], rel=1e-4)
    assert math.isnan(half[0, 0])


def test_realised_levels_converge_on_the_forecast():
    realised_levels = convergence_data()
    figure = converging.converging(realised_levels, 0, units())
    line = trace(figure, "realised")
    means = np.cumsum(realised_levels.realised[:, 0]) / np.arange(1, 13)
    assert np.array(line.y) == pytest.approx(units().of(0, (means - ORACLE.base[0]) / ORACLE.scale[0]))
    assert len(trace(figure, "90% band").x) == 2 * 11
    assert {a.text for a in figure.layout.annotations} == {"target and forecast"}
    free = converging.converging(realised_levels, 2, units("reward"))
    assert {a.text for a in free.layout.annotations} == {"forecast"}
    assert converging.converging(convergence_data(1), 0, units()).data


def test_summary_and_csv_of_realised_levels():
    realised_levels = convergence_data()
    lines = converging.summary(realised_levels, (0, 1), units())
    assert lines[0].startswith("Helpfulness: p")
    assert "over 12 prompts, 90% band p" in lines[0]
    assert "lies inside" in lines[0]
    assert converging.summary(convergence_data(1), (0,), units())[0].endswith(".")
    rows = list(csv.DictReader(io.StringIO(converging.converging_csv(realised_levels, VALUES))))
    assert len(rows) == 12
    assert float(rows[-1]["running_mean_humor"]) == pytest.approx(realised_levels.realised[:, 2].mean())
    assert rows[0]["half_band_humor"] == ""


def test_candidate_field_contains_no_reply_text():
    rewards = [dict(zip(VALUES, row, strict=True)) for row in TABLE.rewards[:3]]
    rewards.append({"helpfulness": 1.0})
    dots = candidate_field.dots(
        rewards, [0.2, 0.5, 0.3, 0.0], [False, True, False, True], 0, {1: ["Yours"]}, units(), (0, 2)
    )
    assert [dot.candidate for dot in dots] == [0, 1, 2]
    assert dots[1].across == pytest.approx(percentiles(TABLE).percentile_of(0, TABLE.rewards[1, 0]), abs=1e-6)
    assert (dots[0].base, dots[1].partial, dots[1].labels) == (True, True, ("Yours",))
    data = candidate_field.drawing(dots, units(), (0, 2), TARGETS)
    assert data["across"]["target"] == pytest.approx(float(units().of(0, np.array(0.3))))
    assert data["upwards"]["target"] is None
    assert data["dots"][0]["labels"] == ["Base model"]
    assert set(data["dots"][0]) == {"k", "x", "y", "p", "base", "partial", "labels", "said"}
    lines = candidate_field.summary(dots, units(), (0, 2))
    assert lines[0].startswith("Candidate 2: probability 50%, helpfulness p")
    assert lines[0].endswith("(Yours), still being written.")
