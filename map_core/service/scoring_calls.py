"""Pending calls to score given replies, and their results."""

from __future__ import annotations

import uuid
from concurrent.futures import Future

from map_core.errors import EngineError
from map_core.service.messages import FailureKind, GenerationFailed, RepliesScored, ScoringFailed


class ScoringError(EngineError):
    """Given replies could not be scored.

    Args:
        failure: the reason, and who can solve it.
    """

    def __init__(self, failure: GenerationFailed) -> None:
        super().__init__(failure.error)
        self.failure = failure


class ScoringCalls:
    """The pending calls, by id. Constraint: not thread-safe; the service's lock guards it.

    Args:
        most: pending calls.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._futures: dict[str, Future[RepliesScored]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def open(self) -> tuple[str, Future[RepliesScored]]:
        """Return the id of a new call and the future of its answer.

        Raises:
            EngineError: too many calls are pending already.
        """
        if len(self._futures) >= self._most:
            raise EngineError(f"{len(self._futures)} calls are being scored already. Try again in a moment.")
        call, future = uuid.uuid4().hex, Future[RepliesScored]()
        self._futures[call] = future
        return call, future

    def forget(self, call: str) -> bool:
        """Drop a call that its caller has cancelled, and return whether it was pending."""
        return self._futures.pop(call, None) is not None

    def settle(self, answer: RepliesScored | ScoringFailed) -> None:
        """Complete the call that the worker has answered; an answer to a cancelled call is ignored."""
        future = self._futures.pop(answer.id, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if isinstance(answer, ScoringFailed):
            future.set_exception(ScoringError(answer.failure))
        else:
            future.set_result(answer)

    def fail_all(self, reason: str) -> None:
        """Fail every call with a :class:`ScoringError`; callers may try again."""
        ended, self._futures = self._futures, {}
        failure = GenerationFailed(reason, None, FailureKind.UNAVAILABLE)
        for future in ended.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(ScoringError(failure))
