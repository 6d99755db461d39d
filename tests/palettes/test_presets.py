"""Palettes to begin from: each one made by hand can be had on the embedded table."""

from __future__ import annotations

import json

import pytest

from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.data.table_format import DEFAULT_TABLE
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target, standardised
from map_core.palettes.presets import FILE, Preset, presets
from map_core.palettes.targets import percentiles

TABLE = table_format.load(DEFAULT_TABLE)
USE_CASES = (ALL, *TABLE.use_case_names)


def offered(use_case: str) -> tuple[Preset, ...]:
    return presets(TABLE.values, TABLE.values, use_case)


@pytest.mark.parametrize("use_case", USE_CASES)
def test_each_one_made_by_hand_can_be_had(use_case):
    part = TABLE.select(None if use_case == ALL else use_case)
    oracle = MemoryOracle.of(part)
    for one in offered(use_case):
        targets = standardised(one.palette, part.values, oracle, percentiles(part))
        assert assess(oracle, targets).verdict is Verdict.REACHABLE, one.name


@pytest.mark.parametrize("use_case", USE_CASES)
def test_each_use_case_has_a_handful_described_in_a_sentence(use_case):
    offers = offered(use_case)
    assert 4 <= len(offers) <= 6
    assert len({one.name for one in offers}) == len(offers)
    for one in offers:
        assert one.what.endswith(".")
        assert one.what.count(".") == 1
        assert one.palette.use_case == use_case
        assert tuple(one.palette.targets) == TABLE.values
        assert any(not target.free for target in one.palette.targets.values())


def test_the_file_speaks_of_this_table_only():
    content = json.loads(FILE.read_text(encoding="utf-8"))
    assert set(content) == set(USE_CASES)
    named = {name for group in content.values() for one in group for name in one["targets"]}
    assert named <= set(TABLE.values)


def test_a_use_case_without_its_own_is_offered_those_of_all():
    offers = presets(TABLE.values, TABLE.values, "Another")
    assert [one.name for one in offers] == [one.name for one in offered(ALL)]
    assert {one.palette.use_case for one in offers} == {"Another"}


def test_a_table_with_some_of_the_values_is_offered_what_speaks_of_them():
    offers = presets(("humor", "kindness", "coherence"), ("humor", "kindness", "coherence"))
    assert [one.name for one in offers] == ["Light-hearted"]
    assert tuple(offers[0].palette.targets) == ("humor", "kindness", "coherence")


def test_another_table_is_offered_ones_made_from_its_values():
    offers = presets(("a", "b"), ("apples", "pears"), "Fruit")
    assert [one.name for one in offers] == ["More apples", "More pears", "Nothing lost", "A little of everything"]
    assert offers[0].palette == Palette("Fruit", {"a": Target(70.0), "b": Target(50.0, free=True)})
    assert offers[2].palette.targets == {"a": Target(60.0), "b": Target(50.0, keep=True)}


def test_a_table_of_one_value():
    (only,) = presets(("a",), ("apples",))
    assert only.palette.targets == {"a": Target(70.0)}
