"""Tests of what a palette asks for beside targets: round trips through files, saved palettes and addresses."""

from __future__ import annotations

import json

import pytest

from map_core.errors import InputError
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target

ALL_OPTIONS = Beside(("humor", "kind; calm"), ("humor:5%=p10",), 0.1, "use_case")


def test_all_options_survive_round_trips_of_a_palette():
    palette = Palette("Care", {"humor": Target(70.0)}, {"humor>=p20": "0.95"}, ALL_OPTIONS)
    assert Palette.from_dict(json.loads(json.dumps(palette.as_dict()))) == palette
    query = palette.to_query()
    assert "--any-mix:0.1" in query["palette"]
    assert Palette.from_query(query, ["humor"]) == palette


def test_a_palette_without_options_has_none_in_its_address():
    assert Palette("Care", {"humor": Target(70.0)}).to_query() == {"palette": "humor:p70", "use": "Care"}
    assert not Palette.from_query({"palette": "humor:p70"}, ["humor"]).asks_beyond_averages


def test_options_of_a_line_and_of_the_command_are_merged():
    merged = Beside.from_dict({"no_worse_tail": ["humor"], "any_mix": 0.3}).with_more(Beside(("calm",), any_mix=0.1))
    assert merged == Beside(("humor", "calm"), any_mix=0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"no_worse_tail": "humor"}, "a list of values"),
        ({"any_mix": "far"}, "distance in nats"),
        ({"any_mix": True}, "nats"),
    ],
)
def test_options_of_a_wrong_type_are_refused(content: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        Beside.from_dict(content)


@pytest.mark.parametrize(("text", "message"), [("--any-mix:far", "nats"), ("--no-such-thing:1", "expected one of")])
def test_an_address_with_invalid_options_is_refused(text: str, message: str):
    with pytest.raises(InputError, match=message):
        Palette.from_query({"palette": f"humor:p70;{text}"}, ["humor"])
