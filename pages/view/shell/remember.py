"""Who somebody is without an account: what a browser remembers and tells nobody else, and from where it comes.

Constraint: a cookie is whatever somebody has made it; only a text of the form that is given out here is read.
"""

from __future__ import annotations

import re

import streamlit as st

from pages.view.shell import component

_FORM = re.compile(r"[A-Za-z0-9_-]{8,64}")

_mount = component.register_script("remember")


def remember(name: str, value: str, seconds: int) -> None:
    """Let this browser keep a random text; one a page."""
    _mount(key="remember", data={"name": name, "value": value, "seconds": seconds})


def remembered(name: str) -> str:
    """Return what this browser keeps under a name since an earlier visit; "" where it keeps nothing that can be."""
    value = st.context.cookies.get(name)
    return value if isinstance(value, str) and _FORM.fullmatch(value) else ""


def network_address() -> str | None:
    """Return from where this visit comes; None where that is this machine, or not known."""
    address = st.context.ip_address
    return address if isinstance(address, str) else None
