"""Palettes to begin from. That those shipped are reachable is held by ``tests/test_shipped_default.py``."""

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


def test_a_use_case_without_its_own_is_offered_those_of_all():
    offers = presets(TABLE.values, TABLE.values, "Another")
    assert [preset.name for preset in offers] == [preset.name for preset in offered(ALL)]
    assert {preset.palette.use_case for preset in offers} == {"Another"}


def test_a_table_with_some_of_the_values_is_offered_what_speaks_of_them():
    offers = presets(("humor", "kindness", "coherence"), ("humor", "kindness", "coherence"))
    assert [preset.name for preset in offers] == ["Light-hearted"]
    assert tuple(offers[0].palette.targets) == ("humor", "kindness", "coherence")


def test_another_table_is_offered_ones_made_from_its_values():
    offers = presets(("a", "b"), ("apples", "pears"), "Fruit")
    assert [preset.name for preset in offers] == ["More apples", "More pears", "Nothing lost", "A little of everything"]
    assert offers[0].palette == Palette("Fruit", {"a": Target(70.0), "b": Target(50.0, free=True)})
    assert offers[2].palette.targets == {"a": Target(60.0), "b": Target(50.0, keep=True)}


def test_a_table_of_one_value():
    (only,) = presets(("a",), ("apples",))
    assert only.palette.targets == {"a": Target(70.0)}


def test_the_app_opens_on_the_first_preset_that_names_a_prompt(tmp_path):
    file = tmp_path / "presets.json"
    plain = {"name": "Plain", "what": "Plain.", "targets": {"a": 60}}
    shown = {"name": "Shown", "what": "Shown.", "targets": {"b": 70}, "prompt": "p7"}
    file.write_text(json.dumps({ALL: [plain, shown], "Fruit": [plain]}))
    preset = opening(("a", "b"), ALL, file)
    assert (preset.name, preset.prompt) == ("Shown", "p7")
    assert opening(("a", "b"), "Fruit", file) is None
    assert opening(("a", "c"), ALL, file) is None
    assert opening(TABLE.values) is None
