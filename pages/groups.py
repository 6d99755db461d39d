"""Several groups at one table: what each asks for, where they conflict, a common palette; the way to a meeting."""

from __future__ import annotations

import streamlit as st

from pages.view.groups import meeting_host, results, roster
from pages.view.session import header, palette_state
from pages.view.shell import background, markup

scene, palette = palette_state.current()

if meeting_host.is_open():
    meeting_host.show()
    st.stop()

header.head(
    "Groups",
    "Different people want different things of one model. Seat their palettes here, see where they conflict, and take "
    "a common palette that gives each as much as can be had.",
)
palette_state.undo_line()
roster.problem()

with st.container(horizontal=True, vertical_alignment="center", key="group_ways"):
    st.html(markup.note("Add a group from"), width="content")
    roster.ways_in(scene, palette)
    with st.popover("Open a meeting", icon=":material/qr_code_2:", type="primary", key="open_meeting"):
        meeting_host.open_form(scene)

everyone = roster.listed()
if not everyone:
    with st.container(border=True, key="no_groups"):
        st.header("Nobody is seated yet", anchor=False)
        st.html(
            markup.note(
                "Add today's palette under the name of the group that it belongs to, change it on the page Palette, "
                "and add the next one. Or open a meeting, in which each person sets a palette on a phone."
            )
        )
        st.button(
            "Look at an example",
            icon=":material/groups:",
            key="example",
            on_click=roster.example,
            args=(scene, palette),
        )
    st.stop()

with st.container(key="group_list"):
    roster.show(scene)
groups = roster.of(scene, everyone)
with st.container(key="group_budget"):
    spend = results.budget(scene)
job = background.job("groups", results.asked(scene, groups, spend), results.work(scene, groups, spend))
background.follow(job, lambda job: results.show(scene, groups, results.so_far(job, groups), job.error))
