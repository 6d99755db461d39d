"""Check and clean texts that people typed, so that every database can store them."""

from __future__ import annotations

from map_core.errors import InputError
from map_core.store.models import KEY, SHORT

#: The longest text of several lines, in characters.
MAX_NOTE_LENGTH = 20_000


def label(subject: str, text: str) -> str:
    """Check a text of one line and return it as it is stored.

    Args:
        subject: the name of the text, for messages.
        text: as it was typed; spaces around it are removed and those within it merged.

    Raises:
        InputError: it is empty or longer than 200 characters.
    """
    cleaned = " ".join(_storable(text).split())
    if not cleaned or len(cleaned) > SHORT:
        raise InputError(f"The {subject} is {cleaned[:40]!r}; expected a text of 1 to {SHORT} characters.")
    return cleaned


def note(subject: str, text: str) -> str:
    """Check a text of any number of lines and return it as it is stored; see :func:`label`.

    Raises:
        InputError: it is longer than 20,000 characters.
    """
    cleaned = _storable(text).strip()
    if len(cleaned) > MAX_NOTE_LENGTH:
        raise InputError(f"The {subject} has {len(cleaned):,} characters; expected at most {MAX_NOTE_LENGTH:,}.")
    return cleaned


def key(subject: str, text: str) -> str:
    """Check a key that a program gave and return it; see :func:`label`.

    Raises:
        InputError: it is empty or longer than 64 characters.
    """
    if not text or len(text) > KEY or _storable(text) != text:
        raise InputError(f"The {subject} is {text[:80]!r}; expected a text of 1 to {KEY} characters.")
    return text


def _storable(text: str) -> str:
    """Return a text that every database can store.

    NUL, which PostgreSQL refuses, is removed; lone surrogates, which cannot be encoded, are replaced.
    """
    return str(text).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
