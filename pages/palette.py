"""Set the levels, see at once whether they can be had: the desk, the verdict and what it sounds like."""

from __future__ import annotations

import streamlit as st

from pages.view import desk, example, levels, live, moving, plain, share, state, style, summary, tour, verdict, welcome
from pages.view.live import Live

state.current()
summary.head(
    "Palette",
    ""
    if welcome.large()
    else "Say how much of each value you want, and leave free what you do not mind. At once you "
    "see whether this model can give it, what it costs and what stands in the way.",
    start_again=True,
)
state.address_error()
welcome.show()


def _more(seen: Live) -> None:
    """The numbers, for those who open them, and the other kind of slider."""
    box = st.expander("The numbers: levels and weights in reward units", key="numbers_box", on_change="rerun")
    if box.open:
        with box:
            levels.show(seen)
    st.toggle(
        "Plain sliders",
        key="plain_desk",
        persist_state="session",
        help="Sliders that answer when they are let go, instead of the live desk.",
    )


@st.fragment
def play() -> None:
    """Faders, verdict and example: one piece, drawn when a hand rests; while it moves, the channel serves them."""
    held = not desk.settled()
    scene, palette = state.current(address=not held)
    seen = live.look(scene, palette, moving=held)
    moving.offer(seen)
    tour.show(seen)
    with st.container(key="desk"):
        left, right = st.columns([1.22, 1], gap="large")
        with left:
            st.html(style.strip(seen.assessment.verdict, seen.answer.headline))
            if st.session_state.get("plain_desk"):
                plain.show(seen)
            else:
                st.html(desk.key())
                desk.show(seen)
                st.html(desk.hint())
            example.show(seen)
        with right:
            with st.container(key="verdict"):
                verdict.show(seen)
            share.bar(scene, palette, seen.assessment)
            _more(seen)


play()
