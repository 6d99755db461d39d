"""Limits of meetings: members from one network address, and wrong attempts at a meeting's number.

Constraint: kept in the memory of this process; the address from which somebody joined is never written down.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from map_core.core import limits

#: Wrong numbers per minute, from one address and in all, and that minute in seconds.
OWN_TRIES, ALL_TRIES, MINUTE = 6, 60, 60.0
#: Meetings and addresses that are remembered; the oldest are forgotten first.
MAX_KNOWN = 1000

_lock = threading.Lock()
_seats: dict[tuple[str, str], set[str]] = {}
_wrong: deque[tuple[float, str]] = deque(maxlen=MAX_KNOWN)


def take(code: str, member: str, address: str | None) -> bool:
    """Take a seat for a member, and return whether the address had one left.

    Args:
        code: of the meeting.
        member: their id; the same one again takes no further seat.
        address: of the network from which the request came; None for this machine or a proxy on it, which many
            people may share, so they are not counted.
    """
    if address is None:
        return True
    with _lock:
        members = _seats.setdefault((code, address), set())
        while len(_seats) > MAX_KNOWN:
            _seats.pop(next(iter(_seats)))
        if member not in members and len(members) >= limits.MEETING_SEATS.value:
            return False
        members.add(member)
        return True


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
