"""Polling for the effect of another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    condition: Callable[[], bool], seconds: float = 90.0, message: str = "the condition did not become true in time"
) -> None:
    """Poll until a condition is true.

    Args:
        condition: polled every few milliseconds.
        seconds: timeout; generous, since machines are busy.
        message: of the error.

    Raises:
        AssertionError: the condition did not become true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.005)
