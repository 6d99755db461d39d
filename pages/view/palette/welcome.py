"""The welcome box above the faders for first-time visitors: three sentences, a picture, and the tour.

Anyone who opened a link to a palette, or has hidden the box, sees one line in its place; during the tour there is
neither. Constraint: it is kept in the session, without a cookie, and leaves the faders in view.
"""

from __future__ import annotations

import streamlit as st

from map_core.text import sentences
from pages.view.palette import tour
from pages.view.session import palette_state
from pages.view.session.scene import WELCOME
from pages.view.shell import markup

PICTURE = (
    "Faders for each value lead to a verdict in words, possible or not and at what price, and on to two replies "
    "to the same question: the model as it is, and the model as the palette has it."
)
#: Names of values in the first sentence.
MAX_NAMED = 3


def draw_welcome() -> None:
    """Draw the welcome box, or the line that brings it back."""
    scene, _ = palette_state.current()
    # Always one container, so that the faders below keep their position on the page and are not mounted again.
    with st.container(key="first_visit", gap=None):
        if is_expanded():
            _draw_expanded(scene.names)
        elif tour.current_tour() is None:
            _draw_collapsed()


def _draw_collapsed() -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="welcome_line"):
        st.html(markup.note("New here?"), width="content")
        st.button("Take the tour", key="tour_start", type="tertiary", icon=":material/tour:", on_click=tour.start)
        st.button(
            "What this is",
            key="welcome_show",
            type="tertiary",
            icon=":material/info:",
            on_click=_set_expanded,
            args=(True,),
        )
        _draw_choosing_link()


def _draw_choosing_link() -> None:
    """Draw the link for those who have no numbers in mind."""
    st.page_link("choose.py", label="No numbers in mind? Find them by choosing", icon=":material/compare_arrows:")


def is_expanded() -> bool:
    """Return whether the welcome box is shown in full."""
    opened = palette_state.history().steps[0].what == palette_state.OPENED_FROM_LINK
    expanded = WELCOME.get()
    return tour.current_tour() is None and bool(not opened if expanded is None else expanded)


def _draw_expanded(names: tuple[str, ...]) -> None:
    several = sentences.listed(names[:MAX_NAMED])
    with (
        st.container(border=True, key="welcome"),
        st.container(horizontal=True, vertical_alignment="center", key="welcome_row"),
    ):
        st.html(markup.image("welcome.svg", PICTURE), width="content")
        with st.container(key="welcome_words"):
            st.html(
                markup.region(
                    "Welcome",
                    "Decide what a language model should be like",
                    "",
                    [
                        f"Say how much you want of each value, such as {several}, with a fader for each. "
                        "At once you read whether this model can give it, what it costs, and what stands in the "
                        "way where it cannot. Then listen: the same question answered by the model as it is and by "
                        "your palette."
                    ],
                )
            )
            with st.container(horizontal=True, vertical_alignment="center", key="welcome_buttons"):
                st.button(
                    "Take the tour, two minutes",
                    key="tour_start",
                    type="primary",
                    icon=":material/tour:",
                    on_click=tour.start,
                )
                st.button("Hide", key="welcome_hide", icon=":material/close:", on_click=_set_expanded, args=(False,))
                _draw_choosing_link()


def _set_expanded(wanted: bool) -> None:
    WELCOME.set(wanted)
