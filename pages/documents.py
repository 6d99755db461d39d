"""The documents of the project: one at a time, which the address names."""

from __future__ import annotations

import streamlit as st

from pages.view.about import documents

st.title("Documents")
asked = st.query_params.get("document")
if "document" not in st.session_state and asked in documents.NAMES:
    st.session_state["document"] = asked
chosen = st.selectbox("Document", documents.NAMES, format_func=documents.title, key="document", width=420)
if chosen != asked:
    st.query_params["document"] = chosen
with st.container(key="document_text"):
    documents.show(chosen)
