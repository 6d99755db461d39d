"""Tests of ComputeOnce: callers share a computation, failures are not cached, and old results are evicted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from map_core.core.compute_once import ComputeOnce


def test_concurrent_callers_share_one_computation():
    cache, started, proceed, calls = ComputeOnce[int](4), threading.Event(), threading.Event(), []

    def compute() -> int:
        calls.append(1)
        started.set()
        assert proceed.wait(30)
        return 7

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(cache.get, "key", compute)
        assert started.wait(30)
        later = [pool.submit(cache.get, "key", compute) for _ in range(2)]
        assert cache.peek("key") is None
        proceed.set()
        assert [future.result(30) for future in (first, *later)] == [7, 7, 7]
    assert len(calls) == 1
    assert cache.peek("key") == 7


def test_a_failure_reaches_its_caller_and_the_next_caller_recomputes():
    cache, started, proceed = ComputeOnce[int](4), threading.Event(), threading.Event()

    def fail() -> int:
        started.set()
        assert proceed.wait(30)
        raise ValueError("stopped")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", fail)
        assert started.wait(30)
        second = pool.submit(cache.get, "key", lambda: 3)
        proceed.set()
        with pytest.raises(ValueError, match="stopped"):
            first.result(30)
        assert second.result(30) == 3


def test_the_least_recently_used_result_is_evicted():
    cache = ComputeOnce[str](2)
    for key in "abac":
        cache.get(key, lambda key=key: key)
    assert [cache.peek(key) for key in "abc"] == ["a", None, "c"]
