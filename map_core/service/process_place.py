"""The place in memory for one model process, which several services share.

A service takes the place before it starts its process. Where another service's process is there and has work, the
service stands in line: the one in the place starts nothing more, ends its process after what it is writing, and the
next in line enters. A process that has nothing to do ends as soon as another service has work. Nobody's work is lost,
and services that always have work take turns.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Tenant(Protocol):
    """A service as the place sees it; all are called with the place's lock held."""

    @property
    def has_process(self) -> bool:
        """Whether its process runs."""

    @property
    def is_busy(self) -> bool:
        """Whether its process has work."""

    @property
    def is_waiting(self) -> bool:
        """Whether work waits for its process."""

    def leave(self) -> None:
        """End its process, which has no work."""

    def enter(self) -> None:
        """Start the work that waits, now that the place is its own."""


class ProcessPlace:
    """A place for one process. Its lock is that of all its services, so that two of them never wait for each other."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._tenant: weakref.ref[Tenant] | None = None
        self._line: list[weakref.ref[Tenant]] = []

    def take(self, tenant: Tenant) -> bool:
        """Take the place for work, or stand in line for it; return whether work may be started."""
        there, first = self._there(), self._next()
        if (first in (None, tenant)) if there is tenant else (there is None or not there.is_busy):
            self._move_in(tenant)
            return True
        self._stand_in_line(tenant)
        return False

    def is_of(self, tenant: Tenant) -> bool:
        """Return whether the place is this tenant's, or nobody's."""
        return self._there() in (None, tenant)

    def take_free(self, tenant: Tenant) -> bool:
        """Take the place if no other process is there, which is what a look at a model may do."""
        there = self._there()
        if there is not None and there is not tenant:
            return False
        self._move_in(tenant)
        return True

    def pass_on(self, tenant: Tenant) -> None:
        """Let the next in line enter, if this tenant has no work and no other one is there."""
        if not tenant.is_busy and self.is_of(tenant) and (follower := self._next()) is not None:
            self._move_in(follower)
            follower.enter()

    def _there(self) -> Tenant | None:
        """Return the service in the place; None where there is none, or one without a process and work."""
        there = None if self._tenant is None else self._tenant()
        return there if there is not None and (there.has_process or there.is_busy) else None

    def _next(self) -> Tenant | None:
        """Return the first in line that still has work waiting, and forget those before it."""
        while self._line:
            first = self._line[0]()
            if first is not None and first.is_waiting:
                return first
            del self._line[0]
        return None

    def _stand_in_line(self, tenant: Tenant) -> None:
        if all(waiting() is not tenant for waiting in self._line):
            self._line.append(weakref.ref(tenant))

    def _move_in(self, tenant: Tenant) -> None:
        there = self._there()
        self._line = [waiting for waiting in self._line if waiting() is not tenant]
        self._tenant = weakref.ref(tenant)
        if there is not None and there is not tenant:
            there.leave()
            if there.is_waiting:
                self._stand_in_line(there)
