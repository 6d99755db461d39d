"""What the hand says to the desk: changes by value, and what cannot be read."""

from __future__ import annotations

import math

import pytest

from map_core.palettes.palette import Target
from pages.view.palette.faders import changed_target

BEFORE = Target(60.0, level=1.25, locked=True)


def test_a_moved_fader_has_a_target_and_no_exact_level():
    assert changed_target(BEFORE, {"percentile": 70.5, "free": False, "keep": False}) == Target(70.5, locked=True)


def test_an_exact_level_stays_where_nothing_moved():
    assert changed_target(BEFORE, {"locked": False}) == Target(60.0, level=1.25)
    assert changed_target(BEFORE, {"percentile": 60.0, "free": False}) == BEFORE


def test_free_keeps_the_percentile_for_later():
    free = changed_target(BEFORE, {"free": True})
    assert free == Target(60.0, level=1.25, free=True, locked=True)
    assert changed_target(free, {"percentile": 60.0, "free": False, "keep": False}) == Target(60.0, locked=True)


def test_keep_asks_for_the_base_level():
    kept = changed_target(BEFORE, {"keep": True, "free": False, "percentile": 48.2})
    assert kept.keep
    assert not changed_target(kept, {"percentile": 55, "free": False, "keep": False}).keep


@pytest.mark.parametrize("told", [math.nan, math.inf, -1, 101, "70", None, True, [70], {"p": 70}])
def test_a_percentile_that_is_none_changes_nothing(told):
    assert changed_target(BEFORE, {"percentile": told}) == BEFORE


@pytest.mark.parametrize("told", ["yes", 1, None, []])
def test_flags_are_true_or_false(told):
    assert changed_target(BEFORE, {"free": told, "keep": told, "locked": told, "else": told}) == BEFORE
