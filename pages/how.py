"""How it works: in plain words, on one prompt of the open table, in mathematics, and the glossary."""

from __future__ import annotations

import streamlit as st

from pages.view.about import mathematics, walkthrough
from pages.view.palette import tour
from pages.view.session import header, live_answer, palette_state
from pages.view.shell import glossary, markup
from pages.view.shell import wording as wordings

scene, palette = palette_state.current()
live = live_answer.current_answer(scene, palette)
header.draw_header(
    "How it works",
    "You state the levels; the weights that give them follow, or a proof that none do. First in plain words, then on "
    "one prompt of the table that is open" + wordings.current().pick(", then in mathematics.", "."),
)
header.draw_palette_line(scene, live.assessment)

with st.container(key="how_words"):
    st.header("In plain words")
    st.html(markup.steps(walkthrough.method_steps(scene)))
    if st.button("Take the tour", key="how_tour", icon=":material/tour:"):
        tour.start()
        st.switch_page("palette.py")
with st.container(key="how_example"):
    st.header(
        "One prompt, and how your weights choose",
        help=glossary.help_text("candidate", "weights", "effective sample size"),
    )
    walkthrough.draw_walkthrough(live)
with st.container(key="how_mathematics"):
    st.header("The mathematics")
    if wordings.current().numbers:
        mathematics.draw_sections(live)
    else:
        st.html(markup.note("Turn on Show numbers, above, to read each formula with its figures for your palette."))
with st.container(key="how_glossary"):
    st.header("Glossary")
    glossary.draw_glossary()
with st.container(key="how_source"):
    st.header("Source")
    st.markdown(
        "Wang, Le, Ahmed, Diao, Zhou, Baracaldo, Ding, Anwar, *MAP: Multi-Human-Value Alignment Palette*, ICLR 2025, "
        "[arXiv 2410.19198](https://arxiv.org/abs/2410.19198). The certificate, the per-prompt form, the error bars "
        "and the common palette of groups are this project's additions; each says in the code where it comes from."
    )
    st.page_link("limits.py", label="What it cannot do: Limits", icon=":material/report:")
