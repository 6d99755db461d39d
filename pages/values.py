"""Values: what each one measures, how far to trust it, and new ones defined in words."""

from __future__ import annotations

import streamlit as st

from map_core.access import Kind
from map_core.errors import PaletteError
from pages.view.session import header, palette_state
from pages.view.shell import account, howto, markup, page_words
from pages.view.shell.account import database
from pages.view.values import card, define, judge, judge_replies, state, workflow
from pages.view.values.state import ValuesView

palette_state.current()
header.draw_header(
    "Values",
    "What each slider stands for, and how far to trust its scores. Define a value of your own in words, judge a few "
    "pairs of replies, and it gets a slider too.",
    use_case=False,
)


def _choose(view: ValuesView) -> str:
    """Return the value that is shown: the one chosen here, or the one that the address names."""
    if state.SHOWN.get() not in view.names:
        requested = st.query_params.get("value")
        state.SHOWN.set(requested if requested in view.names else view.names[0])
    chosen = st.pills(
        "Value",
        view.names,
        format_func=lambda name: markup.plain(view.title(name)),
        required=True,
        key=state.SHOWN.name,
        label_visibility="collapsed",
        persist_state="session",
    )
    st.query_params["value"] = str(chosen)
    return str(chosen)


def _page(view: ValuesView) -> None:
    if (judged := judge.judged_value(view)) is not None:
        judge.draw_judging(judged.key)
        return
    if (value := judge_replies.JUDGED.get()) in view.table.values:
        judge_replies.draw_judging(value, view.title(value), card.measures(view, value))
        return
    if define.is_open():
        define.draw_form(view)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="values_bar"):
        chosen = _choose(view)
        st.button(
            "Define a value",
            key="values_new",
            icon=":material/add:",
            type="primary",
            on_click=define.begin,
            disabled=not account.may_create(Kind.VALUE),
            help=None if account.may_create(Kind.VALUE) else "Guests of this app cannot define values.",
        )
    howto.draw_howto("value")
    if failure := workflow.FAILED.pop():
        st.warning("This could not be done.", icon=":material/error:")
        st.text(failure)
    card.draw_card_title(view, chosen)
    if (own := view.own_named(chosen)) is not None:
        workflow.draw_workflow(view, own)
    card.draw_card(view, chosen)


try:
    _view = state.load_values(database())
except PaletteError as error:
    st.warning("Values of your own cannot be kept or shown now.", icon=":material/error:")
    st.text(page_words.of(error))
else:
    _page(_view)
