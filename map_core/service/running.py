"""Generations that are being served, and what has room to start beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from map_core.service.generation import Generation
from map_core.service.request_queue import RequestQueue

#: Most candidates of a small request, and of all small ones that run beside what fills the rest of the room.
SMALL, SMALL_ROOM = 16, 64


class RunningGenerations:
    """Generations that are being served. Constraint: not thread-safe; the service's lock guards it.

    Args:
        most: how many run side by side.
        most_candidates: how many candidates they may have together; one generation always has room.
    """

    def __init__(self, most: int, most_candidates: int) -> None:
        self._most, self._most_candidates = most, most_candidates
        self._generations: dict[str, Generation] = {}
        self._in_small_room: set[str] = set()

    def __len__(self) -> int:
        return len(self._generations)

    def __iter__(self) -> Iterator[Generation]:
        return iter(self._generations.values())

    def get(self, generation_id: str) -> Generation | None:
        """Return a generation by its id; None where it is not being served."""
        return self._generations.get(generation_id)

    def add(self, generation: Generation) -> None:
        """Add a generation that begins."""
        self._generations[generation.id] = generation

    def remove(self, generation: Generation) -> None:
        """Take out a generation that has ended; it is being served."""
        del self._generations[generation.id]
        self._in_small_room.discard(generation.id)

    def clear(self) -> None:
        """Take out all generations."""
        self._generations = {}
        self._in_small_room.clear()

    def choose_next(self, waiting: RequestQueue) -> Generation | None:
        """Return which of those that wait starts next; None where there is no room for it.

        The first in turn starts when its candidates have room. While it waits for that, small requests behind it may
        start in the room that is kept for them. What was being written when the process died may have killed it: such
        a request runs alone the second time, so that it takes nobody with it.
        """
        if not waiting or len(self) >= self._most or any(running.attempts > 1 for running in self):
            return None
        in_turn = waiting.in_turn(self)
        suspects = [generation for generation in in_turn if generation.attempts]
        if suspects:
            return None if self._generations else suspects[0]
        small = [running for running in self if running.id in self._in_small_room]
        taken = _candidates(self) - _candidates(small)
        first = in_turn[0]
        if not self._generations or taken + first.request.candidates <= self._most_candidates:
            return first
        room = SMALL_ROOM - _candidates(small)
        for generation in in_turn:
            if generation.request.candidates <= min(SMALL, room):
                self._in_small_room.add(generation.id)
                return generation
        return None


def _candidates(generations: Iterable[Generation]) -> int:
    """Return how many candidates generations have together."""
    return sum(generation.request.candidates for generation in generations)
