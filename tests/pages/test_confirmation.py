"""Tests of confirmations: shown for a while beside the pressed button, and nowhere else."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from pages.view.shell import confirmation


def page() -> None:
    """A page with two buttons in two places."""
    import streamlit as st

    from pages.view.shell import confirmation

    for place in ("here", "there"):
        st.button(place, key=place, on_click=confirmation.confirm, args=(place, f"<b>Done</b> {place}."))
        confirmation.draw(place)
    st.button("else", key="else")


def page_text(app: AppTest) -> list[str]:
    """Return the elements in order: buttons by key, and texts."""
    elements = [element for element in app.main if element.type in ("button", "html")]
    return [element.key if element.type == "button" else element.proto.body for element in elements]


def test_confirmation_is_below_the_pressed_button():
    app = AppTest.from_function(page).run()
    assert page_text(app) == ["here", "there", "else"]
    app.button(key="here").click().run()
    assert page_text(app) == [
        "here",
        '<p class="vp-done" role="status">&lt;b&gt;Done&lt;/b&gt; here.</p>',
        "there",
        "else",
    ]
    app.button(key="there").click().run()
    assert [key for key in page_text(app) if key in ("here", "there", "else")] == ["here", "there", "else"]
    assert page_text(app)[2].endswith("there.</p>")


def test_confirmation_survives_reruns_and_expires(monkeypatch):
    app = AppTest.from_function(page).run()
    app.button(key="here").click().run()
    app.run()
    assert len(page_text(app)) == 4
    monkeypatch.setattr(confirmation, "SHOWN_SECONDS", 0.0)
    app.run()
    assert len(page_text(app)) == 3
