"""Limits of meetings: members from one network address, and wrong attempts at a meeting's number.

Constraint: kept in the memory of this process; the address from which somebody joined is never written down.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from map_core.core import limits
from map_core.errors import InputError

#: Wrong numbers per minute, from one address and in all, and that minute in seconds.
OWN_TRIES, ALL_TRIES, MINUTE = 6, 60, 60.0
#: Meetings and addresses that are remembered; the oldest are forgotten first.
MAX_KNOWN = 1000

_lock = threading.Lock()
#: The members that hold a seat, by meeting and address.
_seats: dict[tuple[str, str], set[str]] = {}
_wrong: deque[tuple[float, str]] = deque(maxlen=MAX_KNOWN)


@contextmanager
def seat(code: str, member: str, address: str | None) -> Iterator[None]:
    """Hold a seat for a member who joins within this context; a new seat is given back where that fails.

    Args:
        code: of the meeting.
        member: their id; the same one again takes no further seat.
        address: of the network from which the request came; None for this machine or a proxy on it, which many
            people may share, so they are not counted.

    Raises:
        InputError: the address has no seat left.
    """
    is_new = address is not None and _take(code, member, address)
    try:
        yield
    except BaseException:
        if is_new:
            give_back(code, member, address)
        raise


def _take(code: str, member: str, address: str) -> bool:
    """Take a seat, and return whether the member had none at this address."""
    with _lock:
        members = _seats.setdefault((code, address), set())
        while len(_seats) > MAX_KNOWN:
            _seats.pop(next(iter(_seats)))
        if member in members:
            return False
        if len(members) >= limits.MEETING_SEATS.value:
            raise InputError("No more people can join from this network address. Ask the host, or use another network.")
        members.add(member)
        return True


def give_back(code: str, member: str, address: str | None = None) -> None:
    """Give back the seat of a member at an address, by default at every address that the phone has had."""
    with _lock:
        for key in [key for key in _seats if key[0] == code and address in (None, key[1])]:
            _seats[key].discard(member)
            if not _seats[key]:
                del _seats[key]


def may_try(address: str | None) -> bool:
    """Return whether an address may try one more number; six digits could be guessed if attempts were unlimited."""
    since = time.monotonic() - MINUTE
    with _lock:
        recent = [who for when, who in _wrong if when > since]
    return len(recent) < ALL_TRIES and recent.count(address or "") < OWN_TRIES


def note_wrong(address: str | None) -> None:
    """Record a number that belongs to no meeting."""
    with _lock:
        _wrong.append((time.monotonic(), address or ""))
