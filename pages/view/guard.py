"""Errors in words with a way out, where Streamlit would show a traceback; the traceback goes to the log.

Constraint: nothing is swallowed. The error is raised again, so that Streamlit and the tests know of it; its own box is
hidden by the style sheet where the words are shown. What ends a script on purpose (a rerun, a stop) is no error.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import streamlit as st
from streamlit.errors import FragmentHandledException

from map_core.errors import MissingModelError, PaletteError
from pages.view import style

log = logging.getLogger("value_palette")


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Say in words what went wrong within, once, and raise it again.

    Args:
        what: the page or the part of it, for the log.

    Raises:
        Exception: whatever was raised within.
    """
    try:
        yield
    except Exception as error:
        # What a fragment says by itself passes here again, wrapped, when it ran with its page.
        cause: Exception = error.args[0] if isinstance(error, FragmentHandledException) and error.args else error
        if not getattr(cause, "said_in_words", False):
            with suppress(AttributeError):
                cause.said_in_words = True  # type: ignore[attr-defined]
            reference = secrets.token_hex(3)
            log.error("%s failed, reference %s", what, reference, exc_info=cause)
            _say(cause, reference)
        raise


def _say(error: Exception, reference: str) -> None:
    """What happened, what is safe, and two ways on."""
    with st.container(border=True, key=f"failed_{reference}"):
        ours = isinstance(error, PaletteError)
        st.subheader("This cannot be shown" if ours else "Something went wrong here", anchor=False)
        if ours:
            st.text(str(error))
        else:
            st.html(
                style.note(
                    "This is a fault of the app and not of your palette, which is in the address of this page. Try "
                    "again; where that does not help, start again from a palette that can be had."
                )
            )
        if isinstance(error, MissingModelError):
            st.code(error.command, language=None, wrap_lines=True)
        with st.container(horizontal=True):
            st.button("Try again", key=f"try_{reference}", icon=":material/refresh:")
            st.button(
                "Start again",
                key=f"afresh_{reference}",
                icon=":material/restart_alt:",
                type="primary",
                on_click=_afresh,
            )
        st.html(style.note(f"If it stays, tell whoever runs this app the reference {reference}; it is in the log."))


def _afresh() -> None:
    """Forget all that this viewer has set, the address included."""
    st.session_state.clear()
    st.query_params.clear()
