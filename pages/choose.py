"""Find targets by choosing: pairs of real replies, and the palette that the choices come to. Reached from Set."""

from __future__ import annotations

import streamlit as st

from map_core.errors import InputError
from map_core.preference import FoundPalette
from pages.view.choose import question, result, state
from pages.view.session import header, kept, palette_state
from pages.view.shell import markup


def _set_targets(found: FoundPalette) -> None:
    """Make what was found this viewer's targets, as a step that can be undone, and go to the desk."""
    scene, palette = palette_state.current()
    palette_state.apply(result.found_targets(scene, palette, found), "Set the targets found by choosing.")
    st.switch_page("palette.py")


@st.fragment
def draw_choosing() -> None:
    """Draw a pair, or what the choices say: one piece, so that a click draws no more than it."""
    scene, _ = palette_state.current()
    kept.draw()
    try:
        asked = state.current_round(scene)
    except InputError as error:
        st.html(markup.note(str(error)))
        return
    if asked.pair is None:
        result.draw_result(scene, asked, "Set these targets", _set_targets)
    else:
        question.draw_question(scene, asked)


palette_state.current()
header.draw_header(
    "Choose",
    "No numbers needed: say a few times which of two replies you would rather send. Your choices become targets on the "
    "faders. It takes about three minutes.",
    heading="Find your targets by choosing",
)
draw_choosing()
