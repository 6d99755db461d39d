"""The switch *Show numbers*: the wording of results for this viewer, the same on every page.

The choice is kept in the browser: ``assets/keep.js`` writes it into a cookie, which the server reads with the first
request of a visit, so that pages are drawn in the right wording at once. Constraint: the wording is read only through
:func:`current`.
"""

from __future__ import annotations

import os

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core.text.wording import NUMBERS, PLAIN, Wording
from pages.view.shell.session_keys import Key

#: The choice of this visit, and the switch, whose entry Streamlit forgets when the page changes.
CHOSEN: Key[bool | None] = Key("numbers", None)
SWITCH: Key[bool] = Key("show_numbers", False)
#: The cookie and its values.
COOKIE = "value_palette_numbers"
ON, OFF = "on", "off"
#: Environment variable with the setting for visitors who have chosen nothing: on or off.
SETTING = "VALUE_PALETTE_NUMBERS"
HELP = "For engineers: the figures of the method, on every page. This browser remembers the choice."


def current() -> Wording:
    """Return the wording for this viewer; outside of a visit, for somebody who has chosen nothing."""
    return NUMBERS if is_on() else PLAIN


def is_on() -> bool:
    """Return whether this viewer is shown numbers."""
    preset = os.environ.get(SETTING, "").lower() == ON
    if get_script_run_ctx(suppress_warning=True) is None:
        return preset
    chosen = CHOSEN.get()
    if chosen is None:
        kept = st.context.cookies.get(COOKIE)
        chosen = kept == ON if kept in (ON, OFF) else preset
    return chosen


def kept_choice() -> str:
    """Return the value of the cookie for the choice of this visit; "" while none was made."""
    chosen = CHOSEN.get()
    return "" if chosen is None else ON if chosen else OFF


def draw_switch() -> None:
    """Draw the switch."""
    default = SWITCH.show(is_on())
    st.toggle("Show numbers", bool(default), key=SWITCH.name, on_change=_on_switched, help=HELP)


def _on_switched() -> None:
    CHOSEN.set(bool(SWITCH.get()))
