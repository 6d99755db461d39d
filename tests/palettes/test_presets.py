"""Tests of presets. ``tests/test_shipped_default.py`` checks that the shipped ones are reachable."""

from __future__ import annotations

import json

from map_core.data import table_format
from map_core.data.table_format import DEFAULT_TABLE
from map_core.palettes.palette import ALL, Palette, Target
from map_core.palettes.presets import Preset, opening, presets

TABLE = table_format.load(DEFAULT_TABLE)
USE_CASES = (ALL, *TABLE.use_case_names)


def offered(use_case: str) -> tuple[Preset, ...]:
    return presets(TABLE.values, TABLE.values, use_case)


def test_use_case_without_presets_gets_those_of_all_use_cases():
    offers = presets(TABLE.values, TABLE.values, "Another")
    assert [preset.name for preset in offers] == [preset.name for preset in offered(ALL)]
    assert {preset.palette.use_case for preset in offers} == {"Another"}


def test_table_with_some_values_gets_the_presets_of_those():
    offers = presets(("humor", "kindness", "coherence"), ("humor", "kindness", "coherence"))
    assert [preset.name for preset in offers] == ["Light-hearted"]
    assert tuple(offers[0].palette.targets) == ("humor", "kindness", "coherence")


def test_other_tables_get_generated_presets():
    offers = presets(("a", "b"), ("apples", "pears"), "Fruit")
    assert [preset.name for preset in offers] == ["More apples", "More pears", "Nothing lost", "A little of everything"]
    assert offers[0].palette == Palette("Fruit", {"a": Target(70.0), "b": Target(50.0, free=True)})
    assert offers[2].palette.targets == {"a": Target(60.0), "b": Target(50.0, keep=True)}


def test_presets_of_a_table_with_one_value():
    (only,) = presets(("a",), ("apples",))
    assert only.palette.targets == {"a": Target(70.0)}


def test_the_app_opens_on_the_first_preset_that_names_a_prompt(tmp_path):
    file = tmp_path / "presets.json"
    plain = {"name": "Plain", "what": "Plain.", "targets": {"a": 60}}
    preset_with_prompt = {"name": "Shown", "what": "Shown.", "targets": {"b": 70}, "prompt": "p7"}
    file.write_text(json.dumps({ALL: [plain, preset_with_prompt], "Fruit": [plain]}))
    preset = opening(("a", "b"), ALL, file)
    assert (preset.name, preset.prompt) == ("Shown", "p7")
    assert opening(("a", "b"), "Fruit", file) is None
    assert opening(("a", "c"), ALL, file) is None
    assert opening(TABLE.values) is None
