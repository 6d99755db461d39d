"""Tests of ComputeOnce: one computation for concurrent callers, no cached failures, least recently used eviction."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from map_core.core.compute_once import ComputeOnce


def test_concurrent_threads_share_one_computation():
    cache, begun, go_on, calls = ComputeOnce[int](4), threading.Event(), threading.Event(), []

    def compute() -> int:
        calls.append(1)
        begun.set()
        assert go_on.wait(30)
        return 7

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(cache.get, "key", compute)
        assert begun.wait(30)
        others = [threads.submit(cache.get, "key", compute) for _ in range(2)]
        assert cache.peek("key") is None
        go_on.set()
        assert [future.result(30) for future in (first, *others)] == [7, 7, 7]
    assert len(calls) == 1
    assert cache.peek("key") == 7


def test_failure_is_raised_in_its_computation_and_the_next_call_retries():
    cache, begun, go_on = ComputeOnce[int](4), threading.Event(), threading.Event()

    def fail() -> int:
        begun.set()
        assert go_on.wait(30)
        raise ValueError("stopped")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.get, "key", fail)
        assert begun.wait(30)
        second = threads.submit(cache.get, "key", lambda: 3)
        go_on.set()
        with pytest.raises(ValueError, match="stopped"):
            first.result(30)
        assert second.result(30) == 3


def test_most_recently_used_results_are_kept():
    cache = ComputeOnce[str](2)
    for key in "abac":
        cache.get(key, lambda key=key: key)
    assert [cache.peek(key) for key in "abc"] == ["a", None, "c"]
