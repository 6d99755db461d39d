"""A signal that something has changed: whoever listens is called, and looks at the new state when it suits them.

Constraint: standard library only. Listeners are called in the thread that made the change, perhaps while it holds a
lock, so they return at once and look at nothing: they wake whoever looks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable


class ChangeSignal:
    """Listeners of one thing that changes; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._listeners: dict[int, Callable[[], None]] = {}

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener at every change from now on; returns what ends that."""
        with self._lock:
            number = next(self._numbers)
            self._listeners[number] = listener

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(number, None)

        return unsubscribe

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def notify(self) -> None:
        """Tell every listener that something has changed."""
        with self._lock:
            listeners = tuple(self._listeners.values())
        for listener in listeners:
            listener()
