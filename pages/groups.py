"""Several groups at one table: what each asks for, where they conflict, a common palette; the way to a meeting."""

from __future__ import annotations

import streamlit as st

from pages.view import background, group_list, group_picture, meeting, state, style, summary

scene, palette = state.current()

if meeting.is_open():
    meeting.show()
    st.stop()

summary.head(
    "Groups",
    "Different people want different things of one model. Seat their palettes here, see where they conflict, and take "
    "a common palette that gives each as much as can be had.",
)
state.undo_line()
group_list.problem()

with st.container(horizontal=True, vertical_alignment="center", key="group_ways"):
    st.html(style.note("Add a group from"), width="content")
    group_list.ways_in(scene, palette)
    with st.popover("Open a meeting", icon=":material/qr_code_2:", type="primary", key="open_meeting"):
        meeting.open_form(scene)

everyone = group_list.listed()
if not everyone:
    with st.container(border=True, key="no_groups"):
        st.header("Nobody is seated yet", anchor=False)
        st.html(
            style.note(
                "Add today's palette under the name of the group that it belongs to, change it on the page Palette, "
                "and add the next one. Or open a meeting, in which each person sets a palette on a phone."
            )
        )
        st.button(
            "Look at an example",
            icon=":material/groups:",
            key="example",
            on_click=group_list.example,
            args=(scene, palette),
        )
    st.stop()

with st.container(key="group_list"):
    group_list.show(scene)
groups = group_list.of(scene, everyone)
with st.container(key="group_budget"):
    spend = group_picture.budget(scene)
job = background.job("groups", group_picture.asked(scene, groups, spend), group_picture.work(scene, groups, spend))
background.follow(job, lambda job: group_picture.show(scene, groups, group_picture.so_far(job, groups), job.error))
