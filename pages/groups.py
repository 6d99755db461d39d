"""Agree: what several groups ask for, where they conflict, their common palette, and opening a meeting."""

from __future__ import annotations

import streamlit as st

from map_core.access import Kind
from pages.view.groups import meeting_host, results, roster
from pages.view.session import header, palette_state
from pages.view.shell import account, background, markup

scene, palette = palette_state.current()

if meeting_host.is_open():
    meeting_host.draw_meeting()
    st.stop()

header.draw_header(
    "Agree",
    "Different people want different things of one model. Bring their palettes together here, see where they conflict, "
    "and find a common palette that gives each as much as possible.",
    heading="Agree on a palette",
)
header.draw_beyond_averages(counted=False)
palette_state.draw_undo_line()
roster.draw_problem()

with st.container(horizontal=True, vertical_alignment="center", key="group_ways"):
    st.html(markup.note("Add a group from"), width="content")
    roster.draw_add_menus(scene, palette)
    may_host = account.may_create(Kind.MEETING)
    with st.popover(
        "Open a meeting",
        icon=":material/qr_code_2:",
        type="primary" if may_host else "secondary",
        key="open_meeting",
    ):
        meeting_host.draw_open_form(scene)

seated = roster.seated_groups()
if not seated:
    with st.container(border=True, key="no_groups"):
        st.header("No groups yet", anchor=False)
        st.html(
            markup.note(
                "Add the current palette under the name of the group that it belongs to, change it on the page Set, "
                "and add the next one."
                + (" Or open a meeting, in which each person sets a palette on a phone." if may_host else "")
            )
        )
        st.button(
            "Look at an example",
            icon=":material/groups:",
            key="example",
            on_click=roster.seat_example,
            args=(scene, palette),
        )
    st.stop()

with st.container(key="group_list"):
    roster.draw_roster(scene)
groups = roster.to_groups(scene, seated)
with st.container(key="group_budget"):
    budget = results.draw_budget(scene)
job = background.job("groups", results.job_key(scene, groups, budget), results.agreement_work(scene, groups, budget))
background.poll(
    job, lambda job: results.draw_agreement(scene, groups, results.partial_agreement(job, groups), job.error)
)
