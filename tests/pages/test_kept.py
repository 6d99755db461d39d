"""Tests of the state that survives a reload: it is restored from the tab, and invalid data is ignored."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

pytestmark = pytest.mark.usefixtures("table")


def made() -> None:
    """Run a visit with three steps, one undone, a pinned palette and two groups."""
    import streamlit as st

    from map_core.palettes.palette import Target
    from pages.view.compare import pinned
    from pages.view.groups import roster
    from pages.view.session import kept, palette_state

    _, palette = palette_state.current()
    if not roster.seated_groups():
        for name, percentile in (("humor", 62.5), ("helpfulness", 55.0), ("humor", 70.0)):
            palette = palette.with_target(name, Target(percentile))
            palette_state.apply(palette, f"Set {name}.")
        palette_state.undo()
        pinned.pin("Mild", palette, "pin")
        roster.add([roster.SeatedGroup("Clinic", palette, 2.0), roster.SeatedGroup("School", palette)])
    st.text(kept.snapshot())


def resumed() -> None:
    """Run a new visit with the state that the last one left."""
    import streamlit as st

    from map_core.palettes.palette import Target
    from pages.view.compare import pinned
    from pages.view.groups import roster
    from pages.view.session import kept, palette_state

    _, palette = palette_state.current()
    if st.session_state.pop("moved", False):
        palette_state.apply(palette.with_target("humor", Target(64.0)), "Moved humor.")
    if "left" in st.session_state:
        kept.take_back(st.session_state.pop("left"))
    history = palette_state.history()
    st.json(
        {
            "what": [step.what for step in history.steps],
            "place": history.position,
            "now": history.now.to_query(),
            "pinned": [(pin.name, pin.palette.to_query()) for pin in pinned.pinned_palettes()],
            "groups": [(group.name, group.importance) for group in roster.seated_groups()],
        }
    )


def left() -> str:
    app = AppTest.from_function(made, default_timeout=60).run()
    assert not app.exception
    return str(app.text[0].value)


def after(text: str, address: dict[str, str] | None = None, moved: bool = False) -> dict:
    app = AppTest.from_function(resumed, default_timeout=60)
    app.session_state["left"] = text
    app.session_state["moved"] = moved
    for name, value in (address or {}).items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return json.loads(app.json[0].value)


def test_redone_move_after_a_reload_is_one_step():
    text = left()
    now = json.loads(text)["history"]["steps"][2]["palette"]
    back = after(text, now, moved=True)
    assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Moved humor."]
    assert back["place"] == 3
    assert "humor:p64" in back["now"]["palette"]


def test_steps_pins_and_groups_survive_a_reload():
    text = left()
    content = json.loads(text)
    now = content["history"]["steps"][2]["palette"]
    # A reload has the palette in its address; without one the palette is restored too.
    for address in (now, None):
        back = after(text, address)
        assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Set humor."]
        assert back["place"] == 2
        assert back["now"] == now
        assert back["pinned"] == [["Mild", content["history"]["steps"][3]["palette"]]]
        assert back["groups"] == [["Clinic", 2.0], ["School", 1.0]]


def test_link_to_another_palette_becomes_a_step():
    back = after(left(), {"palette": "humor:p51"})
    assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Opened from a link."]
    assert back["place"] == 3
    assert back["now"] == {"palette": "humor:p51"}


def test_state_of_another_table_is_left_out():
    content = json.loads(left())
    assert after(json.dumps(content | {"table": "another"}))["what"] == ["Started."]
    # A table of the same name without one of the values: steps and groups that use it are dropped.
    steps = content["history"]["steps"]
    steps[1]["palette"] = {"palette": "gone:p60"}
    content["parts"]["groups"][0][1] = {"palette": "gone:p60"}
    back = after(json.dumps(content))
    assert back["what"] == ["Started.", "Set helpfulness.", "Set humor."]
    assert back["place"] == 1
    assert back["groups"] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"table": "", "parts": []}',
        '{"table": "", "parts": {"groups": 1, "pinned": [[]]}}',
        '{"table": "", "parts": {}, "history": {"steps": [{}], "place": 0}}',
        '{"table": "", "parts": {}, "history": 3}',
    ],
)
def test_invalid_state_changes_nothing(text):
    back = after(text)
    assert (back["what"], back["pinned"], back["groups"]) == (["Started."], [], [])


def listened() -> None:
    """Run a visit to Listen that generates, judges and continues a chat."""
    import streamlit as st

    from map_core.core.types import Turn
    from map_core.store.votes import Preference
    from pages.view.compare import blind_vote, chat, generator
    from pages.view.session import kept, palette_state

    palette_state.current()
    generator.GENERATION.set("g1")
    chat.PROMPT.set("Why is the sky blue?")
    chat.TURNS.set((Turn("Hello.", "Good day", cut=True),))
    blind_vote.CAST_VOTES.set({"g1 3 named": blind_vote._CastVote(7, Preference.ALIGNED, "v")})
    st.text(kept.snapshot())


def listening_again() -> None:
    """Run a new visit with the stored state, on Listen or on another page."""
    import streamlit as st

    from pages.view.compare import blind_vote, chat, generator
    from pages.view.session import kept, palette_state

    palette_state.current()
    if "begun" in st.session_state:
        if generation := st.session_state.begun:
            generator.GENERATION.set(generation)
        chat.PROMPT.set("A prompt of the table.")
        chat.TURNS.set(())
    kept.take_back(st.session_state.pop("left"))
    st.json(
        {
            "generation": generator.GENERATION.get(),
            "prompt": chat.PROMPT.get_or_set("A prompt of the table."),
            "chat": [[turn.prompt, turn.reply, turn.cut] for turn in chat.TURNS.get_or_set(())],
            "votes": {name: [vote.vote, vote.viewer] for name, vote in blind_vote.CAST_VOTES.get_or_set({}).items()},
        }
    )


@pytest.mark.parametrize("begun", [None, "g1"])
def test_replies_prompt_chat_and_votes_survive_a_reload_of_any_page(begun):
    app = AppTest.from_function(listened, default_timeout=60).run()
    back = AppTest.from_function(listening_again, default_timeout=60)
    back.session_state["left"] = app.text[0].value
    if begun:
        back.session_state["begun"] = begun
    back.run()
    assert not app.exception
    assert not back.exception
    assert json.loads(back.json[0].value) == {
        "generation": "g1",
        "prompt": "Why is the sky blue?",
        "chat": [["Hello.", "Good day", True]],
        "votes": {"g1 3 named": [7, "v"]},
    }


def test_draft_is_not_shown_above_replies_to_another_prompt():
    app = AppTest.from_function(listened, default_timeout=60).run()
    back = AppTest.from_function(listening_again, default_timeout=60)
    back.session_state["left"], back.session_state["begun"] = app.text[0].value, "another"
    back.run()
    panel_data = json.loads(back.json[0].value)
    assert (panel_data["generation"], panel_data["prompt"], panel_data["chat"]) == (
        "another",
        "A prompt of the table.",
        [],
    )
