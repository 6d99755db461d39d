"""Asking a server again that did not answer: longer and longer waits, then a clear end.

Constraint: only what the same request may mend is asked again (:class:`TryAgainError`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from map_core.errors import TryAgainError

T = TypeVar("T")

#: How often a request is made in all, and the seconds of the first and of the longest wait between two.
ATTEMPTS, FIRST_WAIT, LONGEST_WAIT = 6, 1.0, 60.0


def retried(ask: Callable[[], T], attempts: int = ATTEMPTS, first_wait: float = FIRST_WAIT) -> T:
    """The answer, asked for up to so many times.

    Args:
        ask: may raise :class:`TryAgainError`, which asks again, or anything else, which ends it.
        attempts: how often it is asked in all.
        first_wait: seconds before the second time, doubled after each, with some chance in it so that many do not
            ask at the same moment.

    Raises:
        TryAgainError: the last one, when none was answered.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgainError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_exponential_jitter(initial=first_wait, max=LONGEST_WAIT, jitter=first_wait),
        reraise=True,
    )
    return retrying(ask)
