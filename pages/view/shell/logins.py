"""Logins that were ended before they expire, with events for the sockets that were opened with them.

Constraint: kept in the memory of this process. After a restart, the browser that logged out no longer has its cookie,
and a copy of the cookie is valid until the login expires.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

#: Seconds for which a login that was ended is remembered: longer than any lasts.
_REMEMBERED = 31 * 24 * 3600.0

_ended: dict[str, float] = {}
_waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)


def end(login: str) -> None:
    """End a login: its cookie is no longer accepted, and its sockets are closed."""
    if not login:
        return
    now = time.time()
    for old in [name for name, moment in _ended.items() if moment < now - _REMEMBERED]:
        del _ended[old]
    _ended[login] = now
    for event in _waiting.get(login, ()):
        event.set()


def is_ended(login: str) -> bool:
    """Return whether a login was ended."""
    return bool(login) and login in _ended


def watch(login: str) -> asyncio.Event:
    """Return an event that is set when the login is ended; pass it to :func:`unwatch` afterwards."""
    event = asyncio.Event()
    _waiting[login].add(event)
    if is_ended(login):
        event.set()
    return event


def unwatch(login: str, event: asyncio.Event) -> None:
    """Remove an event of :func:`watch`."""
    _waiting[login].discard(event)
    if not _waiting[login]:
        del _waiting[login]
