"""The browser's Back button: it leads to the previous page or view, and skips choices that only changed the address.

Streamlit adds an entry to the browser's history for every change of the address; ``assets/back.js`` does so only for
pages and views. Constraint: it draws nothing; without it, Back takes more clicks.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.assets import ASSETS

_mount = st.components.v2.component(
    "value_palette_back", js=(ASSETS / "back.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def install() -> None:
    """Mount the script, which runs once per tab."""
    _mount(key="back")
