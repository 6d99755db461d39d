"""What a press has done, said beside what was pressed: the eye is there, and a corner of the window may be far away.

Constraint: a callback says it and the page draws it in its place; it stays for some seconds' runs, so that work in the
background which draws the page again does not take it away at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from pages.view.shell import markup
from pages.view.shell.session_keys import Key

#: A run of the page that comes later than this no longer says it; in seconds.
SAID_SECONDS = 8.0


@dataclass(frozen=True)
class Confirmation:
    """What was done, where it is said, and when it was done, on a clock that only goes forward."""

    place: str
    text: str
    when: float


CONFIRMATION: Key[Confirmation | None] = Key("confirmation", None)


def confirm(place: str, text: str) -> None:
    """Say what was done at a place of the page, which is any name that :func:`draw` is called with."""
    CONFIRMATION.set(Confirmation(place, text, time.monotonic()))


def draw(place: str) -> None:
    """Draw what was done here last; nothing where that was elsewhere or is over."""
    last = CONFIRMATION.get()
    if last is not None and last.place == place and time.monotonic() - last.when < SAID_SECONDS:
        st.html(markup.confirmation(last.text), width="content")
