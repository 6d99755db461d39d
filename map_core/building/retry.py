"""Repeat failed requests to a server with exponential backoff.

Constraint: only errors that the same request may not meet again are retried (:class:`TryAgainError`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from map_core.errors import TryAgainError

T = TypeVar("T")

#: Total number of attempts, and the first and the longest wait between two attempts in seconds.
ATTEMPTS, FIRST_WAIT, LONGEST_WAIT = 6, 1.0, 60.0


def call_with_retries(ask: Callable[[], T], say: Callable[[str], None] | None = None) -> T:
    """Make a request up to :data:`ATTEMPTS` times, and return its result.

    The waits double, with random jitter so that many clients do not retry at the same moment.

    Args:
        ask: the request; :class:`TryAgainError` is retried, any other exception is raised.
        say: called before each wait with a sentence about the error and the wait; None for no messages.

    Raises:
        TryAgainError: the last attempt's, when all have failed.
    """

    def announce(state: tenacity.RetryCallState) -> None:
        if say is not None and state.outcome is not None and state.next_action is not None:
            seconds = max(1, round(state.next_action.sleep))
            say(f"{state.outcome.exception()} Asked again in {seconds} s ({state.attempt_number} of {ATTEMPTS - 1}).")

    retrying = tenacity.Retrying(
        before_sleep=announce,
        retry=tenacity.retry_if_exception_type(TryAgainError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(initial=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT),
        reraise=True,
    )
    return retrying(ask)
