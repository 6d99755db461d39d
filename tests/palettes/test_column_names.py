"""Tests of the names of shares and cohorts: their parts, the values behind them, and names that cannot be parsed."""

from __future__ import annotations

import pytest

from map_core.data.derived_columns import Cohort, ColumnKind
from map_core.errors import InputError
from map_core.palettes.column_names import ColumnName, parse_name, reply_columns, scored_value

VALUES = ("humor", "humor in plain words", "a>=b", "kind@heart")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("humor>=p20", ColumnName("humor", ColumnKind.SHARE, "p20")),
        ("humor >= 0.5", ColumnName("humor", ColumnKind.SHARE, "0.5")),
        ("humor<p5", ColumnName("humor", ColumnKind.SHARE, "p5", below=True)),
        ("humor@Stories", ColumnName("humor", cohort=Cohort("use_case", "Stories"))),
        ("humor@language=de", ColumnName("humor", cohort=Cohort("language", "de"))),
        ("humor>=-0.5@Stories", ColumnName("humor", ColumnKind.SHARE, "-0.5", Cohort("use_case", "Stories"))),
        ("humor in plain words>=p20", ColumnName("humor in plain words", ColumnKind.SHARE, "p20")),
        ("min(humor,0.25)", ColumnName("humor", ColumnKind.CAPPED, "0.25")),
        ("min(humor,0.25)@Stories", ColumnName("humor", ColumnKind.CAPPED, "0.25", Cohort("use_case", "Stories"))),
        ("a>=b>=1", ColumnName("a>=b", ColumnKind.SHARE, "1")),
    ],
)
def test_the_parts_of_a_name(name: str, parts: ColumnName):
    assert parse_name(name, VALUES) == parts


@pytest.mark.parametrize("name", ["humor", "a>=b", "kind@heart", "wit", "wit>=p20", "humorous", "", "min(wit,1)"])
def test_names_of_values_and_unknown_names_are_not_columns(name: str):
    assert parse_name(name, VALUES) is None


def test_a_share_below_a_threshold_has_the_column_of_its_complement():
    below, above = parse_name("humor<p5@Stories", VALUES), parse_name("humor>=p5@Stories", VALUES)
    assert below is not None
    assert above is not None
    assert below.name == above.name == "humor>=p5@Stories"


@pytest.mark.parametrize("name", ["humor>=", "humor@", "humor>=@Stories", "humor>=p20@"])
def test_an_incomplete_name_is_refused_with_what_is_missing(name: str):
    with pytest.raises(InputError, match=r"has no (level|entry)"):
        parse_name(name, VALUES)


def test_columns_named_by_weights():
    columns = reply_columns(["humor", "humor>=0.5", "min(humor,-1.0)"], ["humor"])
    assert {name: (c.kind, c.threshold) for name, c in columns.items()} == {
        "humor>=0.5": (ColumnKind.SHARE, 0.5),
        "min(humor,-1.0)": (ColumnKind.CAPPED, -1.0),
    }
    assert [columns[name].reply_name for name in columns] == list(columns)


@pytest.mark.parametrize("name", ["humor>=p20", "humor@Stories", "humor>=0.5@Stories", "humor<0.5", "humor>=nan"])
def test_weights_need_thresholds_in_reward_units(name: str):
    with pytest.raises(InputError, match="cannot be used on a reply"):
        reply_columns([name], ["humor"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("humor>=0.5", "humor"), ("min(humor,-1e-05)", "humor"), ("humor", "humor"), ("a>=b", "a>=b")],
)
def test_the_value_behind_a_weight(name: str, value: str):
    assert scored_value(name) == value
