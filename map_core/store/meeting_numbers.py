"""Six-digit numbers of open meetings, for people who type what a screen shows.

A number is a hash of the meeting's code, so that it is not stored and the code cannot be computed from it. Constraint:
six digits can be guessed by trying; a form for them must limit the attempts.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from map_core.store import meetings
from map_core.store.database import Database
from map_core.store.models import MeetingRow

#: Number of digits.
DIGITS = 6


def number_of(code: str) -> str:
    """Return the six digits of a meeting's code.

    Example:
        >>> len(number_of("abcdefghjk"))
        6
    """
    hashed = hashlib.sha256(b"value-palette meeting number " + code.encode()).digest()
    return f"{int.from_bytes(hashed) % 10**DIGITS:0{DIGITS}d}"


def spaced(number: str) -> str:
    """Return a number in two groups of digits: 123 456."""
    return f"{number[: DIGITS // 2]} {number[DIGITS // 2 :]}"


def is_free(database: Database, code: str) -> bool:
    """Return whether no open meeting has the number of this code."""
    return number_of(code) not in {number_of(other) for other in _open_codes(database)}


def find_code(database: Database, text: str) -> str:
    """Return the code of the meeting with this number or code; "" where there is none.

    Args:
        database: the database.
        text: as it was typed; spaces and hyphens make no difference.
    """
    digits = "".join(letter for letter in text if letter.isdecimal())
    if len(digits) == DIGITS and not any(letter.isalpha() for letter in text):
        return next((code for code in _open_codes(database) if number_of(code) == digits), "")
    code = meetings.read_code(text)
    known = meetings.meeting(database, code) or meetings.closed_meeting(database, code)
    return "" if known is None else code


def _open_codes(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(MeetingRow.code).where(MeetingRow.closed.is_(None))))
