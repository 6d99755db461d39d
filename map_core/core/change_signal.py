"""Notify subscribers that something has changed.

Constraint: standard library only. Listeners are called in the thread that made the change, possibly while it holds a
lock, so they return at once and do not read the new state: they wake the thread that reads it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable


class ChangeSignal:
    """The listeners of one source of changes; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = itertools.count()
        self._listeners: dict[int, Callable[[], None]] = {}

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener at every change from now on; return the function that unsubscribes it."""
        with self._lock:
            key = next(self._keys)
            self._listeners[key] = listener

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return unsubscribe

    @property
    def listeners(self) -> int:
        """The number of subscribed listeners."""
        return len(self._listeners)

    def notify(self) -> None:
        """Call every listener."""
        with self._lock:
            listeners = tuple(self._listeners.values())
        for listener in listeners:
            listener()
