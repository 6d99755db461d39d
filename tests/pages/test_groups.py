"""Tests of the page Agree as a script: groups, sentences, and the use of a common palette."""

from __future__ import annotations

import json

import pytest

from map_core.errors import InputError
from map_core.store import database, palettes
from pages.view.groups import roster
from pages.view.session import scene as scenes
from tests.pages.app_script import page_text, settled
from tests.pages.groups_script import COOL, WARM, opened
from tests.tables import VALUES

pytestmark = pytest.mark.usefixtures("place")


def test_empty_page_explains_what_to_do():
    app = opened("groups")
    assert not app.exception
    assert "Add the current palette" in page_text(app)
    app.button(key="example").click()
    settled(app)
    assert not app.exception
    assert "vp-agreed" in page_text(app)
    assert "Where they differ most" in page_text(app)


def test_groups_are_added_weighted_and_removed():
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
    assert "&lt;b&gt;Clinic&lt;/b&gt;" in page_text(app)
    assert "<b>Clinic" not in page_text(app)
    app.selectbox(key="importance_1").set_value(2.0).run()
    assert app.session_state["groups"][1].importance == 2.0
    app.button(key="remove_group_0").click().run()
    assert [group.name for group in app.session_state["groups"]] == ["Parents", "Parents (2)"]
    settled(app)
    assert not app.exception
    assert "Most equal" in page_text(app)


def test_common_palette_can_be_used_and_undone():
    app = opened("groups")
    app.session_state["groups"] = (roster.SeatedGroup("Warm", WARM), roster.SeatedGroup("Cool", COOL))
    settled(app)
    before = app.session_state["history"].now
    assert "positivity" in page_text(app)
    app.button(key="page_use_worst_off").click().run()
    assert not app.exception
    used = app.session_state["history"].now
    assert used.targets["helpfulness"].level is not None
    assert {name for name in VALUES if not used.targets[name].free} == set(VALUES)
    app.button(key="undo").click().run()
    assert app.session_state["history"].now == before


def test_budget_is_remembered_and_applied():
    app = opened("groups")
    app.session_state["groups"] = (roster.SeatedGroup("Warm", WARM), roster.SeatedGroup("Cool", COOL))
    settled(app)
    app.slider(key="groups_budget").set_value(0.1)
    settled(app)
    assert "within the budget" in page_text(app)
    app.slider(key="groups_budget").set_value(app.slider(key="groups_budget").max)
    settled(app)
    assert "all that it asks for" in page_text(app)


def test_targets_file_round_trips(place):
    scene = scenes.load()
    text = json.dumps({"name": "Clinic", "targets": {"humor": "p70", "positivity": 2.5}, "importance": 2})
    (clinic,) = roster.parse_groups(scene, f"\n{text}\n")
    assert (clinic.name, clinic.importance) == ("Clinic", 2.0)
    restored = roster.parse_groups(scene, roster.groups_jsonl(scene, roster.to_groups(scene, [clinic])))
    (original,), (reread,) = roster.to_groups(scene, [clinic]), roster.to_groups(scene, restored)
    assert original.targets == pytest.approx(reread.targets, nan_ok=True)


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
def test_bad_file_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        roster.parse_groups(scenes.load(), text)


def test_number_of_groups_is_limited():
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
    assert f"At most {roster.MAX_GROUPS} groups" in page_text(app)
