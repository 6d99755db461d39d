"""Tests of palettes as plain data and as addresses: round trips, and input that is refused."""

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
from tests.feasibility.test_properties import scaled_examples
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
    data = {
        "use_case": "Care",
        "targets": {
            "humor": {"percentile": 70.0, "level": 1.25, "locked": True},
            "kindness": {"percentile": 50.0, "free": True},
        },
    }
    assert palette.as_dict() == data
    assert Palette.from_dict(data) == palette


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
    restored = Palette.from_query(palette.to_query(), ("a", "b", "c", "d"))
    assert restored == palette.with_target("d", Target(50.0, free=True))


def test_a_palette_without_targets_has_an_address():
    query = Palette(ALL, {"a": Target(70.0, free=True)}).to_query()
    assert query == {"palette": "free"}
    assert Palette.from_query(query, ("a",)) == Palette(ALL, {"a": Target(50.0, free=True)})
    assert Palette.from_query({}, ("a",)).targets["a"].free


@scaled_examples(200)
@given(PALETTES)
def test_plain_data_survives_a_round_trip_through_json(palette):
    data = palette.as_dict()
    assert Palette.from_dict(data) == palette
    assert Palette.from_dict(json.loads(json.dumps(data))) == palette


@scaled_examples(200)
@given(PALETTES)
def test_an_address_restores_the_targets(palette):
    values = tuple(palette.targets)
    query = palette.to_query()
    restored = Palette.from_query(query, values)
    assert restored.use_case == palette.use_case
    for name, target in palette.targets.items():
        restored_target = restored.targets[name]
        assert (restored_target.free, restored_target.free or restored_target.locked == target.locked) == (
            target.free,
            True,
        )
        if target.free:
            continue
        assert restored_target.keep == target.keep
        if not target.keep:
            assert restored_target.percentile == pytest.approx(target.percentile, rel=1e-5, abs=1e-5)
            if target.level is None:
                assert restored_target.level is None
            else:
                assert restored_target.level == pytest.approx(target.level, rel=1e-11)
    # Idempotent: a link that is opened and shared again is the same link.
    assert restored.to_query() == query


def test_modes_of_a_target():
    assert Target(70.0).mode(50.0) is Mode.AT_LEAST
    assert Target(50.0).mode(50.0) is Mode.AT_LEAST
    assert Target(40.0).mode(50.0) is Mode.MAY_DROP
    assert Target(40.0, keep=True).mode(50.0) is Mode.KEEP
    assert Target(40.0, keep=True, free=True).mode(50.0) is Mode.FREE


def test_moving_a_target_sets_it_and_keeps_its_lock():
    before = Target(40.0, 1.0, free=True, keep=True, locked=True)
    assert before.at(60.0) == Target(60.0, locked=True)
    assert before.at(60.0, 2.0) == Target(60.0, 2.0, locked=True)


def test_standardised_levels_are_above_the_base():
    table = make_table()
    oracle, scale = MemoryOracle.of(table), percentiles(table)
    targets = {
        "helpfulness": Target(70.0),
        "harmlessness": Target(70.0, float(oracle.base[1] + 2 * oracle.scale[1]), locked=True),
        "humor": Target(70.0, keep=True),
        "positivity": Target(70.0, free=True, locked=True),
    }
    levels = standardised(Palette(ALL, targets), VALUES, oracle, scale)
    helpfulness = (scale.level(0, 70.0) - oracle.base[0]) / oracle.scale[0]
    np.testing.assert_allclose(levels, [helpfulness, 2.0, 0.0, math.nan])
    assert locked(Palette(ALL, targets), VALUES).tolist() == [False, True, False, False]
    assert np.isnan(standardised(Palette(), VALUES, oracle, scale)).all()
    assert not locked(Palette(), VALUES).any()


@pytest.mark.parametrize(
    ("data", "message"),
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
def test_plain_data_that_is_no_palette_is_refused(data, message):
    with pytest.raises(InputError) as error:
        Palette.from_dict(data)
    assert message in str(error.value)


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
def test_an_invalid_address_is_refused(text, message):
    with pytest.raises(InputError) as error:
        Palette.from_query({"palette": text}, ("humor", "kindness"))
    assert message in str(error.value)


def test_targets_of_shares_and_cohorts_survive_round_trips():
    columns = {"humor>=p20": 0.95, "humor@Care; nights": "p60", "helpfulness>=0.25@language=de": "90%"}
    palette = Palette("Care", {"humor": Target(70.0)}, columns)
    assert Palette.from_dict(json.loads(json.dumps(palette.as_dict()))) == palette
    restored = Palette.from_query(palette.to_query(), VALUES)
    assert {name: str(level) for name, level in columns.items()} == restored.columns
    assert restored.targets["humor"] == Target(70.0)
    assert Palette.from_query(restored.to_query(), VALUES) == restored


def test_a_palette_without_columns_has_no_columns_in_its_data():
    palette = Palette("Care", {"humor": Target(70.0)})
    assert palette.as_dict() == {"use_case": "Care", "targets": {"humor": {"percentile": 70.0}}}
    assert palette.to_query() == {"palette": "humor:p70", "use": "Care"}
    assert Palette.from_dict(palette.as_dict()).columns == {}


def test_a_target_of_a_share_that_is_neither_a_number_nor_text_is_refused():
    with pytest.raises(InputError, match="humor>=p20 is None"):
        Palette.from_dict({"targets": {}, "columns": {"humor>=p20": None}})
