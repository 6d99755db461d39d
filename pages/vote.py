"""Vote blind on pairs of replies, without the rest of the app; opened by a link that holds the palette."""

from __future__ import annotations

import streamlit as st

from pages.view.compare import vote_link
from pages.view.session import live_answer, palette_state, speaker_line
from pages.view.shell import markup

markup.apply_only("phone")
with st.container(key="vote"):
    scene, palette = palette_state.current_counted()
    vote_link.draw_votes(live_answer.current_answer(scene, palette))
    speaker_line.draw_speaker_line(change=False)
