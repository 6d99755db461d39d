"""Work on the parts of a table in threads: numpy releases the interpreter lock while it computes.

Constraint: while threads share the cores, the linear algebra library (BLAS) is limited to one thread.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

P = TypeVar("P")
T = TypeVar("T")


def available_threads() -> int:
    """Return the number of cores that this process may use, at most 8: beyond that memory bandwidth is the limit."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def map_threads(function: Callable[[P], T], parts: Sequence[P], threads: int) -> list[T]:
    """Return the result of every part, in order; each thread takes the next free part."""
    threads = min(threads, len(parts))
    results: list[Any] = [None] * len(parts)
    waiting = iter(range(len(parts)))

    def work() -> None:
        for index in waiting:
            results[index] = function(parts[index])

    with one_blas_thread():
        others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
        try:
            work()
        finally:
            for other in others:
                # A call that has not begun has nothing left to do, since this thread took all parts.
                if not other.cancel():
                    other.result()
    return results


class Scratch(threading.local):
    """Arrays that each thread reuses: allocation costs more than the arithmetic on them."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, np.dtype[Any]], np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an uninitialised array; the next one of that name and type reuses its memory."""
        size = math.prod(shape)
        array = self._arrays.get((name, dtype))
        if array is None or array.size < size:
            array = self._arrays[name, dtype] = np.empty(size, dtype)
        return array[:size].reshape(shape)


class _BlasLimit:
    """A reference-counted limit of the linear algebra library to one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limiter: Any = None
        self._controller: ThreadpoolController | None = None

    def acquire(self) -> None:
        """Set the limit if no other caller holds it."""
        with self._lock:
            if self._users == 0:
                self._controller = self._controller or ThreadpoolController()
                self._limiter = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def release(self) -> None:
        """Lift the limit once no caller holds it."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limiter.restore_original_limits()


_blas_limit = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the linear algebra library to one thread while any caller is inside."""
    _blas_limit.acquire()
    try:
        yield
    finally:
        _blas_limit.release()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="oracle")


# A forked process has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
