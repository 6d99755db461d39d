"""Tables: which one is looked at, one of one's own from a file or from a model, and how good the one at hand is."""

from __future__ import annotations

import streamlit as st

from pages.view import summary, tables_build, tables_import, tables_kept, tables_quality, tables_work

VIEWS = {"kept": "Tables", "file": "From a file", "build": "Build", "good": "How good"}

summary.head(
    "Tables",
    "A table holds prompts, replies to each of them, and a number a value for every reply. Everything that this app "
    "says rests on one. Choose which, bring your own, or have one made.",
    use_case=False,
)
if "tables_view" not in st.session_state:
    asked = st.query_params.get("view")
    st.session_state["tables_view"] = asked if asked in VIEWS else "kept"
view = st.segmented_control(
    "View",
    list(VIEWS),
    format_func=VIEWS.__getitem__,
    required=True,
    key="tables_view",
    label_visibility="collapsed",
    persist_state="session",
)
st.query_params["view"] = str(view)
if view != "good":
    tables_work.show()
with st.container(key=f"tables_{view}"):
    if view == "kept":
        tables_kept.show()
    elif view == "file":
        tables_import.show()
    elif view == "build":
        tables_build.show()
    else:
        tables_quality.show()
