"""The page on which a member joins a meeting by phone and sends wishes; opened by a link or a QR code."""

from __future__ import annotations

import streamlit as st

from map_core.store import meetings
from pages.view.groups import markup, meeting_member, meeting_result
from pages.view.groups.meeting_agreement import meeting_scene
from pages.view.session import speaker_line
from pages.view.shell import markup as shell_markup
from pages.view.shell.account import database

shell_markup.apply_only("phone")
with st.container(key="join"):
    code = meetings.read_code(st.query_params.get("meeting", ""))
    meeting = meetings.meeting(database(), code) if code else None
    if meeting is None and code and (closed := meetings.closed_meeting(database(), code)) is not None:
        meeting_result.draw_closed(code, meeting_member.remembered_palette(closed.meeting.use_case))
        st.stop()
    if meeting is None:
        st.html(
            markup.title(
                "Join a meeting",
                "There is no open meeting at this link." if code else "Type the six digits on the screen.",
            )
        )
        st.text_input("Number of the meeting", key=meeting_member.CODE.name, max_chars=20, placeholder="123 456")
        st.button("Join", key="join_go", type="primary", on_click=meeting_member.join_by_code)
        if problem := meeting_member.PROBLEM.pop():
            st.text(problem)
        st.stop()
    if not meeting_result.is_about_open_table(meeting):
        st.html(markup.title(meeting.name, "This meeting is about another table than the one that is open here."))
        st.stop()
    scene = meeting_scene(meeting)
    member = meeting_member.member_id()
    sent = next((entry for entry in meetings.entries(database(), meeting.code) if entry.member == member), None)
    st.html(markup.title(meeting.name, "Say what matters to you. It then appears on the shared screen for everybody."))
    st.html(markup.anchor())
    meeting_member.draw_picture(scene, meeting.code, member)
    meeting_member.NAME.get_or_set(sent.name if sent else "")
    st.text_input(
        "You, or the group that you speak for", key=meeting_member.NAME.name, max_chars=40, persist_state="session"
    )
    st.page_link(
        "choose.py",
        label="Not sure what to ask for? Find out by choosing",
        icon=":material/compare_arrows:",
        query_params={"meeting": meeting.code},
    )
    wishes = meeting_member.current_wishes(scene, sent)
    meeting_member.draw_faders(scene, wishes)
    mine = meeting_member.wished_palette(scene, meeting.use_case, wishes)
    with st.container(key="join_verdict"):
        meeting_member.draw_verdict(scene, mine)
    meeting_member.draw_send(scene, meeting.code, member, mine, sent)
    speaker_line.draw_speaker_line(change=False)
    st.html(
        shell_markup.note(
            "Your name and wishes are kept in the app's database until the host closes the meeting, at the latest "
            f"{meetings.OPEN_HOURS} hours after the last change. Then this page shows the result, without names, for "
            f"{meetings.RESULT_DAYS} days. If you come back on this phone, your name and wishes are still here."
        )
    )
