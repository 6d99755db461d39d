"""What is possible together, what each target costs, and what a step does."""

from __future__ import annotations

import streamlit as st

from pages.view.session import header, palette_state
from pages.view.shell import markup, tabs
from pages.view.tradeoffs import all_pairs, local_steps, parallel, shared, sweep, three_values, two_values
from pages.view.tradeoffs.shared import CurrentPalette, current_palette

VIEWS = {
    "two": ("Two values", two_values.draw_two_values),
    "pairs": ("All pairs", all_pairs.draw_all_pairs),
    "three": ("Three values", three_values.draw_three_values),
    "lines": ("Parallel view", parallel.draw_parallel),
    "moved": ("Sensitivity", sweep.draw_sweep),
}


TITLES = {name: title for name, (title, _) in VIEWS.items()}


def choose(now: CurrentPalette) -> str:
    """Return the view, after setting its two values where a click or the address asks for others."""
    table = now.scene.table
    if shared.OPEN_PAIR.is_set():
        pair = shared.OPEN_PAIR.pop()
        if pair is not None:
            shared.ACROSS.set(pair[0])
            shared.UPWARDS.set(pair[1])
        tabs.VIEW.of("tradeoffs").set("two")
    elif tabs.read_address("tradeoffs", TITLES):
        named = st.query_params.get("pair", "").split(",")
        if len(named) == 2 and set(named) <= set(table.values):
            shared.ACROSS.set(table.index(named[0]))
            shared.UPWARDS.set(table.index(named[1]))
    return tabs.draw_tabs("tradeoffs", TITLES)


now = current_palette()
header.draw_header(
    "Explore",
    "Where values pull against each other, how far each effort reaches, and what asking for a little more costs.",
    heading="Explore trade-offs",
)
header.draw_palette_line(now.scene, now.assessment)
palette_state.draw_undo_line()
view = choose(now)
figures = st.container(key=f"view_{view}")
# Submitted first: steps take a moment and would otherwise wait for a figure that takes seconds.
with st.container(key="steps"):
    local_steps.draw_local_steps(now)
with figures:
    VIEWS[view][1](now)
axes = [shared.ACROSS.get(), shared.UPWARDS.get()]
names = [now.scene.table.values[j] for j in axes if j is not None and j < now.scene.plain]
with st.container(horizontal=True, vertical_alignment="center", key="explore_more"):
    st.html(markup.note("More to explore:"), width="content")
    st.page_link("sequence.py", label="Sequence: one value after another", icon=":material/format_list_numbered:")
    st.page_link("baselines.py", label="Baselines: weights picked without targets", icon=":material/casino:")
tabs.write_address({"view": view} | ({"pair": ",".join(names)} if len(names) == 2 else {}))
