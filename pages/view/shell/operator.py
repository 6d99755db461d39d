"""The operator of the app: a person who enters the token that the app printed when it started.

Headers and addresses can be forged by a browser or hidden by a proxy, so they do not identify anybody. The app creates
a token at its start and prints it; a visitor who enters it is the operator for as long as the page is open. Constraint:
without the token nobody is the operator, wherever the browser seems to be.
"""

from __future__ import annotations

import functools
import hmac
import os
import secrets
import sys

import streamlit as st

from map_core.access import Role, Visitor, audit
from map_core.errors import InputError
from pages.view.shell import visitor_header
from pages.view.shell.session_keys import Key

IS_OPERATOR: Key[bool] = Key("operator", False)
TYPED_TOKEN: Key[str] = Key("operator_typed", "")
REFUSED: Key[bool] = Key("operator_refused", False)

#: Environment variable with a token that several processes share; without it, each start creates a new token.
SETTING = "VALUE_PALETTE_OPERATOR_TOKEN"
MIN_LENGTH = 16


@functools.cache
def token() -> str:
    """Return the token of this process.

    Raises:
        InputError: the token in the environment is too short.
    """
    setting = os.environ.get(SETTING, "").strip()
    if setting and len(setting) < MIN_LENGTH:
        raise InputError(f"{SETTING} has {len(setting)} characters; expected at least {MIN_LENGTH}.")
    return setting or secrets.token_urlsafe(24)


def print_token() -> None:
    """Print a created token in the terminal; one from the environment is only checked."""
    if not os.environ.get(SETTING, "").strip():
        print(f"  Operator token (to name a model on the page Tables): {token()}", file=sys.stderr, flush=True)
    else:
        token()


def is_operator() -> bool:
    """Return whether this visitor has entered the token."""
    return IS_OPERATOR.get()


def role_of(known: Visitor) -> Role:
    """Return the role of this visitor: their own, or the operator's where they have entered the token."""
    return Role.OPERATOR if is_operator() else known.role


def draw_token_field() -> None:
    """Draw the field for the token, with a message after a wrong one."""
    st.text_input(
        "Operator token",
        key=TYPED_TOKEN.name,
        type="password",
        max_chars=200,
        on_change=_check,
        help="It is printed in the terminal where this app was started, and changes with each start.",
    )
    if REFUSED.get():
        st.text("This is not the token of this app. Copy the one that was printed when it last started.")


def _check() -> None:
    """Compare the typed text with the token, in constant time."""
    typed = str(TYPED_TOKEN.get() or "").strip()
    matches = hmac.compare_digest(typed.encode(), token().encode())
    IS_OPERATOR.set(matches)
    if typed:
        known = visitor_header.read(st.context.headers)
        audit.record(known.id if known else "", "show the operator's token" if matches else "show a wrong token")
    REFUSED.set(bool(typed) and not matches)
    TYPED_TOKEN.set("")
