"""The choice between the views of a page, and choices within a view; both are in the address, so links keep them.

A view is an entry of the browser's history, so Back leads to the previous view. Choices within a view, whose widgets
are bound to the address, only change the current entry (:mod:`pages.view.shell.browser_back`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.view.shell.session_keys import Key, KeyFamily

VIEW: KeyFamily[str | None] = KeyFamily("{}_view", None)


def choose_view(page: str, titles: Mapping[str, str]) -> str:
    """Return the chosen view: the one that the address names, when it is opened and on Back.

    Args:
        page: name of the page; its choice is kept as PAGE_view.
        titles: of the views, by their names in the address.
    """
    read_address(page, titles)
    view = draw_tabs(page, titles)
    write_address({"view": view})
    return view


def read_address(page: str, titles: Mapping[str, str]) -> bool:
    """Choose the view that the address names, when the page is opened and on Back; return whether there was one."""
    context, requested = get_script_run_ctx(), st.query_params.get("view")
    back = context is not None and context.is_history_navigation
    if requested not in titles or not (back or not VIEW.of(page).is_set()):
        return False
    VIEW.of(page).set(requested)
    return True


def draw_tabs(page: str, titles: Mapping[str, str]) -> str:
    """Draw the row of views and return the chosen one, at first the first."""
    VIEW.of(page).get_or_set(next(iter(titles)))
    view = st.segmented_control(
        "View",
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        key=VIEW.of(page).name,
        label_visibility="collapsed",
        persist_state="session",
    )
    return str(view)


def write_address(parameters: Mapping[str, str]) -> None:
    """Put the view, and what belongs to it, into the address."""
    if any(st.query_params.get(name) != text for name, text in parameters.items()):
        st.query_params.update(parameters)


def keep_in_address(key: str, first: int | Sequence[int]) -> None:
    """Put a choice that differs from its default into the address, before its bound widget is drawn.

    Streamlit leaves a widget's default out of the address. Where the default follows the palette, it may have changed
    since the choice was made.

    Args:
        key: of the widget.
        first: its current default.
    """
    choice: Key[Any] = Key(key, None)
    if choice.is_set() and choice.get() != first and key not in st.query_params:
        choice.set(choice.get())


def read_labels(key: str, labels: Mapping[str, Any], several: bool = False) -> None:
    """Read a choice that the address names by a label that its widget does not have now, before it is drawn.

    Streamlit writes the label of an option into the address; a link that was made in the other wording, or before a
    label was changed, opens the same choice.

    Args:
        key: of the widget.
        labels: every label that an option has or had, with the option.
        several: the widget takes several options.
    """
    choice: Key[Any] = Key(key, None)
    named = [labels[text] for text in st.query_params.get_all(key) if text in labels]
    if named and not choice.is_set():
        choice.set(named if several else named[0])
