"""Calls to score given replies that are under way, and how each of them ends."""

from __future__ import annotations

import uuid
from concurrent.futures import Future

from map_core.errors import EngineError
from map_core.generation.given_replies import ReplyRewards
from map_core.service.messages import FailureKind, GenerationFailed, RepliesScored, ScoringFailed


class ScoringError(EngineError):
    """Given replies could not be scored.

    Args:
        failure: why, and who can mend it.
    """

    def __init__(self, failure: GenerationFailed) -> None:
        super().__init__(failure.error)
        self.failure = failure


class ScoringCalls:
    """The calls under way, by id. Constraint: not thread-safe; the service's lock guards it.

    Args:
        most: how many may be under way before new ones are refused.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._futures: dict[str, Future[tuple[ReplyRewards, ...]]] = {}

    def open(self) -> tuple[str, Future[tuple[ReplyRewards, ...]]]:
        """Return the id of a new call and the future of its rewards.

        Raises:
            EngineError: too many calls are under way already.
        """
        if len(self._futures) >= self._most:
            raise EngineError(f"{len(self._futures)} calls are being scored already. Try again in a moment.")
        call, future = uuid.uuid4().hex, Future[tuple[ReplyRewards, ...]]()
        self._futures[call] = future
        return call, future

    def forget(self, call: str) -> bool:
        """Drop a call that whoever made it has cancelled, and return whether it was still under way."""
        return self._futures.pop(call, None) is not None

    def settle(self, answer: RepliesScored | ScoringFailed) -> None:
        """End the call that the worker has answered; one that was cancelled meanwhile changes nothing."""
        future = self._futures.pop(answer.id, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if isinstance(answer, ScoringFailed):
            future.set_exception(ScoringError(answer.failure))
        else:
            future.set_result(answer.rewards)

    def fail_all(self, reason: str) -> None:
        """End every call with a :class:`ScoringError`; whoever made it may make it again."""
        ended, self._futures = self._futures, {}
        failure = GenerationFailed(reason, None, FailureKind.UNAVAILABLE)
        for future in ended.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(ScoringError(failure))
