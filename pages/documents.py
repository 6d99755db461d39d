"""The documents of the project: one at a time, which the address names."""

from __future__ import annotations

import streamlit as st

from map_core import __version__
from pages.view.about import documents
from pages.view.session import speaker_line
from pages.view.shell import markup

st.title("Documents")
speaker_line.draw_speaker_line()
st.html(markup.note(f"Value Palette {__version__}"))
named = st.query_params.get("document")
if not documents.DOCUMENT.is_set() and named in documents.NAMES:
    documents.DOCUMENT.set(named)
chosen = st.selectbox("Document", documents.NAMES, format_func=documents.title, key=documents.DOCUMENT.name, width=420)
if chosen != named:
    st.query_params["document"] = chosen
with st.container(key="document_text"):
    documents.draw_document(chosen)
