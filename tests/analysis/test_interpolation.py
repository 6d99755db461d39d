"""Between two palettes: the ends as they are, even steps between, and the convexity that makes a blend safe."""

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


def ends(first, second) -> PalettePair:
    return PalettePair(*(assess(ORACLE, np.array(targets)) for targets in (first, second)))


def along(mixtures: PalettePair, points: int = 11):
    return interpolate(ORACLE, mixtures, lambda targets: assess(ORACLE, targets), points)


def test_halfway_lies_in_the_middle():
    mixtures = ends([0.2, 0.4, NAN, NAN], [0.6, 0.0, NAN, NAN])
    np.testing.assert_allclose(mixtures.targets(0.5), [0.4, 0.2, NAN, NAN])
    np.testing.assert_allclose(mixtures.targets(0.25), [0.3, 0.3, NAN, NAN])


def test_the_ends_are_the_palettes_themselves():
    mixtures = ends([0.2, NAN, NAN, NAN], [NAN, 0.3, NAN, NAN])
    np.testing.assert_array_equal(mixtures.targets(0.0), mixtures.first.targets)
    np.testing.assert_array_equal(mixtures.targets(1.0), mixtures.second.targets)


def test_what_only_one_asks_for_is_asked_of_the_other_at_what_it_gives_unasked():
    mixtures = ends([0.5, NAN, NAN, NAN], [NAN, 0.3, NAN, NAN])
    a, b = mixtures.first.solution.levels, mixtures.second.solution.levels
    expected = [0.5 * 0.5 + 0.5 * b[0], 0.5 * a[1] + 0.5 * 0.3, NAN, NAN]
    np.testing.assert_allclose(mixtures.targets(0.5), expected)
    near = assess(ORACLE, mixtures.targets(1e-6))
    assert near.solution.kl == pytest.approx(mixtures.first.solution.kl, abs=1e-4)
    np.testing.assert_allclose(near.solution.levels[:2], a[:2], atol=1e-3)


def test_a_pair_has_another_key_where_a_lock_changes_what_an_end_gives():
    targets, other = np.array([2.0, 2.0, NAN, NAN]), assess(ORACLE, np.array([NAN, NAN, 0.2, NAN]))
    free, held = (assess(ORACLE, targets, locked=np.array([lock, False, False, False])) for lock in (False, True))
    assert free.verdict is held.verdict is Verdict.OUT_OF_REACH
    assert free.nearest is not None
    assert not np.array_equal(PalettePair(free, other).targets(0.5), PalettePair(held, other).targets(0.5))
    assert PalettePair(free, other).key() != PalettePair(held, other).key()
    assert PalettePair(free, other).key() == PalettePair(replace(free), other).key()
    assert PalettePair(free, other).key() != PalettePair(other, free).key()


@pytest.mark.parametrize("seed", range(6))
def test_a_blend_of_what_can_be_had_can_be_had_for_at_most_the_blend_of_the_costs(seed):
    rng = np.random.default_rng(seed)
    drawn = [np.where(rng.random(4) < 0.3, NAN, rng.uniform(-0.2, 0.5, 4)) for _ in range(2)]
    mixtures = ends(*drawn)
    assert Verdict.OUT_OF_REACH not in (mixtures.first.verdict, mixtures.second.verdict)
    way = along(mixtures)
    assert Verdict.OUT_OF_REACH not in way.verdicts
    mixed = (1 - way.shares) * way.kl[0] + way.shares * way.kl[-1]
    assert np.all(way.kl <= mixed + 1e-7)
    assert np.isfinite(way.levels).all()


def test_where_it_is_out_of_reach_there_are_no_levels():
    mixtures = ends([0.2, NAN, NAN, NAN], [9.0, NAN, NAN, NAN])
    way = along(mixtures, 5)
    assert way.verdicts[0] is Verdict.REACHABLE
    assert way.verdicts[-1] is Verdict.OUT_OF_REACH
    assert np.isnan(way.kl[-1])
    assert np.isnan(way.levels[-1]).all()
    sections = verdict_stretches(way)
    assert sections[0][1] == 0.0
    assert sections[-1][2] == 1.0
    assert all(before[2] == after[1] for before, after in pairwise(sections))


def test_shares_outside_0_to_1_and_a_single_point_are_refused():
    mixtures = ends([0.2, NAN, NAN, NAN], [0.3, NAN, NAN, NAN])
    for share in (-0.1, 1.1, NAN):
        with pytest.raises(InputError, match="share of the second palette"):
            mixtures.targets(share)
    with pytest.raises(InputError, match="2 or more"):
        along(mixtures, 1)


def test_it_stops_when_nobody_waits():
    class Gone(Exception):
        pass

    def check():
        raise Gone

    mixtures = ends([0.2, NAN, NAN, NAN], [0.3, NAN, NAN, NAN])
    with pytest.raises(Gone):
        interpolate(ORACLE, mixtures, lambda targets: assess(ORACLE, targets), 5, check)


def test_figure_words_and_data_say_the_same():
    way = along(ends([0.2, NAN, NAN, NAN], [0.6, 0.3, NAN, NAN]), 5)
    units = Units(ORACLE, percentiles(TABLE), "percentile", TABLE.values)
    figure = blend(way, units, [0, 1], 0.25)
    drawn = {trace.name: trace for trace in figure.data}
    assert set(drawn) == {"helpfulness", "harmlessness", "nats"}
    np.testing.assert_allclose(drawn["nats"].y, way.kl)
    np.testing.assert_allclose(drawn["helpfulness"].y, units.of(0, way.levels[:, 0]))
    assert [shape.x0 for shape in figure.layout.shapes if shape.type == "line"] == [25, 25]
    lines = summary(way, units, [0, 1], ("Warm", "Cool"))
    assert lines[0] == "From 0% to 100% of Cool: reachable."
    assert f"{way.kl[0]:.2f} nats (Warm)" in lines[1]
    rows = list(csv.DictReader(io.StringIO(blends_csv(way, ORACLE))))
    assert [float(row["share_of_second"]) for row in rows] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows[0]["target_harmlessness"] == ""
    assert float(rows[2]["level_helpfulness"]) == pytest.approx(ORACLE.rewards_at(way.levels[2])[0])


def test_what_cannot_be_had_is_shaded_and_named():
    way = along(ends([0.2, NAN, NAN, NAN], [9.0, NAN, NAN, NAN]), 5)
    units = Units(ORACLE, percentiles(TABLE), "percentile", TABLE.values)
    figure = blend(way, units, [0], 0.5)
    assert "not possible together" in [note.text for note in figure.layout.annotations]
    assert any(shape.type == "rect" and shape.x1 == 100 for shape in figure.layout.shapes)
    assert any("not possible together" in line for line in summary(way, units, [0], ("Warm", "Cool")))
