"""The quick way between a hand on a fader and what it sees: one small component in a fragment of its own.

While the hand moves nothing else of the page is drawn again: the answer goes to the pieces that are there, through the
script that they share. When the hand rests, the page's own pieces are drawn as always. Constraint: what it brings is
what they would have been given.
"""

from __future__ import annotations

import gc
from typing import Any

import streamlit as st

from pages.view import component, desk, example, live, state, verdict

_mount = component.registered("wire", '<div class="vp-wire"></div>', isolated=False)


@st.cache_resource(show_spinner=False)
def _freeze() -> None:
    """Whatever the page has loaded by now stays; without this each answer ends with a look through all of it."""
    gc.collect()
    gc.freeze()


@st.fragment
def show() -> None:
    """Mount the wire, with the answer to the last move while the hand moves."""
    _freeze()
    told: dict[str, Any] = {}
    if not desk.settled():
        scene, palette = state.current(address=False)
        seen = live.look(scene, palette, moving=True)
        told = {"desk": desk.data(seen), "answer": verdict.data(seen), "example": example.data(seen)}
    _mount(key="desk_wire", data=told, on_moved_change=lambda: desk.heard("desk_wire"))
