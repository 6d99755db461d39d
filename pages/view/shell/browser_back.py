"""The browser's Back: to the page or the view before, past every choice in between that only changed the address.

Streamlit makes an entry of the history of every change of the address; the script of assets/back.js does so for pages
and views alone. Constraint: nothing is seen of it, and without it only Back takes longer.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.assets import ASSETS

_mount = st.components.v2.component(
    "value_palette_back", js=(ASSETS / "back.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def install() -> None:
    """Put the script on the page; it does its work once."""
    _mount(key="back")
