"""Find targets by choosing between pairs of real replies.

The page is opened from Set, or from a meeting that the address names; the targets then become the member's wishes.
"""

from __future__ import annotations

import streamlit as st

from map_core.errors import InputError
from map_core.preference import FoundPalette
from map_core.preference.pairs import FIRST_CHOICES
from map_core.store import meetings
from pages.view.choose import question, result, state
from pages.view.groups import meeting_member, meeting_result
from pages.view.groups.meeting_agreement import meeting_scene
from pages.view.session import header, kept, palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup, page_words
from pages.view.shell.account import database


def _meeting() -> meetings.Meeting | None:
    """Return the open meeting on this table that the address names; None where there is none."""
    code = st.query_params.get("meeting", "")
    meeting = meetings.meeting(database(), code) if code else None
    return meeting if meeting is not None and meeting_result.is_about_open_table(meeting) else None


def _use(inferred: FoundPalette) -> None:
    """Set the targets inferred from the choices on Set, or as wishes in the meeting, and return to that page."""
    if (meeting := _meeting()) is not None:
        meeting_member.take_wishes(_scene(meeting), inferred.targets)
        st.switch_page("join.py", query_params={"meeting": meeting.code})
    scene, palette = palette_state.current()
    palette_state.apply(result.with_inferred_targets(scene, palette, inferred), "Set the targets found by choosing.")
    st.switch_page("palette.py")


def _scene(meeting: meetings.Meeting | None) -> Scene:
    return palette_state.current()[0] if meeting is None else meeting_scene(meeting)


@st.fragment
def draw_choosing() -> None:
    """Draw the next pair, or what the choices say, as a fragment: a click redraws nothing else."""
    meeting = _meeting()
    scene = _scene(meeting)
    kept.draw()
    try:
        current_round = state.current_round(scene)
    except InputError as error:
        st.html(markup.note(page_words.of(error)))
        return
    if current_round.pair is None:
        if meeting is not None:
            result.draw_result(scene, current_round, "Use them as my wishes", _use)
        else:
            beyond = palette_state.current()[1].asks_beyond_averages
            stays = "What you ask for beyond averages stays as it is." if beyond else ""
            result.draw_result(scene, current_round, "Set these targets", _use, stays)
    else:
        question.draw_question(scene, current_round)


palette_state.current()
header.draw_header(
    "Choose",
    f"No numbers needed: say {FIRST_CHOICES} times which of two replies you would rather send. Your choices become "
    "targets on the faders. It takes about three minutes.",
    use_case=_meeting() is None,
    heading="Find your targets by choosing",
)
draw_choosing()
