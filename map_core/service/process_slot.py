"""A slot for one model process, shared by several services so that one model is in memory at a time.

A service acquires the slot before it starts its process. While another service's process holds it and has work, the
service waits in a queue: the holder starts nothing more, ends its process after what it is writing, and the slot goes
to the first in the queue. A process without work ends as soon as another service has some. No work is lost, and
services that always have work take turns.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class SlotUser(Protocol):
    """What the slot needs of a service; everything is called with the slot's lock held."""

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
        """Start the waiting work; the slot now belongs to this service."""


class ProcessSlot:
    """A slot for one process. All its services share its lock, so two of them cannot deadlock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._holder_ref: weakref.ref[SlotUser] | None = None
        self._queue: list[weakref.ref[SlotUser]] = []

    def acquire(self, service: SlotUser) -> bool:
        """Acquire the slot for work or join the queue; return whether work may be started."""
        holder, first = self._holder(), self._next()
        if (first in (None, service)) if holder is service else (holder is None or not holder.is_busy):
            self._assign(service)
            return True
        self._enqueue(service)
        return False

    def is_available_to(self, service: SlotUser) -> bool:
        """Return whether this service or none holds the slot."""
        return self._holder() in (None, service)

    def acquire_if_free(self, service: SlotUser) -> bool:
        """Acquire the slot unless another process holds it; never join the queue. Enough to load a model ahead."""
        holder = self._holder()
        if holder is not None and holder is not service:
            return False
        self._assign(service)
        return True

    def release(self, service: SlotUser) -> None:
        """Give the slot to the first in the queue, if this service has no work and no other one holds it."""
        if not service.is_busy and self.is_available_to(service) and (successor := self._next()) is not None:
            self._assign(successor)
            successor.enter()

    def _holder(self) -> SlotUser | None:
        """Return the service that holds the slot; None if there is none, or one with neither process nor work."""
        holder = None if self._holder_ref is None else self._holder_ref()
        return holder if holder is not None and (holder.has_process or holder.is_busy) else None

    def _next(self) -> SlotUser | None:
        """Return the first in the queue that still has waiting work, and drop those before it."""
        while self._queue:
            first = self._queue[0]()
            if first is not None and first.is_waiting:
                return first
            del self._queue[0]
        return None

    def _enqueue(self, service: SlotUser) -> None:
        if all(waiting() is not service for waiting in self._queue):
            self._queue.append(weakref.ref(service))

    def _assign(self, service: SlotUser) -> None:
        holder = self._holder()
        self._queue = [waiting for waiting in self._queue if waiting() is not service]
        self._holder_ref = weakref.ref(service)
        if holder is not None and holder is not service:
            holder.leave()
            if holder.is_waiting:
                self._enqueue(holder)
