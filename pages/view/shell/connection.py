"""Messages when the connection to the app is lost, when it is back, and when the page itself has failed.

``assets/connection.js`` watches the connection in the browser, and gives menus and dialogs the scheme of the theme.
Constraint: it makes no request of its own, except one where the app has a login, to distinguish a login that has ended
from a server that does not answer.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.assets import ASSETS
from pages.view.shell import login_providers

LOST = (
    "The connection to the app is lost. What you see is from before and may not be current. Your palette is in the "
    "address of this page, so it is not lost; the page continues by itself when the connection is back."
)
BACK = "The connection is back."
BROKEN = (
    "This page has stopped because of a fault of the app. Load the page again: your palette is in its address, and "
    "what you have made is kept."
)

_mount = st.components.v2.component(
    "value_palette_connection", js=(ASSETS / "connection.js").read_text(encoding="utf-8"), html="<i hidden></i>"
)


def install() -> None:
    """Mount the script, which runs once per tab."""
    _mount(key="connection", data={"lost": LOST, "back": BACK, "broken": BROKEN, "login": login_providers.has_login()})
