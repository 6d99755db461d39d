"""The switch *Show numbers*: how this viewer reads results, the same on every page.

The choice is kept in the browser: ``assets/keep.js`` writes it into a cookie, which the server reads with the visit's
first request, so that a page that is opened later is drawn right at once. Constraint: pages take the wording once, from
:func:`current`, and hand it on; no other place asks for the switch.
"""

from __future__ import annotations

import os

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core.text.wording import NUMBERS, PLAIN, Wording
from pages.view.shell.session_keys import Key

#: The choice of this visit, and the switch that is drawn of it, which Streamlit forgets when the page changes.
CHOSEN: Key[bool | None] = Key("numbers", None)
SWITCH: Key[bool] = Key("show_numbers", False)
#: The cookie, and the values that it has.
COOKIE = "value_palette_numbers"
ON, OFF = "on", "off"
#: The environment's variable that says what somebody reads who has chosen nothing: on or off.
SETTING = "VALUE_PALETTE_NUMBERS"
HELP = "For engineers: the figures of the method, on every page. This browser remembers the choice."


def current() -> Wording:
    """Return how this viewer reads results; outside of a visit, as somebody who has chosen nothing."""
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
    """Return what the browser is to keep: the choice of this visit, "" while none was made."""
    chosen = CHOSEN.get()
    return "" if chosen is None else ON if chosen else OFF


def draw_switch() -> None:
    """Draw the switch."""
    default = SWITCH.show(is_on())
    st.toggle("Show numbers", bool(default), key=SWITCH.name, on_change=_on_switched, help=HELP)


def _on_switched() -> None:
    CHOSEN.set(bool(SWITCH.get()))
