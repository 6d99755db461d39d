"""Texts as they may be kept: what a person typed, made fit for every database, or refused in words."""

from __future__ import annotations

from map_core.errors import InputError
from map_core.store.models import KEY, SHORT

#: The longest text of several lines, in characters.
MAX_NOTE_LENGTH = 20_000


def label(what: str, text: str) -> str:
    """Check a text of one line, and return it as it is kept.

    Args:
        what: it is, for the message.
        text: as it was typed; blanks around it are cut off.

    Raises:
        InputError: it is empty or longer than 200 characters.
    """
    written = " ".join(_storable(text).split())
    if not written or len(written) > SHORT:
        raise InputError(f"The {what} is {written[:40]!r}; expected a text of 1 to {SHORT} characters.")
    return written


def note(what: str, text: str) -> str:
    """Check a text of any number of lines, or none, and return it as it is kept.

    Raises:
        InputError: it is longer than 20,000 characters.
    """
    written = _storable(text).strip()
    if len(written) > MAX_NOTE_LENGTH:
        raise InputError(f"The {what} has {len(written):,} characters; expected at most {MAX_NOTE_LENGTH:,}.")
    return written


def key(what: str, text: str) -> str:
    """Check a name that a program gave, and return it.

    Raises:
        InputError: it is empty or longer than 64 characters.
    """
    if not text or len(text) > KEY or _storable(text) != text:
        raise InputError(f"The {what} is {text[:80]!r}; expected a text of 1 to {KEY} characters.")
    return text


def _storable(text: str) -> str:
    """Return a text that every database can keep.

    NUL, which PostgreSQL refuses, is left out; halves of characters, which no database can write, are replaced.
    """
    return str(text).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
