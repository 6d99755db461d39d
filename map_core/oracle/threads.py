"""Parts of a table worked on side by side: numpy lets go of the interpreter while it computes.

Constraint: while threads share the cores, the linear algebra library keeps to one thread in each.
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
    """Cores that this process may use, at most 8: beyond that memory is what limits."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def each(ask: Callable[[P], T], parts: Sequence[P], threads: int) -> list[T]:
    """The answer of every part, in order; each thread takes the next part that nobody has."""
    threads = min(threads, len(parts))
    answers: list[Any] = [None] * len(parts)
    waiting = iter(range(len(parts)))

    def work() -> None:
        for number in waiting:
            answers[number] = ask(parts[number])

    with one_blas_thread():
        others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
        try:
            work()
        finally:
            for other in others:
                # One that has not begun has nothing left to do.
                if not other.cancel():
                    other.result()
    return answers


class Scratch(threading.local):
    """Arrays that each thread uses again: fresh memory costs more than the arithmetic on it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, np.dtype[Any]], np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array with whatever it held before; the next array of that name takes its place."""
        size = math.prod(shape)
        array = self._arrays.get((name, dtype))
        if array is None or array.size < size:
            array = self._arrays[name, dtype] = np.empty(size, dtype)
        return array[:size].reshape(shape)


_users = 0
_lock = threading.Lock()
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the linear algebra library to one thread until the last of those who asked for it is done."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="oracle")


# A forked process has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
