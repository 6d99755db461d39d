"""A whole document inside a page, in a frame that may run nothing and reach nothing."""

from __future__ import annotations

import streamlit as st

from pages.view import style

_mount = st.components.v2.component(
    "value_palette_preview",
    html='<iframe sandbox="" title="The report" tabindex="0"></iframe>',
    css=(style.ASSETS / "preview.css").read_text(encoding="utf-8"),
    js=(style.ASSETS / "preview.js").read_text(encoding="utf-8"),
)


def document(html: str, key: str) -> None:
    """Show a document as it would look by itself.

    Args:
        html: the whole document.
        key: of the element.
    """
    _mount(key=key, data={"html": html})
