"""What a press has done is said beside what was pressed, for a while, and nowhere else."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from pages.view.shell import confirmation


def page() -> None:
    """Two places with a button each."""
    import streamlit as st

    from pages.view.shell import confirmation

    for place in ("here", "there"):
        st.button(place, key=place, on_click=confirmation.confirm, args=(place, f"<b>Done</b> {place}."))
        confirmation.draw(place)
    st.button("else", key="else")


def said(app: AppTest) -> list[str]:
    """The elements in their order: buttons by key, and what is said."""
    shown = [one for one in app.main if one.type in ("button", "html")]
    return [one.key if one.type == "button" else one.proto.body for one in shown]


def test_it_is_said_below_the_button_that_was_pressed():
    app = AppTest.from_function(page).run()
    assert said(app) == ["here", "there", "else"]
    app.button(key="here").click().run()
    assert said(app) == ["here", '<p class="vp-done" role="status">&lt;b&gt;Done&lt;/b&gt; here.</p>', "there", "else"]
    app.button(key="there").click().run()
    assert [key for key in said(app) if key in ("here", "there", "else")] == ["here", "there", "else"]
    assert said(app)[2].endswith("there.</p>")


def test_it_stays_while_the_page_is_drawn_again_and_not_for_ever(monkeypatch):
    app = AppTest.from_function(page).run()
    app.button(key="here").click().run()
    app.run()
    assert len(said(app)) == 4
    monkeypatch.setattr(confirmation, "SHOWN_SECONDS", 0.0)
    app.run()
    assert len(said(app)) == 3
