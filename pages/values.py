"""Values: what each one hears and how far to trust it, and new ones defined in words."""

from __future__ import annotations

import streamlit as st

from map_core.errors import PaletteError
from map_core.store import database
from pages.view import (
    few_lines,
    state,
    style,
    summary,
    values_card,
    values_define,
    values_judge,
    values_seen,
    values_steps,
)
from pages.view.values_seen import Seen

state.current()
summary.head(
    "Values",
    "What each slider stands for, and how far to trust what it hears. Define a value of your own in words, judge a few "
    "pairs of replies, and it has a slider too.",
    use_case=False,
)


def _choose(seen: Seen) -> str:
    """The value that is looked at: the one chosen here, or the one that the address names."""
    held = st.session_state
    if held.get("values_shown") not in seen.names:
        asked = st.query_params.get("value")
        held["values_shown"] = asked if asked in seen.names else seen.names[0]
    chosen = st.pills(
        "Value",
        seen.names,
        format_func=lambda name: style.plain(seen.title(name)),
        required=True,
        key="values_shown",
        label_visibility="collapsed",
        persist_state="session",
    )
    st.query_params["value"] = str(chosen)
    return str(chosen)


def _page(seen: Seen) -> None:
    if (asked := values_judge.asked(seen)) is not None:
        values_judge.show(asked.key)
        return
    if values_define.is_open():
        values_define.show(seen)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="values_bar"):
        chosen = _choose(seen)
        st.button(
            "Define a value",
            key="values_new",
            icon=":material/add:",
            type="primary",
            on_click=values_define.begin,
        )
    few_lines.show("value")
    if said := st.session_state.pop("values_failed", None):
        st.warning("This could not be done.", icon=":material/error:")
        st.text(said)
    values_card.head(seen, chosen)
    if (own := seen.own_named(chosen)) is not None:
        values_steps.show(seen, own)
    values_card.show(seen, chosen)


try:
    _seen = values_seen.look(database())
except PaletteError as error:
    st.warning("Values of your own cannot be kept or shown now.", icon=":material/error:")
    st.text(str(error))
else:
    _page(_seen)
