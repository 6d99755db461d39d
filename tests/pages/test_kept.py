"""What a reload keeps: it comes back from what the tab was given, and nothing that is not ours is taken for it."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

pytestmark = pytest.mark.usefixtures("table")


def made() -> None:
    """A visit in which three steps are made, of which one is undone, a palette is pinned and two groups are seated."""
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
    """A new visit that gets back what the last one left."""
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
    held = palette_state.history()
    st.json(
        {
            "what": [step.what for step in held.steps],
            "place": held.position,
            "now": held.now.to_query(),
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


def test_a_move_that_is_made_again_after_a_reload_is_one_further_step():
    text = left()
    now = json.loads(text)["history"]["steps"][2]["palette"]
    back = after(text, now, moved=True)
    assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Moved humor."]
    assert back["place"] == 3
    assert "humor:p64" in back["now"]["palette"]


def test_steps_pins_and_groups_come_back():
    text = left()
    content = json.loads(text)
    now = content["history"]["steps"][2]["palette"]
    # A reload has the palette in its address; without one it comes back as well.
    for address in (now, None):
        back = after(text, address)
        assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Set humor."]
        assert back["place"] == 2
        assert back["now"] == now
        assert back["pinned"] == [["Mild", content["history"]["steps"][3]["palette"]]]
        assert back["groups"] == [["Clinic", 2.0], ["School", 1.0]]


def test_a_link_that_leads_elsewhere_becomes_a_step():
    back = after(left(), {"palette": "humor:p51"})
    assert back["what"] == ["Started.", "Set humor.", "Set helpfulness.", "Opened from a link."]
    assert back["place"] == 3
    assert back["now"] == {"palette": "humor:p51"}


def test_what_belongs_to_another_table_is_left_out():
    content = json.loads(left())
    assert after(json.dumps(content | {"table": "another"}))["what"] == ["Started."]
    # A table of the same name that has lost a value: the steps that ask for it are gone, and so are such groups.
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
def test_what_is_not_ours_changes_nothing(text):
    back = after(text)
    assert (back["what"], back["pinned"], back["groups"]) == (["Started."], [], [])


def listened() -> None:
    """A visit to Listen in which something was generated, judged and continued."""
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
    """A new visit that gets back what was left, on Listen, which has begun, or on another page."""
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
def test_replies_prompt_chat_and_votes_come_back_wherever_the_page_was_loaded_again(begun):
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


def test_a_draft_is_not_put_above_the_replies_to_another_prompt():
    app = AppTest.from_function(listened, default_timeout=60).run()
    back = AppTest.from_function(listening_again, default_timeout=60)
    back.session_state["left"], back.session_state["begun"] = app.text[0].value, "another"
    back.run()
    shown = json.loads(back.json[0].value)
    assert (shown["generation"], shown["prompt"], shown["chat"]) == ("another", "A prompt of the table.", [])
