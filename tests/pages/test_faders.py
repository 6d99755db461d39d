"""Tests of messages from the desk: changes by value, and invalid messages."""

from __future__ import annotations

import math

import pytest

from map_core.feasibility.limits import limits
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL, Palette, Target
from map_core.text.wording import NUMBERS, PLAIN
from pages.view.palette.fader_text import field_text
from pages.view.palette.faders import changed_target, fader_data
from pages.view.session import live_answer
from pages.view.session.scene import Scene
from tests.tables import make_table

BEFORE = Target(60.0, level=1.25, locked=True)


def test_moved_fader_has_a_target_without_exact_level():
    assert changed_target(BEFORE, {"percentile": 70.5, "free": False, "keep": False}) == Target(70.5, locked=True)


def test_exact_level_stays_without_a_move():
    assert changed_target(BEFORE, {"locked": False}) == Target(60.0, level=1.25)
    assert changed_target(BEFORE, {"percentile": 60.0, "free": False}) == BEFORE


def test_free_keeps_the_percentile_for_later():
    free = changed_target(BEFORE, {"free": True})
    assert free == Target(60.0, level=1.25, free=True, locked=True)
    assert changed_target(free, {"percentile": 60.0, "free": False, "keep": False}) == Target(60.0, locked=True)


def test_keep_asks_for_the_base_level():
    target = changed_target(BEFORE, {"keep": True, "free": False, "percentile": 48.2})
    assert target.keep
    assert not changed_target(target, {"percentile": 55, "free": False, "keep": False}).keep


@pytest.mark.parametrize("percentile", [10**400, math.nan, math.inf, -1, 101, "70", None, True, [70], {"p": 70}])
def test_invalid_percentile_changes_nothing(percentile):
    assert changed_target(BEFORE, {"percentile": percentile}) == BEFORE


@pytest.mark.parametrize("flag", ["yes", 1, None, []])
def test_flags_are_true_or_false(flag):
    assert changed_target(BEFORE, {"free": flag, "keep": flag, "locked": flag, "else": flag}) == BEFORE


@pytest.mark.parametrize("wording", [NUMBERS, PLAIN])
def test_fader_states_its_reliable_and_possible_range(wording):
    table = make_table(prompts=24, candidates=32, seed=3)
    scene = Scene(("test", 0.0, None), table, MemoryOracle.of(table), table.values, ("",) * len(table.values))
    palette = Palette(ALL, {name: Target(60.0, free=j > 1) for j, name in enumerate(table.values)})
    live = live_answer.compute_answer(scene, palette, None, wording=wording)
    p = wording.mark
    most = limits(scene.oracle, live.assessment.targets)
    for j, fader in enumerate(fader_data(live, most)["faders"]):
        reliable, possible = (math.floor(scene.percentile(j, level[j])) for level in (most.reliable, most.possible))
        ends = f"{p}{reliable} (reliable), {p}{possible} (possible)" if reliable < possible else f"{p}{possible}"
        assert fader["said"].endswith(f"at most {ends}")
        assert ends in fader["spoken"]
    # During a drag only the end is known.
    assert "(reliable)" not in fader_data(live)["faders"][0]["said"]
    assert fader_data(live)["faders"][0]["said"].endswith("(possible)")


def test_plain_field_has_integers_within_its_range():
    assert field_text(54.7, None, None, NUMBERS) == "p54.7"
    assert field_text(54.0, None, None, NUMBERS) == "p54"
    assert field_text(54.7, None, None, PLAIN) == "55"
    assert field_text(54.7, 54.8, [20.0, 80.0], PLAIN) == "54"  # below it is "at most 54 (reliable)"
    assert field_text(54.7, 50.0, [20.0, 54.7], PLAIN) == "54"
    assert field_text(54.7, 50.0, [20.0, 53.0], PLAIN) == "55"
