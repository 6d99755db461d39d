"""Tests of the interpolation between two palettes: its ends, even steps, convex cost, figure and summary."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from map_core.analysis.interpolation import PalettePair, interpolate
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.figures.interpolation import blend, blends_csv, summary, verdict_stretches
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text.units import Units
from tests.tables import make_table

TABLE = make_table(prompts=16, candidates=32, seed=5)
ORACLE = MemoryOracle.of(TABLE)
NAN = np.nan


def palette_pair(first, second) -> PalettePair:
    return PalettePair(*(assess(ORACLE, np.array(targets)) for targets in (first, second)))


def interpolate_pair(pair: PalettePair, points: int = 11):
    return interpolate(ORACLE, pair, lambda targets: assess(ORACLE, targets), points)


def test_targets_are_interpolated_linearly():
    pair = palette_pair([0.2, 0.4, NAN, NAN], [0.6, 0.0, NAN, NAN])
    np.testing.assert_allclose(pair.targets(0.5), [0.4, 0.2, NAN, NAN])
    np.testing.assert_allclose(pair.targets(0.25), [0.3, 0.3, NAN, NAN])


def test_the_ends_are_the_palettes_themselves():
    pair = palette_pair([0.2, NAN, NAN, NAN], [NAN, 0.3, NAN, NAN])
    np.testing.assert_array_equal(pair.targets(0.0), pair.first.targets)
    np.testing.assert_array_equal(pair.targets(1.0), pair.second.targets)


def test_missing_targets_are_interpolated_from_the_realised_level():
    pair = palette_pair([0.5, NAN, NAN, NAN], [NAN, 0.3, NAN, NAN])
    a, b = pair.first.solution.levels, pair.second.solution.levels
    expected = [0.5 * 0.5 + 0.5 * b[0], 0.5 * a[1] + 0.5 * 0.3, NAN, NAN]
    np.testing.assert_allclose(pair.targets(0.5), expected)
    near_first = assess(ORACLE, pair.targets(1e-6))
    assert near_first.solution.kl == pytest.approx(pair.first.solution.kl, abs=1e-4)
    np.testing.assert_allclose(near_first.solution.levels[:2], a[:2], atol=1e-3)


def test_key_of_a_pair_depends_on_the_locks():
    targets, other = np.array([2.0, 2.0, NAN, NAN]), assess(ORACLE, np.array([NAN, NAN, 0.2, NAN]))
    unlocked, locked = (assess(ORACLE, targets, locked=np.array([lock, False, False, False])) for lock in (False, True))
    assert unlocked.verdict is locked.verdict is Verdict.OUT_OF_REACH
    assert unlocked.nearest is not None
    assert not np.array_equal(PalettePair(unlocked, other).targets(0.5), PalettePair(locked, other).targets(0.5))
    assert PalettePair(unlocked, other).key() != PalettePair(locked, other).key()
    assert PalettePair(unlocked, other).key() == PalettePair(replace(unlocked), other).key()
    assert PalettePair(unlocked, other).key() != PalettePair(other, unlocked).key()


@pytest.mark.parametrize("seed", range(6))
def test_blends_of_reachable_palettes_are_reachable_and_cost_is_convex(seed):
    rng = np.random.default_rng(seed)
    targets = [np.where(rng.random(4) < 0.3, NAN, rng.uniform(-0.2, 0.5, 4)) for _ in range(2)]
    pair = palette_pair(*targets)
    assert Verdict.OUT_OF_REACH not in (pair.first.verdict, pair.second.verdict)
    path = interpolate_pair(pair)
    assert Verdict.OUT_OF_REACH not in path.verdicts
    mixed_cost = (1 - path.shares) * path.kl[0] + path.shares * path.kl[-1]
    assert np.all(path.kl <= mixed_cost + 1e-7)
    assert np.isfinite(path.levels).all()


def test_blends_out_of_reach_have_no_levels():
    pair = palette_pair([0.2, NAN, NAN, NAN], [9.0, NAN, NAN, NAN])
    path = interpolate_pair(pair, 5)
    assert path.verdicts[0] is Verdict.REACHABLE
    assert path.verdicts[-1] is Verdict.OUT_OF_REACH
    assert np.isnan(path.kl[-1])
    assert np.isnan(path.levels[-1]).all()
    sections = verdict_stretches(path)
    assert sections[0][1] == 0.0
    assert sections[-1][2] == 1.0
    assert all(before[2] == after[1] for before, after in pairwise(sections))


def test_shares_outside_0_to_1_and_a_single_point_are_refused():
    pair = palette_pair([0.2, NAN, NAN, NAN], [0.3, NAN, NAN, NAN])
    for share in (-0.1, 1.1, NAN):
        with pytest.raises(InputError, match="share of the second palette"):
            pair.targets(share)
    with pytest.raises(InputError, match="2 or more"):
        interpolate_pair(pair, 1)


def test_interpolation_can_be_cancelled():
    class Cancelled(Exception):
        pass

    def check():
        raise Cancelled

    pair = palette_pair([0.2, NAN, NAN, NAN], [0.3, NAN, NAN, NAN])
    with pytest.raises(Cancelled):
        interpolate(ORACLE, pair, lambda targets: assess(ORACLE, targets), 5, check)


def test_figure_summary_and_csv_agree():
    path = interpolate_pair(palette_pair([0.2, NAN, NAN, NAN], [0.6, 0.3, NAN, NAN]), 5)
    units = Units(ORACLE, percentiles(TABLE), "percentile", TABLE.values)
    figure = blend(path, units, [0, 1], 0.25)
    traces = {trace.name: trace for trace in figure.data}
    assert set(traces) == {"helpfulness", "harmlessness", "nats"}
    np.testing.assert_allclose(traces["nats"].y, path.kl)
    np.testing.assert_allclose(traces["helpfulness"].y, units.of(0, path.levels[:, 0]))
    assert [shape.x0 for shape in figure.layout.shapes if shape.type == "line"] == [25, 25]
    lines = summary(path, units, [0, 1], ("Warm", "Cool"))
    assert lines[0] == "From 0% to 100% of Cool: reachable."
    assert f"{path.kl[0]:.2f} nats (Warm)" in lines[1]
    rows = list(csv.DictReader(io.StringIO(blends_csv(path, ORACLE))))
    assert [float(row["share_of_second"]) for row in rows] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows[0]["target_harmlessness"] == ""
    assert float(rows[2]["level_helpfulness"]) == pytest.approx(ORACLE.rewards_at(path.levels[2])[0])


def test_blends_out_of_reach_are_shaded_and_labelled():
    path = interpolate_pair(palette_pair([0.2, NAN, NAN, NAN], [9.0, NAN, NAN, NAN]), 5)
    units = Units(ORACLE, percentiles(TABLE), "percentile", TABLE.values)
    figure = blend(path, units, [0], 0.5)
    assert "not possible together" in [note.text for note in figure.layout.annotations]
    assert any(shape.type == "rect" and shape.x1 == 100 for shape in figure.layout.shapes)
    assert any("not possible together" in line for line in summary(path, units, [0], ("Warm", "Cool")))
