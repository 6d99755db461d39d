"""The connection to the app: said when it is lost, with what becomes of the palette, and when it is back.

``assets/connection.js`` watches it in the browser, because a server that is gone cannot say so. Constraint: it makes
no request of its own, but one where the app has a login, to tell a login that has ended from a server that is gone.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.assets import ASSETS
from pages.view.shell import identity

LOST = (
    "The connection to the app is lost. What you see is from before and may not be current. Your palette is in the "
    "address of this page, so nothing of it is lost; the page continues by itself when the connection is back."
)
BACK = "The connection is back."

_mount = st.components.v2.component(
    "value_palette_connection", js=(ASSETS / "connection.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def install() -> None:
    """Put the script on the page; it does its work once."""
    _mount(key="connection", data={"lost": LOST, "back": BACK, "login": identity.has_login()})
