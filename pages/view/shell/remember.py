"""Cookies that identify a browser without an account, and the network address of a visit.

Constraint: cookies are untrusted; only texts of the form that is set here are read.
"""

from __future__ import annotations

import re

import streamlit as st

from pages.view.shell import component

_FORM = re.compile(r"[A-Za-z0-9_-]{8,64}")

_mount = component.register_script("remember")


def remember(name: str, value: str, seconds: int) -> None:
    """Set a cookie with a random text in this browser; at most one per page."""
    _mount(key="remember", data={"name": name, "value": value, "seconds": seconds})


def remembered(name: str) -> str:
    """Return the text of a cookie that :func:`remember` has set; "" where there is none or it is not valid."""
    value = st.context.cookies.get(name)
    return value if isinstance(value, str) and _FORM.fullmatch(value) else ""


def network_address() -> str | None:
    """Return the network address of this visit; None where it is this machine, or not known."""
    address = st.context.ip_address
    return address if isinstance(address, str) else None
