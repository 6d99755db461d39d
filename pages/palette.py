"""Set: the faders, the verdict on the targets, and an example reply."""

from __future__ import annotations

import streamlit as st

from map_core.core.unknown_sampling import unknown_sampling_note
from pages.view.palette import (
    drag_session,
    example,
    faders,
    numbers,
    people,
    plain_sliders,
    protect,
    tour,
    verdict,
    welcome,
)
from pages.view.palettes import save_form
from pages.view.session import header, kept, live_answer, palette_state, share
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup, page_words

palette_state.current()
header.draw_header(
    "Set",
    ""
    if welcome.is_expanded()
    else "Say how much of each value you want; leave the others without a target. At once you see whether this model "
    "can give it, what it costs and what stands in the way.",
    start_again=True,
    heading="Set your targets",
)
palette_state.draw_address_error()
if reading := palette_state.current()[0].table.reading:
    with st.expander("How this table's file was read", key="reading"):
        st.html(markup.note(page_words.of(" ".join(reading))))
if unknown := unknown_sampling_note(palette_state.current()[0].table.metadata):
    st.html(markup.note(unknown))
welcome.draw_welcome()


def _draw_numbers(live: LiveAnswer) -> None:
    """Draw the expander with levels and weights, where numbers are shown, and the switch to plain sliders."""
    if live.wording.numbers:
        expander = st.expander("The numbers: levels and weights in reward units", key="numbers_box", on_change="rerun")
        if expander.open:
            with expander:
                numbers.draw_numbers(live)
    st.toggle(
        "Plain sliders",
        key=plain_sliders.PLAIN_DESK.name,
        persist_state="session",
        help="Sliders that update when you release them, instead of while you drag them.",
    )


@st.fragment
def draw_desk() -> None:
    """Draw faders, verdict and example as one fragment; while a fader is dragged the live channel updates them."""
    moving = not faders.is_settled()
    scene, palette = palette_state.current_counted(address=not moving)
    live = live_answer.current_answer(scene, palette, moving=moving)
    faders.look_up_limits(live)
    drag_session.register(live)
    kept.draw()
    tour.draw_tour(live)
    with st.container(key="desk"):
        left, right = st.columns([1.22, 1], gap="large")
        with left:
            st.html(markup.strip(live.assessment.verdict, live.answer.headline))
            if plain_sliders.PLAIN_DESK.get():
                plain_sliders.draw_sliders(live)
            else:
                st.html(faders.legend(live.wording))
                faders.draw_faders(live)
                st.html(faders.hint())
            protect.draw_protections(live)
            example.draw_example(live)
        with right:
            with st.container(key="verdict"):
                verdict.draw_verdict(live)
            share.draw_share_bar(scene, palette, live.assessment, first=save_form.draw_save_popover)
            people.draw_people(live)
            st.page_link("delivery.py", label="Can it be promised?", icon=":material/verified:")
            _draw_numbers(live)


draw_desk()
