"""Confirmations beside the button that was pressed, because a corner of the window may be out of view.

Constraint: a callback sets the confirmation and the page draws it at its place; it is drawn for some seconds, so that a
rerun by a background job does not remove it at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from pages.view.shell import markup
from pages.view.shell.session_keys import Key

#: Seconds after which a run of the page no longer draws it.
SHOWN_SECONDS = 8.0


@dataclass(frozen=True)
class Confirmation:
    """What was done, where that is confirmed, and when it was done, on the monotonic clock."""

    place: str
    text: str
    when: float


CONFIRMATION: Key[Confirmation | None] = Key("confirmation", None)


def confirm(place: str, text: str) -> None:
    """Confirm what was done at a place of the page, which is any name that :func:`draw` is called with."""
    CONFIRMATION.set(Confirmation(place, text, time.monotonic()))


def draw(place: str) -> None:
    """Draw the last confirmation, if it belongs to this place and is recent."""
    last = CONFIRMATION.get()
    if last is not None and last.place == place and time.monotonic() - last.when < SHOWN_SECONDS:
        st.html(markup.confirmation(last.text), width="content")
