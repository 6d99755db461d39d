"""Generate replies to many prompts, one after the other, with a few requests in flight.

A thread submits the requests and waits; a :class:`PromptBatch` may be read at any time. Constraint: no model and no
browser here; a failed generation is one outcome among others, and three consecutive failures end the batch.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from map_core.errors import EngineError, InputError, PaletteError
from map_core.generation.choice import Choice
from map_core.generation.request import GenerationRequest
from map_core.service.generation import Generation
from map_core.service.snapshot import Candidate, Phase

#: Requests in flight: while one runs, the next one waits in the queue, where other viewers get their turns too.
IN_FLIGHT = 2
#: Consecutive failures that end the batch.
MOST_FAILURES = 3
#: Seconds before a request is submitted again while the queue is full.
RETRY_SECONDS = 0.5


class PromptBatch:
    """Requests that are served one after the other; thread-safe.

    Args:
        requests: at least one; all with the same values.
        submit: submits a request, :meth:`map_core.service.service.GenerationService.submit` for one viewer.
        viewer: the owner of the batch.

    Attributes:
        id: unique within this process.
        requests: as given.
        error: the reason of an early end, or None.

    Raises:
        InputError: there is no request.
    """

    def __init__(
        self,
        requests: Sequence[GenerationRequest],
        submit: Callable[[GenerationRequest], Generation],
        viewer: str = "",
    ) -> None:
        if not requests:
            raise InputError("There are no prompts; expected at least one.")
        self.id = uuid.uuid4().hex
        self.requests = tuple(requests)
        self.viewer = viewer
        self.error: str | None = None
        self._submit = submit
        self._weights: dict[str, float] | None = None
        self._generations: list[Generation] = []
        self._lock = threading.Lock()
        self._stop, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="many prompts", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether the batch has ended."""
        return self._ended.is_set()

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The generations submitted so far, in the order of the prompts."""
        with self._lock:
            return tuple(self._generations)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, or for ``timeout`` seconds, and return whether it has ended."""
        return self._ended.wait(timeout)

    def stop(self) -> None:
        """Stop within one token; finished generations are kept."""
        self._stop.set()
        for generation in self.generations:
            if not generation.ended:
                generation.cancel()

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Replace the weights of all generations: finished, running and future ones."""
        with self._lock:
            self._weights = dict(weights)
        for generation in self.generations:
            generation.reweigh(weights)

    def _run(self) -> None:
        try:
            for request in self.requests:
                if not self._submit_next(request):
                    return
                while not self._stop.is_set() and self._in_flight() >= IN_FLIGHT:
                    self._wait_for_end()
                if self._stop_after_failures():
                    return
            while not self._stop.is_set() and self._in_flight():
                self._wait_for_end()
        except PaletteError as error:
            self.error = str(error)
        finally:
            if self._stop.is_set():  # also stops a generation that was submitted during stop()
                self.stop()
            self._ended.set()

    def _in_flight(self) -> int:
        """Count the generations that have not ended."""
        return sum(not generation.ended for generation in self.generations)

    def _submit_next(self, request: GenerationRequest) -> bool:
        """Submit a request, again while the queue is full, and return whether it was before the batch was stopped."""
        while not self._stop.is_set():
            with self._lock:
                if self._weights is not None:
                    request = replace(request, weights=self._weights)
            try:
                generation = self._submit(request)
            except EngineError:  # the queue is full
                self._stop.wait(RETRY_SECONDS)
                continue
            with self._lock:
                self._generations.append(generation)
                weights = self._weights
            if weights is not None:  # they may have changed since the request was built
                generation.reweigh(weights)
            return True
        return False

    def _wait_for_end(self) -> None:
        unfinished = next((generation for generation in self.generations if not generation.ended), None)
        if unfinished is not None:
            unfinished.wait(0.2)

    def _stop_after_failures(self) -> bool:
        """Stop if the last :data:`MOST_FAILURES` generations have all failed, and return whether they have."""
        ended = [generation.snapshot() for generation in self.generations if generation.ended]
        last = ended[-MOST_FAILURES:]
        if len(last) < MOST_FAILURES or any(snapshot.phase is not Phase.FAILED for snapshot in last):
            return False
        self.error = last[-1].error
        self.stop()
        return True


def expected_levels(
    candidates: Sequence[Candidate], choice: Choice, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Average rewards by a choice's probabilities, and uniformly over the same candidates.

    Args:
        candidates: of one prompt, complete.
        choice: their probabilities.
        names: values.

    Returns:
        Expected reward, sum_k p_k r_k, and mean reward, (value,) each, over the candidates that have all rewards; NaN
        where there are none.
    """
    table = np.array([[candidate.rewards.get(name, np.nan) for name in names] for candidate in candidates], dtype=float)
    table = table.reshape(len(candidates), len(names))
    known = ~np.isnan(table).any(axis=1)
    shares = np.array(choice.probabilities)[known]
    if not known.any() or shares.sum() <= 0:
        return np.full(len(names), np.nan), np.full(len(names), np.nan)
    expected: np.ndarray = shares @ table[known] / shares.sum()
    mean: np.ndarray = table[known].mean(axis=0)
    return expected, mean
