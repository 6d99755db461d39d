"""Tests of stored palettes and values, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from map_core.access import Role, Visitor
from map_core.errors import InputError
from map_core.palettes.palette import ALL, Palette, Target
from map_core.scoring.definition import Definition
from map_core.scoring.pairwise import PairAnswer
from map_core.store import (
    custom_values,
    palettes,
    table_key,
    votes,
)
from tests.store.examples import CALMER, COOL, NURSE, WARM
from tests.tables import make_table


def test_palette_round_trips(opened):
    before = datetime.now(UTC)
    saved = palettes.save(opened, WARM, "  Warm\n and kind ", colour="teal", note=" Of the\nboard. ", table_key="t")
    assert (saved.name, saved.colour, saved.note, saved.table_key) == ("Warm and kind", "teal", "Of the\nboard.", "t")
    assert (saved.version, saved.palette, saved.owner, saved.meanwhile) == (1, WARM, "", ())
    assert before <= saved.created == saved.updated <= datetime.now(UTC)
    assert palettes.load(opened, saved.id) == saved
    assert palettes.list_palettes(opened) == (saved,)
    assert list(palettes.load(opened, saved.id).palette.targets) == ["kindness", "humor", "helpfulness"]


def test_every_version_is_kept(opened):
    saved = palettes.save(opened, WARM, "Warm", what="The first one.")
    later = palettes.update(opened, saved.id, COOL, "Less humor.", based_on=1)
    assert (later.version, later.palette, later.meanwhile) == (2, COOL, ())
    assert later.updated > saved.updated
    assert later.created == saved.created
    versions = [(version.number, version.palette, version.what) for version in palettes.versions(opened, saved.id)]
    assert versions == [(1, WARM, "The first one."), (2, COOL, "Less humor.")]
    assert palettes.load(opened, saved.id) == later


def test_saving_over_a_version_that_changed_meanwhile_keeps_both(opened):
    saved = palettes.save(opened, WARM, "Warm")
    first = palettes.update(opened, saved.id, COOL, based_on=saved.version)
    second = palettes.update(opened, saved.id, WARM, based_on=saved.version)
    assert (first.meanwhile, second.meanwhile, second.version) == ((), (2,), 3)
    assert [version.palette for version in palettes.versions(opened, saved.id)] == [WARM, COOL, WARM]
    assert palettes.update(opened, saved.id, COOL).meanwhile == ()


def test_concurrent_saves_lose_nothing(opened):
    saved = palettes.save(opened, WARM, "Warm")
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda k: palettes.update(opened, saved.id, COOL, f"Save {k}.").version, range(24)))
    assert sorted(numbers) == list(range(2, 26))
    assert {version.what for version in palettes.versions(opened, saved.id)} == {"Saved."} | {
        f"Save {k}." for k in range(24)
    }


def test_the_last_saved_is_listed_first_and_each_owner_sees_their_own(opened):
    first, second = palettes.save(opened, WARM, "One"), palettes.save(opened, WARM, "Two")
    somebody = opened.as_visitor(Visitor("somebody", "Some Body", Role.MEMBER))
    other_palette = palettes.save(somebody, WARM, "Three")
    palettes.update(opened, first.id, COOL)
    assert [palette.name for palette in palettes.list_palettes(opened)] == ["One", "Two"]
    assert [palette for palette in palettes.list_palettes(somebody) if palette.owner] == [other_palette]
    assert second.id != first.id


def test_a_name_belongs_to_one_palette(opened):
    warm = palettes.save(opened, WARM, "Warm")
    assert [palettes.save(opened, WARM, name).name for name in (" warm ", "Warm")] == ["warm (2)", "Warm (3)"]
    somebody = opened.as_visitor(Visitor("somebody", "Some Body", Role.MEMBER))
    assert palettes.save(somebody, WARM, "Warm").name == "Warm"
    assert palettes.named(opened, " WARM (2)").name == "warm (2)"
    assert palettes.named(opened, "Cold") is None
    assert palettes.free_name(opened, "Warm") == "Warm (4)"
    long = palettes.save(opened, WARM, "x" * 200)
    assert palettes.save(opened, WARM, long.name).name == "x" * 196 + " (2)"
    with pytest.raises(InputError, match="Another palette is called 'WARM \\(3\\)'"):
        palettes.rename(opened, warm.id, "WARM (3)")
    assert palettes.rename(opened, warm.id, "WARM").name == "WARM"
    deleted = palettes.delete(opened, warm.id)
    palettes.save(opened, WARM, "Warm")
    assert palettes.restore(opened, deleted).name == "WARM (4)"


def test_names_stay_distinct_under_concurrent_saves(opened):
    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(lambda _: palettes.save(opened, WARM, "Warm"), range(8)))
    assert len({palette.name for palette in saved}) == 8


def test_palette_can_be_renamed(opened):
    saved = palettes.save(opened, WARM, "Warm", colour="teal", note="A note.")
    assert palettes.rename(opened, saved.id, "Cold").colour == "teal"
    renamed = palettes.rename(opened, saved.id, "Cold", colour="plum", note="")
    assert (renamed.name, renamed.colour, renamed.note) == ("Cold", "plum", "")
    assert palettes.load(opened, saved.id) == renamed
    assert palettes.versions(opened, saved.id)[0].palette == WARM


def test_deleted_palette_can_be_restored_with_its_versions(opened):
    saved = palettes.save(opened, WARM, "Warm")
    palettes.update(opened, saved.id, COOL)
    before = palettes.load(opened, saved.id), palettes.versions(opened, saved.id)
    deleted = palettes.delete(opened, saved.id)
    assert palettes.load(opened, saved.id) is None
    assert palettes.list_palettes(opened) == palettes.versions(opened, saved.id) == ()
    with opened.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM versions")) == 0
    assert palettes.save(opened, WARM, "Another").id != saved.id
    palettes.restore(opened, deleted)
    palettes.restore(opened, deleted)
    assert (palettes.load(opened, saved.id), palettes.versions(opened, saved.id)) == before


def test_missing_palette_is_reported(opened):
    assert palettes.load(opened, 7) is None
    for attempt in (
        lambda: palettes.update(opened, 7, WARM),
        lambda: palettes.rename(opened, 7, "Cold"),
        lambda: palettes.delete(opened, 7),
    ):
        with pytest.raises(InputError, match="no saved palette with the number 7"):
            attempt()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " \n"}, "name of the palette is ''"),
        ({"name": "x" * 201}, "1 to 200 characters"),
        ({"note": "x" * 20_001}, "note has 20,001 characters"),
        ({"colour": "x" * 65}, "1 to 64 characters"),
    ],
)
def test_invalid_palettes_are_refused(opened, changes, message):
    with pytest.raises(InputError, match=message):
        palettes.save(opened, WARM, **{"name": "Warm", **changes})
    assert palettes.list_palettes(opened) == ()


def test_any_text_round_trips(opened):
    saved = palettes.save(opened, WARM, "'; DROP TABLE palettes; -- <b>ü</b> 漢\0\ud800", note="%s {x} \\")
    assert saved.name == "'; DROP TABLE palettes; -- <b>ü</b> 漢?"
    assert palettes.load(opened, saved.id) == saved


def test_key_of_a_palette_depends_on_its_targets():
    key = votes.palette_key(WARM, "t")
    turned = Palette(WARM.use_case, dict(reversed(WARM.targets.items())))
    assert key == votes.palette_key(turned, "t")
    assert key == votes.palette_key(WARM.with_target("kindness", Target(70.0)), "t")
    assert key == votes.palette_key(WARM.with_target("new", Target(10.0, free=True)), "t")
    others = [votes.palette_key(COOL, "t"), votes.palette_key(WARM, "u"), votes.palette_key(Palette(ALL), "t")]
    others.append(votes.palette_key(WARM.with_target("kindness", Target(70.0, keep=True)), "t"))
    assert len({key, *others}) == 5


def test_key_of_a_table_depends_on_its_content():
    assert table_key(make_table(seed=1)) == table_key(make_table(seed=1))
    assert table_key(make_table(seed=1)) != table_key(make_table(seed=2))


def test_database_deletes_versions_with_their_palette(opened):
    saved = palettes.save(opened, WARM, "Warm")
    with opened.writing() as session:
        session.execute(text("DELETE FROM palettes"))
    assert palettes.versions(opened, saved.id) == ()


def test_value_round_trips(opened):
    value = custom_values.define(opened, NURSE)
    assert value.definition == NURSE
    assert (value.version, value.in_use, value.used) == (1, 0, None)
    assert custom_values.list_values(opened) == (value,)
    assert custom_values.load(opened, value.id) == value


def test_changed_words_make_a_new_version_and_a_changed_title_does_not(opened):
    value = custom_values.define(opened, NURSE)
    titled = custom_values.revise(
        opened, value.id, Definition("calm_nurse", "Nurse", NURSE.more, NURSE.less, colour="#112233")
    )
    assert (titled.version, titled.definition.title) == (1, "Nurse")
    assert custom_values.use(opened, value.id, 1).used == titled.definition
    changed = custom_values.revise(opened, value.id, CALMER)
    assert (changed.version, changed.definition) == (2, CALMER)
    assert changed.used == titled.definition  # until somebody decides otherwise
    assert custom_values.use(opened, value.id, 2).used == CALMER
    assert custom_values.use(opened, value.id, 0).used is None


def test_judgements_belong_to_a_version_and_a_table(opened):
    value = custom_values.define(opened, NURSE)
    pair = (("p01", 3), ("p01", 0))
    judgement = custom_values.judge(opened, value.id, 1, "abc", pair, PairAnswer.SECOND, "me")
    assert custom_values.judgements(opened, value.id, 1, "abc") == (judgement,)
    assert (judgement.first, judgement.second, judgement.answer) == (*pair, PairAnswer.SECOND)
    assert custom_values.judgements(opened, value.id, 2, "abc") == ()
    assert custom_values.judgements(opened, value.id, 1, "other") == ()
    assert custom_values.withdraw(opened, judgement.id)
    assert not custom_values.withdraw(opened, judgement.id)
    assert custom_values.judgements(opened, value.id, 1, "abc") == ()


def test_deleting_a_value_deletes_judgements_and_frees_its_name(opened):
    value = custom_values.define(opened, NURSE)
    custom_values.judge(opened, value.id, 1, "abc", (("a", 0), ("a", 1)), PairAnswer.FIRST)
    custom_values.delete(opened, value.id)
    assert custom_values.list_values(opened) == ()
    redefined = custom_values.define(opened, NURSE)
    assert redefined.id != value.id
    assert custom_values.judgements(opened, value.id, 1, "abc") == ()


def test_invalid_changes_of_a_value_are_refused(opened):
    value = custom_values.define(opened, NURSE)
    with pytest.raises(InputError, match="There is a value named 'calm_nurse' already"):
        custom_values.define(opened, NURSE)
    with pytest.raises(InputError, match="keeps that name"):
        custom_values.revise(opened, value.id, Definition("other", "Other", ("a",), ("b",)))
    with pytest.raises(InputError, match="There is no version 7 of 'calm_nurse'"):
        custom_values.use(opened, value.id, 7)
    for call in (
        lambda: custom_values.delete(opened, 99),
        lambda: custom_values.use(opened, 99, 0),
        lambda: custom_values.revise(opened, 99, NURSE),
        lambda: custom_values.judge(opened, 99, 1, "abc", (("a", 0), ("a", 1)), PairAnswer.FIRST),
    ):
        with pytest.raises(InputError, match="no custom value with the number 99"):
            call()
