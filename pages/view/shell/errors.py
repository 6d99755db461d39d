"""Error messages for people, with what to do next, in place of Streamlit's traceback, which goes to the log.

Constraint: no error is swallowed. An error of a page is raised again, so that Streamlit and the tests know of it; the
style sheet hides Streamlit's own box. An error in a callback ends the run before the page is drawn, so the page is run
once more with the message above it. Exceptions that end a script on purpose (rerun, stop) are not errors.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import streamlit as st
from streamlit.errors import FragmentHandledException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from map_core.errors import MissingModelError, PaletteError
from pages.view.shell import markup, page_words, session_keys, viewer
from pages.view.shell.session_keys import Key

#: The failure of the last callback, until its message is closed.
FAILED_CLICK: Key[Failure | None] = Key("failed_click", None)

log = logging.getLogger("value_palette")


@dataclass(frozen=True)
class Failure:
    """An error as a viewer sees it: its message if that is for people, a command that helps, the reference."""

    words: str
    command: str
    reference: str

    @classmethod
    def of(cls, error: Exception, what: str) -> Failure:
        """Write an error to the log under a new reference, and return what a viewer may read."""
        with suppress(AttributeError):
            error.said_in_words = True  # type: ignore[attr-defined]
        reference = secrets.token_hex(3)
        log.error("%s failed, reference %s", what, reference, exc_info=error)
        return cls(
            page_words.of(error) if isinstance(error, PaletteError) else "",
            error.command if isinstance(error, MissingModelError) else "",
            reference,
        )

    @property
    def who_to_tell(self) -> str:
        """What to do where it happens again, in a sentence."""
        return f"If it happens again, tell whoever runs this app the reference {self.reference}; it is in the log."


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Draw the message of an error that is raised within, once, and raise it again.

    Args:
        what: the page or its part, for the log.

    Raises:
        Exception: whatever was raised within.
    """
    try:
        yield
    except Exception as error:
        # An error of a fragment passes here again, wrapped, where the fragment ran with its page.
        cause: Exception = error.args[0] if isinstance(error, FragmentHandledException) and error.args else error
        if not _is_reported(cause):
            _draw_failure(Failure.of(cause, what))
        raise


def handle_script_error(error: Exception) -> bool:
    """Handle an error that ended a run, and return whether Streamlit's own box is not needed.

    An error of a callback comes before the page is drawn: its message is kept, and the page runs again below it.
    """
    if _is_reported(error):
        return False
    context = get_script_run_ctx()
    if context is None or context.has_script_started:
        _draw_failure(Failure.of(error, "A part outside of the pages"))
    else:
        FAILED_CLICK.set(Failure.of(error, "A click or a change"))
        st.rerun()
    return True


def draw_failed_click() -> None:
    """Draw the failure of the last callback above the page, until it is closed."""
    failure = FAILED_CLICK.get()
    if failure is None:
        return
    with st.container(border=True, key=f"failed_{failure.reference}"):
        _draw_message(
            failure,
            "That could not be done",
            "What you did last went wrong, or only part of it was done. This is a fault of the app and not of your "
            "palette, which is in the address of this page. Try it once more; if that does not help, start again "
            "from a palette that is possible.",
        )
        with st.container(horizontal=True):
            st.button("Close", key=f"close_{failure.reference}", icon=":material/close:", on_click=_dismiss)
            _draw_reset_button(failure)
        _draw_contact(failure)


def _is_reported(error: Exception) -> bool:
    return bool(getattr(error, "said_in_words", False))


def _draw_failure(failure: Failure) -> None:
    """Draw what happened, what is not lost, and the buttons *Try again* and *Start again*."""
    with st.container(border=True, key=f"failed_{failure.reference}"):
        _draw_message(
            failure,
            "This cannot be shown" if failure.words else "Something went wrong here",
            "This is a fault of the app and not of your palette, which is in the address of this page. Try again; "
            "if that does not help, start again from a palette that is possible.",
        )
        with st.container(horizontal=True):
            st.button("Try again", key=f"try_{failure.reference}", icon=":material/refresh:")
            _draw_reset_button(failure)
        _draw_contact(failure)


def _draw_message(failure: Failure, title: str, fault: str) -> None:
    """Draw the error's own message where a person can fix it, else what a fault of the app means."""
    markup.apply_only("failed")
    st.header(title, anchor=False)
    if failure.words:
        st.text(failure.words)
    else:
        st.html(markup.note(fault))
    if failure.command:
        st.code(failure.command, language=None, wrap_lines=True)


def _draw_reset_button(failure: Failure) -> None:
    st.button(
        "Start again",
        key=f"afresh_{failure.reference}",
        icon=":material/restart_alt:",
        type="primary",
        on_click=_reset,
    )


def _draw_contact(failure: Failure) -> None:
    st.html(markup.note(failure.who_to_tell))


def _dismiss() -> None:
    FAILED_CLICK.pop()


def _reset() -> None:
    """Clear everything that this viewer has set, including the address."""
    session_keys.clear(viewer.VIEWER)
