"""The choice between the views of a page; the page's address says which it is, so that a link opens the same one."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st


def choose(page: str, titles: Mapping[str, str]) -> str:
    """The view that is chosen: at first the one that the address names, or the first there is.

    Args:
        page: tells the choices of two pages apart; its choice is kept as PAGE_view.
        titles: of the views, by the name that the address gives them.
    """
    key = f"{page}_view"
    if key not in st.session_state:
        asked = st.query_params.get("view")
        st.session_state[key] = asked if asked in titles else next(iter(titles))
    view = st.segmented_control(
        "View",
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )
    st.query_params["view"] = str(view)
    return str(view)
