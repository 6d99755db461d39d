"""A result is computed once for all who ask, a failure is not kept, and the results used last stay."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from map_core.core.compute_once import ComputeOnce


def test_threads_that_ask_at_once_share_one_computation():
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


def test_a_failure_goes_to_the_one_who_computed_and_the_next_computes_again():
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


def test_the_results_used_last_stay():
    cache = ComputeOnce[str](2)
    for key in "abac":
        cache.get(key, lambda key=key: key)
    assert [cache.peek(key) for key in "abc"] == ["a", None, "c"]
