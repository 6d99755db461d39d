"""Tests of presets. ``tests/test_shipped_default.py`` checks that the shipped ones are reachable."""

from __future__ import annotations

import json

from map_core.data import table_format
from map_core.data.table_format import DEFAULT_TABLE
from map_core.palettes.palette import ALL, Palette, Target
from map_core.palettes.presets import Preset, opening, presets

TABLE = table_format.load(DEFAULT_TABLE)
USE_CASES = (ALL, *TABLE.use_case_names)


def presets_of(use_case: str) -> tuple[Preset, ...]:
    return presets(TABLE.values, TABLE.values, use_case)


def test_a_use_case_without_presets_is_offered_those_of_all():
    offered = presets(TABLE.values, TABLE.values, "Another")
    assert [preset.name for preset in offered] == [preset.name for preset in presets_of(ALL)]
    assert {preset.palette.use_case for preset in offered} == {"Another"}


def test_a_table_with_some_of_the_values_is_offered_presets_of_these():
    offered = presets(("humor", "kindness", "coherence"), ("humor", "kindness", "coherence"))
    assert [preset.name for preset in offered] == ["Light-hearted"]
    assert tuple(offered[0].palette.targets) == ("humor", "kindness", "coherence")


def test_another_table_is_offered_presets_made_from_its_values():
    offered = presets(("a", "b"), ("apples", "pears"), "Fruit")
    assert [preset.name for preset in offered] == [
        "More apples",
        "More pears",
        "Nothing lost",
        "A little of everything",
    ]
    assert offered[0].palette == Palette("Fruit", {"a": Target(70.0), "b": Target(50.0, free=True)})
    assert offered[2].palette.targets == {"a": Target(60.0), "b": Target(50.0, keep=True)}


def test_a_table_of_one_value_has_one_preset():
    (preset,) = presets(("a",), ("apples",))
    assert preset.palette.targets == {"a": Target(70.0)}


def test_the_app_opens_on_the_first_preset_that_names_a_prompt(tmp_path):
    path = tmp_path / "presets.json"
    without_prompt = {"name": "Plain", "what": "Plain.", "targets": {"a": 60}}
    with_prompt = {"name": "Shown", "what": "Shown.", "targets": {"b": 70}, "prompt": "p7"}
    path.write_text(json.dumps({ALL: [without_prompt, with_prompt], "Fruit": [without_prompt]}))
    preset = opening(("a", "b"), ALL, path)
    assert (preset.name, preset.prompt) == ("Shown", "p7")
    assert opening(("a", "b"), "Fruit", path) is None
    assert opening(("a", "c"), ALL, path) is None
    assert opening(TABLE.values) is None
