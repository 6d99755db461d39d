"""The queue before the worker: fair turns among viewers, and limits on how many may wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from map_core.errors import EngineError, InputError
from map_core.service.generation import Generation


@dataclass(frozen=True)
class CandidateLimits:
    """How many candidates may be asked for; None where there is no limit.

    Args:
        waiting: of all requests that wait together.
        of_viewer: the same of one viewer.
        of_request: of one request, those included that it may add.
    """

    waiting: int | None = None
    of_viewer: int | None = None
    of_request: int | None = None


class RequestQueue:
    """Generations that wait to be served. Constraint: not thread-safe; the service's lock guards it.

    Args:
        most: how many may wait before new ones are refused, of all viewers.
        most_of_viewer: the same of one viewer.
        candidates: how many candidates may be asked for.
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
            EngineError: too many are waiting already.
            InputError: it asks for more candidates than one request may.
        """
        most_of_request, wanted = self._candidates.of_request, _candidates(generation)
        if most_of_request is not None and wanted > most_of_request:
            raise InputError(
                f"{wanted:,} candidates are asked for; expected at most {most_of_request:,}. Ask for fewer."
            )
        of_viewer = [waiting for waiting in self._waiting if waiting.viewer == generation.viewer]
        own = len(of_viewer)
        for group, most_candidates, owner in (
            (self._waiting, self._candidates.waiting, ""),
            (of_viewer, self._candidates.of_viewer, " of yours"),
        ):
            if group and most_candidates is not None and sum(map(_candidates, group)) + wanted > most_candidates:
                raise EngineError(
                    f"{sum(map(_candidates, group)):,} candidates{owner} are waiting to be written already. Try again "
                    "in a moment, or ask for fewer."
                )
        for waiting, most, whose in (
            (len(self._waiting), self._most, ""),
            (own, self._most_of_viewer, " of yours"),
        ):
            if waiting >= most:
                raise EngineError(f"{waiting} requests{whose} are waiting already. Try again in a moment.")
        self._waiting.append(generation)

    def add_first(self, generations: Iterable[Generation]) -> None:
        """Queue generations that were being served before those that wait, whatever the limits."""
        self._waiting = [*generations, *self._waiting]

    def remove(self, generation: Generation) -> None:
        """Take a generation out of the queue; it is in it."""
        self._waiting.remove(generation)

    def clear(self) -> None:
        """Take all generations out of the queue."""
        self._waiting = []

    def in_turn(self, running: Iterable[Generation]) -> list[Generation]:
        """Return those that wait in turn: a viewer's n-th request comes after everybody's n-1st.

        Args:
            running: those that are being served; they count as requests before.
        """
        turns = Counter(generation.viewer for generation in running)
        order = []
        for place, generation in enumerate(self._waiting):
            order.append((turns[generation.viewer], place, generation))
            turns[generation.viewer] += 1
        return [generation for _, _, generation in sorted(order, key=lambda entry: entry[:2])]


def _candidates(generation: Generation) -> int:
    """Return the most candidates that a request may come to draw."""
    request = generation.request
    return max(request.candidates, request.most_candidates or 0)
