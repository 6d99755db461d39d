"""Find targets by choosing: pairs of real replies, and the palette that the choices give.

Reached from Set; and from a meeting on a phone, whose address names it: then the targets become its wishes.
"""

from __future__ import annotations

import streamlit as st

from map_core.errors import InputError
from map_core.preference import FoundPalette
from map_core.preference.pairs import FIRST_CHOICES
from map_core.store import meetings, table_key
from pages.view.choose import question, result, state
from pages.view.groups import meeting_member
from pages.view.session import header, kept, palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.account import database


def _meeting() -> meetings.Meeting | None:
    """Return the open meeting that the address names, of this table; None for none."""
    code = st.query_params.get("meeting", "")
    meeting = meetings.meeting(database(), code) if code else None
    return meeting if meeting is not None and meeting.table_key == table_key(scenes.load().table) else None


def _take(found: FoundPalette) -> None:
    """Make what was found this viewer's targets, or wishes in the meeting, and go back there."""
    if (meeting := _meeting()) is not None:
        meeting_member.take_wishes(_scene(meeting), found.targets)
        st.switch_page("join.py", query_params={"meeting": meeting.code})
    scene, palette = palette_state.current()
    palette_state.apply(result.found_targets(scene, palette, found), "Set the targets found by choosing.")
    st.switch_page("palette.py")


def _scene(meeting: meetings.Meeting | None) -> Scene:
    return palette_state.current()[0] if meeting is None else scenes.load(meeting.use_case)


@st.fragment
def draw_choosing() -> None:
    """Draw a pair, or what the choices say: one piece, so that a click draws no more than it."""
    meeting = _meeting()
    scene = _scene(meeting)
    kept.draw()
    try:
        asked = state.current_round(scene)
    except InputError as error:
        st.html(markup.note(str(error)))
        return
    if asked.pair is None:
        if meeting is not None:
            result.draw_result(scene, asked, "Take them as my wishes", _take)
        else:
            beyond = palette_state.current()[1].asks_beyond_averages
            stays = "What you ask for beyond averages stays." if beyond else ""
            result.draw_result(scene, asked, "Set these targets", _take, stays)
    else:
        question.draw_question(scene, asked)


palette_state.current()
header.draw_header(
    "Choose",
    f"No numbers needed: say {FIRST_CHOICES} times which of two replies you would rather send. Your choices become "
    "targets on the faders. It takes about three minutes.",
    use_case=_meeting() is None,
    heading="Find your targets by choosing",
)
draw_choosing()
