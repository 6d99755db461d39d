"""Tests of a palette as plain data and as an address: round trips, and messages for invalid input."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Mode, Palette, Target, locked, standardised
from map_core.palettes.targets import percentiles
from tests.feasibility.test_properties import check
from tests.tables import VALUES, make_table

LEVELS = st.floats(-1e6, 1e6, allow_nan=False)
TARGETS = st.builds(
    Target,
    percentile=st.floats(0.0, 100.0),
    level=st.none() | LEVELS,
    free=st.booleans(),
    keep=st.booleans(),
    locked=st.booleans(),
)
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name == name.strip())
PALETTES = st.builds(Palette, use_case=st.text(max_size=20), targets=st.dictionaries(NAMES, TARGETS, max_size=6))


def test_a_palette_as_plain_data():
    palette = Palette("Care", {"humor": Target(70.0, 1.25, locked=True), "kindness": Target(50.0, free=True)})
    parameters = {
        "use_case": "Care",
        "targets": {
            "humor": {"percentile": 70.0, "level": 1.25, "locked": True},
            "kindness": {"percentile": 50.0, "free": True},
        },
    }
    assert palette.as_dict() == parameters
    assert Palette.from_dict(parameters) == palette


def test_a_palette_as_an_address():
    palette = Palette(
        "Care",
        {
            "a": Target(70.0),
            "b": Target(65.5, 0.125, locked=True),
            "c": Target(50.0, keep=True),
            "d": Target(40.0, free=True),
        },
    )
    assert palette.to_query() == {"palette": "a:p70;b:p65.5=0.125!;c:keep", "use": "Care"}
    back = Palette.from_query(palette.to_query(), ("a", "b", "c", "d"))
    assert back == palette.with_target("d", Target(50.0, free=True))


def test_palette_without_targets_has_an_address():
    parameters = Palette(ALL, {"a": Target(70.0, free=True)}).to_query()
    assert parameters == {"palette": "free"}
    assert Palette.from_query(parameters, ("a",)) == Palette(ALL, {"a": Target(50.0, free=True)})
    assert Palette.from_query({}, ("a",)).targets["a"].free


@check(200)
@given(PALETTES)
def test_palette_round_trips_through_json(palette):
    parameters = palette.as_dict()
    assert Palette.from_dict(parameters) == palette
    assert Palette.from_dict(json.loads(json.dumps(parameters))) == palette


@check(200)
@given(PALETTES)
def test_targets_round_trip_through_an_address(palette):
    values = tuple(palette.targets)
    parameters = palette.to_query()
    back = Palette.from_query(parameters, values)
    assert back.use_case == palette.use_case
    for name, target in palette.targets.items():
        restored = back.targets[name]
        assert (restored.free, restored.free or restored.locked == target.locked) == (target.free, True)
        if target.free:
            continue
        assert restored.keep == target.keep
        if not target.keep:
            assert restored.percentile == pytest.approx(target.percentile, rel=1e-5, abs=1e-5)
            if target.level is None:
                assert restored.level is None
            else:
                assert restored.level == pytest.approx(target.level, rel=1e-11)
    # The round trip is idempotent: a link that is opened and shared again stays the same.
    assert back.to_query() == parameters


def test_level_asked_of_a_value():
    assert Target(70.0).mode(50.0) is Mode.AT_LEAST
    assert Target(50.0).mode(50.0) is Mode.AT_LEAST
    assert Target(40.0).mode(50.0) is Mode.MAY_DROP
    assert Target(40.0, keep=True).mode(50.0) is Mode.KEEP
    assert Target(40.0, keep=True, free=True).mode(50.0) is Mode.FREE


def test_moving_a_target_sets_it_and_keeps_its_lock():
    before = Target(40.0, 1.0, free=True, keep=True, locked=True)
    assert before.at(60.0) == Target(60.0, locked=True)
    assert before.at(60.0, 2.0) == Target(60.0, 2.0, locked=True)


def test_the_mathematics_reads_levels_above_base():
    table = make_table()
    oracle, scale = MemoryOracle.of(table), percentiles(table)
    targets = {
        "helpfulness": Target(70.0),
        "harmlessness": Target(70.0, float(oracle.base[1] + 2 * oracle.scale[1]), locked=True),
        "humor": Target(70.0, keep=True),
        "positivity": Target(70.0, free=True, locked=True),
    }
    levels = standardised(Palette(ALL, targets), VALUES, oracle, scale)
    first = (scale.level(0, 70.0) - oracle.base[0]) / oracle.scale[0]
    np.testing.assert_allclose(levels, [first, 2.0, 0.0, math.nan])
    assert locked(Palette(ALL, targets), VALUES).tolist() == [False, True, False, False]
    assert np.isnan(standardised(Palette(), VALUES, oracle, scale)).all()
    assert not locked(Palette(), VALUES).any()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "The palette is {}; expected"),
        ({"targets": []}, "The palette is"),
        ({"targets": {"humor": 3}}, "The palette is"),
        ({"targets": {"humor": {}}}, "The palette is"),
        (None, "The palette is None"),
        ({"targets": {"humor": {"percentile": 101}}}, "percentile of humor is 101; expected a number from 0 to 100"),
        ({"targets": {"humor": {"percentile": -1}}}, "percentile of humor is -1"),
        ({"targets": {"humor": {"percentile": math.nan}}}, "expected a finite number"),
        ({"targets": {"humor": {"percentile": "high"}}}, "level of humor is 'high'; expected a number"),
        ({"targets": {"humor": {"percentile": 50, "level": math.inf}}}, "level of humor is inf"),
        ({"targets": {"humor": {"percentile": 50, "level": 10**400}}}, "expected a number in reward units"),
    ],
)
def test_invalid_plain_data_is_refused(parameters, message):
    with pytest.raises(InputError) as refused:
        Palette.from_dict(parameters)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("humor", "has 'humor'; expected"),
        ("humor:", "has 'humor:'; expected"),
        ("humor:70", "has 'humor:70'; expected"),
        ("humor:p70;;kindness:p60", "has ''; expected"),
        ("humor:p70?", "has 'humor:p70?'"),
        ("humor:p170", "percentile of humor is '170'; expected a number from 0 to 100"),
        ("humor:p70=1e", "level of humor is '1e'"),
        ("humor:p70=1e999", "expected a finite number"),
        ("wit:p70", "names 'wit'; this table has humor, kindness"),
        ("<script>:p70", "names '<script>'"),
    ],
)
def test_invalid_address_is_refused(text, message):
    with pytest.raises(InputError) as refused:
        Palette.from_query({"palette": text}, ("humor", "kindness"))
    assert message in str(refused.value)


def test_targets_of_shares_and_cohorts_round_trip():
    columns = {"humor>=p20": 0.95, "humor@Care; nights": "p60", "helpfulness>=0.25@language=de": "90%"}
    palette = Palette("Care", {"humor": Target(70.0)}, columns)
    assert Palette.from_dict(json.loads(json.dumps(palette.as_dict()))) == palette
    read = Palette.from_query(palette.to_query(), VALUES)
    assert {name: str(level) for name, level in columns.items()} == read.columns
    assert read.targets["humor"] == Target(70.0)
    assert Palette.from_query(read.to_query(), VALUES) == read


def test_palette_without_columns_is_written_as_before():
    palette = Palette("Care", {"humor": Target(70.0)})
    assert palette.as_dict() == {"use_case": "Care", "targets": {"humor": {"percentile": 70.0}}}
    assert palette.to_query() == {"palette": "humor:p70", "use": "Care"}
    assert Palette.from_dict(palette.as_dict()).columns == {}


def test_target_of_a_share_must_be_a_number_or_text():
    with pytest.raises(InputError, match="humor>=p20 is None"):
        Palette.from_dict({"targets": {}, "columns": {"humor>=p20": None}})
