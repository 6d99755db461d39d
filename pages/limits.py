"""Limits: what the app cannot tell, what each scorer misses, and who should decide."""

from __future__ import annotations

import streamlit as st

from pages.view.about.limits import product_limits
from pages.view.session import palette_state, scorer_cards, speaker_line
from pages.view.session import scene as scenes
from pages.view.shell import glossary, markup
from pages.view.shell.download import draw_download

palette_state.current()
scene = scenes.load()  # the limits of the whole table, whichever use case is chosen
st.title("Limits")
speaker_line.draw_speaker_line()
st.html(
    markup.note(
        "What this app cannot tell you, with the figures of the table that is open. Read this before a palette becomes "
        "a policy."
    )
)
with st.container(key="limits"):
    for number, limit in enumerate(product_limits(scene)):
        with st.container(border=True, key=f"limit_{number}", gap="small"):
            st.header(limit.title, anchor=False)
            st.text(limit.why)
            st.html(markup.note(limit.advice))

quality = scorer_cards.scorer_quality()
with st.container(key="scorers"):
    st.header(
        "What each value hears, and what it misses",
        help=glossary.help_text("value", "scorer", "AUC", "AUC within a prompt"),
    )
    if quality.problem:
        st.warning("The labels beside this table could not be used.", icon=":material/warning:")
        st.text(quality.problem)
    elif not quality.labels:
        st.html(
            markup.note(
                "Nobody has labelled replies of this table, so how well its scorers agree with readers is not known. "
                "Labels are put beside it at the command line; the documentation says how (Help, Documents, Values)."
            )
        )
    for j, name in enumerate(scene.table.values):
        with st.container(key=f"scorer_{j}", gap=None):
            st.html(markup.chips([(j, scene.title(j))], scene.theme))
            st.text(scene.cards[j].replace("**", "").replace("\n\n", "\n"))
            st.text(f"{scorer_cards.agreement_sentence(quality, name)} {scorer_cards.length_sentence(quality, name)}")
    draw_download(scorer_cards.scorers_csv(quality, scene.table), "scorers", "scorers_csv")
st.page_link("how.py", label="How it works", icon=":material/functions:")
