"""Many prompts, one after the other, with a few requests in flight.

A thread submits them and only waits; a :class:`PromptBatch` may be read at any moment. Constraint: nothing of a model
or a browser here; a generation that fails is one outcome among others, and three in a row end the work.
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

#: Requests in flight: the next one waits in the queue when one ends, and other viewers' requests come between.
IN_FLIGHT = 2
#: Consecutive failures that end the batch.
MOST_FAILURES = 3
#: Seconds before a request is submitted again while others' requests fill the queue.
RETRY_SECONDS = 0.5


class PromptBatch:
    """Requests that are served one after the other; thread-safe.

    Args:
        requests: at least one; all with the same values.
        submit: submits a request, :meth:`map_core.service.service.GenerationService.submit` for one viewer.
        viewer: whose they are.

    Attributes:
        id: its name within this process.
        requests: as given.
        error: why it ended early, in words, or None.

    Raises:
        InputError: there is nothing to do.
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
        """Whether nothing will change any more."""
        return self._ended.is_set()

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that were submitted so far, in the order of the prompts."""
        with self._lock:
            return tuple(self._generations)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, or for ``timeout`` seconds, and return whether it has ended."""
        return self._ended.wait(timeout)

    def stop(self) -> None:
        """Stop within one token; what is done stays."""
        self._stop.set()
        for generation in self.generations:
            if not generation.ended:
                generation.cancel()

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Put other weights in force for what is done, what is being written, and what is still to come."""
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
            if self._stop.is_set():  # also what was submitted while it was being stopped
                self.stop()
            self._ended.set()

    def _in_flight(self) -> int:
        """Count the generations that have not ended."""
        return sum(not generation.ended for generation in self.generations)

    def _submit_next(self, request: GenerationRequest) -> bool:
        while not self._stop.is_set():
            with self._lock:
                if self._weights is not None:
                    request = replace(request, weights=self._weights)
            try:
                generation = self._submit(request)
            except EngineError:  # too much is waiting: room comes by itself
                self._stop.wait(RETRY_SECONDS)
                continue
            with self._lock:
                self._generations.append(generation)
                weights = self._weights
            if weights is not None:  # changed while it was submitted
                generation.reweigh(weights)
            return True
        return False

    def _wait_for_end(self) -> None:
        unfinished = next((generation for generation in self.generations if not generation.ended), None)
        if unfinished is not None:
            unfinished.wait(0.2)

    def _stop_after_failures(self) -> bool:
        """Stop with the last error where the last few generations have all failed, and return whether that is so."""
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
    """Average rewards by a choice's probabilities, and over the base model's same candidates.

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
