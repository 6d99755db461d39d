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


def call_with_retries(ask: Callable[[], T], say: Callable[[str], None] | None = None) -> T:
    """Ask up to :data:`ATTEMPTS` times, and return the answer.

    The waits double, with some chance in them so that many do not ask at the same moment.

    Args:
        ask: may raise :class:`TryAgainError`, which asks again, or anything else, which ends it.
        say: told before each wait what went wrong and when it is asked again; None for nobody.

    Raises:
        TryAgainError: the last one, when none was answered.
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
