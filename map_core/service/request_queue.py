"""The queue of requests before the worker: fair turns among viewers, and limits of its length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from map_core.errors import EngineError, InputError
from map_core.service.generation import Generation


@dataclass(frozen=True)
class CandidateLimits:
    """Limits of candidates; None for no limit.

    Args:
        waiting: of all waiting requests together.
        of_viewer: of all waiting requests of one viewer.
        of_request: of one request, including those that it may add.
    """

    waiting: int | None = None
    of_viewer: int | None = None
    of_request: int | None = None


class RequestQueue:
    """Generations that wait to be served. Constraint: not thread-safe; the service's lock guards it.

    Args:
        most: waiting generations of all viewers.
        most_of_viewer: waiting generations of one viewer.
        candidates: limits of their candidates.
    """

    def __init__(self, most: int, most_of_viewer: int, candidates: CandidateLimits | None = None) -> None:
        self._most, self._most_of_viewer = most, most_of_viewer
        self._candidates = candidates or CandidateLimits()
        self._waiting: list[Generation] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Generation]:
        return iter(self._waiting)

    def add(self, generation: Generation) -> None:
        """Queue a new generation behind those of its viewer.

        Raises:
            EngineError: the queue is full.
            InputError: it asks for more candidates than one request may.
        """
        most_of_request, candidates = self._candidates.of_request, _candidates(generation)
        if most_of_request is not None and candidates > most_of_request:
            raise InputError(
                f"The request is for {candidates:,} candidates; expected at most {most_of_request:,}. Ask for fewer."
            )
        of_viewer = [waiting for waiting in self._waiting if waiting.viewer == generation.viewer]
        for group, most_candidates, whose in (
            (self._waiting, self._candidates.waiting, ""),
            (of_viewer, self._candidates.of_viewer, " of yours"),
        ):
            waiting_candidates = sum(map(_candidates, group))
            if group and most_candidates is not None and waiting_candidates + candidates > most_candidates:
                raise EngineError(
                    f"{waiting_candidates:,} candidates{whose} are waiting to be written already. Try again in a "
                    "moment, or ask for fewer."
                )
        for group, most, whose in ((self._waiting, self._most, ""), (of_viewer, self._most_of_viewer, " of yours")):
            if len(group) >= most:
                raise EngineError(f"{len(group)} requests{whose} are waiting already. Try again in a moment.")
        self._waiting.append(generation)

    def add_first(self, generations: Iterable[Generation]) -> None:
        """Queue generations that were being served before all others, without limits."""
        self._waiting = [*generations, *self._waiting]

    def remove(self, generation: Generation) -> None:
        """Remove a generation, which must be in the queue."""
        self._waiting.remove(generation)

    def clear(self) -> None:
        """Remove all generations."""
        self._waiting = []

    def in_turn(self, running: Iterable[Generation]) -> list[Generation]:
        """Return the waiting generations in the order of turns: every viewer's first request, every second one, ...

        Args:
            running: generations that are being served, which count as their viewers' earlier requests.
        """
        requests = Counter(generation.viewer for generation in running)
        turns = []
        for generation in self._waiting:
            turns.append((requests[generation.viewer], generation))
            requests[generation.viewer] += 1
        return [generation for _, generation in sorted(turns, key=lambda entry: entry[0])]


def _candidates(generation: Generation) -> int:
    """Return the most candidates that a request may draw."""
    request = generation.request
    return max(request.candidates, request.most_candidates or 0)
