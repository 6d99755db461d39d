"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], bool], seconds: float = 90.0, what: str = "it did not come to pass in time") -> None:
    """Wait until something is true.

    Args:
        true: asked again and again.
        seconds: how long at most; long, because machines have other work.
        what: said where it does not become true.

    Raises:
        AssertionError: with ``what``.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.005)
