"""The page Agree as a script: who is seated, what is said, what becomes of a common palette."""

from __future__ import annotations

import json

import pytest

from map_core.errors import InputError
from map_core.store import database, palettes
from pages.view.groups import roster
from pages.view.session import scene as scenes
from tests.pages.app_script import said, settled
from tests.pages.groups_script import COOL, WARM, opened
from tests.tables import VALUES

pytestmark = pytest.mark.usefixtures("place")


def test_nobody_is_seated_and_the_page_says_what_to_do():
    app = opened("groups")
    assert not app.exception
    assert "Add the current palette" in said(app)
    app.button(key="example").click()
    settled(app)
    assert not app.exception
    assert "vp-agreed" in said(app)
    assert "Where they differ most" in said(app)


def test_groups_are_added_weighed_and_taken_away():
    palettes.save(database(), WARM, "Parents")
    app = opened("groups")
    app.text_input(key="group_name").set_value("<b>Clinic</b>")
    app.button(key="add_group").click().run()
    app.multiselect(key="chosen_saved").set_value([0]).run()
    app.button(key="add_chosen_saved").click().run()
    app.text_input(key="group_name").set_value("Parents")
    app.button(key="add_group").click().run()
    names = [group.name for group in app.session_state["groups"]]
    assert names == ["<b>Clinic</b>", "Parents", "Parents (2)"]
    assert "&lt;b&gt;Clinic&lt;/b&gt;" in said(app)
    assert "<b>Clinic" not in said(app)
    app.selectbox(key="importance_1").set_value(2.0).run()
    assert app.session_state["groups"][1].importance == 2.0
    app.button(key="remove_group_0").click().run()
    assert [group.name for group in app.session_state["groups"]] == ["Parents", "Parents (2)"]
    settled(app)
    assert not app.exception
    assert "Most equal" in said(app)


def test_a_common_palette_becomes_todays_and_can_be_undone():
    app = opened("groups")
    app.session_state["groups"] = (roster.SeatedGroup("Warm", WARM), roster.SeatedGroup("Cool", COOL))
    settled(app)
    before = app.session_state["history"].now
    assert "positivity" in said(app)
    app.button(key="page_use_worst_off").click().run()
    assert not app.exception
    taken = app.session_state["history"].now
    assert taken.targets["helpfulness"].level is not None
    assert {name for name in VALUES if not taken.targets[name].free} == set(VALUES)
    app.button(key="undo").click().run()
    assert app.session_state["history"].now == before


def test_a_budget_is_kept_and_decides():
    app = opened("groups")
    app.session_state["groups"] = (roster.SeatedGroup("Warm", WARM), roster.SeatedGroup("Cool", COOL))
    settled(app)
    app.slider(key="groups_budget").set_value(0.1)
    settled(app)
    assert "within the budget" in said(app)
    app.slider(key="groups_budget").set_value(app.slider(key="groups_budget").max)
    settled(app)
    assert "all that it asks for" in said(app)


def test_a_targets_file_goes_in_and_out(place):
    scene = scenes.load()
    text = json.dumps({"name": "Clinic", "targets": {"humor": "p70", "positivity": 2.5}, "importance": 2})
    (clinic,) = roster.parse_groups(scene, f"\n{text}\n")
    assert (clinic.name, clinic.importance) == ("Clinic", 2.0)
    again = roster.parse_groups(scene, roster.groups_jsonl(scene, roster.to_groups(scene, [clinic])))
    (one,), (other,) = roster.to_groups(scene, [clinic]), roster.to_groups(scene, again)
    assert one.targets == pytest.approx(other.targets, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no group"),
        ("not json", "Line 1"),
        ("[1, 2]", "Entry 1"),
        ('{"targets": {"humour": "p70"}}', "Line 1"),
        ('{"targets": {"humor": "p700"}}', "between p0 and p100"),
        ('{"targets": {"humor": "p70"}, "importance": 0}', "above 0"),
        ('{"targets": {"humor": "p70"}, "importance": "much"}', "Line 1"),
    ],
)
def test_a_bad_file_is_refused_in_words(text, message):
    with pytest.raises(InputError, match=message):
        roster.parse_groups(scenes.load(), text)


def test_a_table_has_room_for_so_many():
    assert roster.member_names(["a", "a", " a ", "", "x" * 90]) == [
        "a",
        "a (2)",
        "a (3)",
        "Unnamed",
        "x" * roster.MAX_NAME_LENGTH,
    ]
    app = opened("groups")
    app.session_state["groups"] = tuple(roster.SeatedGroup(f"g{k}", WARM) for k in range(roster.MAX_GROUPS))
    app.text_input(key="group_name").set_value("One more")
    app.button(key="add_group").click().run()
    assert len(app.session_state["groups"]) == roster.MAX_GROUPS
    assert f"At most {roster.MAX_GROUPS} groups" in said(app)
