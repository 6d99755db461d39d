"""Compute a result once for all threads that ask for it, and keep the most recently used results."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

V = TypeVar("V")


class ComputeOnce(Generic[V]):
    """A bounded cache of results by key; threads that ask for a key while it is computed wait for that computation.

    A computation that fails or is stopped is discarded: its error is raised in the thread that computed, and the
    threads that waited compute the result themselves, one after the other. No lock is held during a computation.

    Args:
        size: maximum number of results; the least recently used one is evicted first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._futures: OrderedDict[Hashable, Future[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], V]) -> V:
        """Return the result of a key, computed by this thread, by another one, or before.

        Raises:
            BaseException: what ``compute`` raises.
        """
        while True:
            with self._lock:
                future = self._futures.get(key)
                if future is None:
                    own_future = self._futures[key] = Future()
                self._futures.move_to_end(key)
                while len(self._futures) > self._size:
                    self._futures.popitem(last=False)
            if future is None:
                return self._compute(key, own_future, compute)
            if future.exception() is None:
                return future.result()

    def peek(self, key: Hashable) -> V | None:
        """Return the result of a key without computing it or waiting; None while there is none."""
        with self._lock:
            future = self._futures.get(key)
            if future is None or not future.done() or future.exception() is not None:
                return None
            self._futures.move_to_end(key)
        return future.result()

    def _compute(self, key: Hashable, future: Future[V], compute: Callable[[], V]) -> V:
        try:
            result = compute()
        except BaseException as error:
            with self._lock:
                if self._futures.get(key) is future:
                    del self._futures[key]
            future.set_exception(error)
            raise
        future.set_result(result)
        return result
