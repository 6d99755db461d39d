"""Many prompts, one after the other: a few requests are in hand at a time, so that outcomes come in while others wait.

A thread hands them in and only waits; whoever holds a :class:`Many` may look at it at any moment. Constraint: nothing
of a model or a browser here; a generation that fails is one outcome among others, and three in a row end the work.
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
from map_core.service.generation import Candidate, Generation, Phase

#: Requests in hand at a time: the next one is ready when one ends, and other viewers' come between.
AHEAD = 2
#: So many failures one after the other are no accident.
MOST_FAILURES = 3
#: While others' requests fill the queue, it is tried again after so many seconds.
PAUSE = 0.5


class Many:
    """Requests that are carried out one after the other; thread-safe.

    Args:
        requests: what is asked, at least one; all with the same values.
        submit: hands a request in, :meth:`map_core.service.service.GenerationService.submit` for one viewer.
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
        threading.Thread(target=self._work, name="many prompts", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self._ended.is_set()

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that were handed in so far, in the order of the prompts."""
        with self._lock:
            return tuple(self._generations)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, or for ``timeout`` seconds; whether it has ended."""
        return self._ended.wait(timeout)

    def stop(self) -> None:
        """End within one token; what is done stays."""
        self._stop.set()
        for generation in self.generations:
            if not generation.ended:
                generation.cancel()

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Other weights for all: for what is done, what is being written, and what is still to come."""
        with self._lock:
            self._weights = dict(weights)
        for generation in self.generations:
            generation.reweigh(weights)

    def _work(self) -> None:
        try:
            for request in self.requests:
                if not self._hand_in(request):
                    return
                while not self._stop.is_set() and sum(not one.ended for one in self.generations) >= AHEAD:
                    self._wait_for_one()
                if self._hopeless():
                    return
            while not self._stop.is_set() and any(not one.ended for one in self.generations):
                self._wait_for_one()
        except PaletteError as error:
            self.error = str(error)
        finally:
            if self._stop.is_set():  # also what was handed in while it was being stopped
                self.stop()
            self._ended.set()

    def _hand_in(self, request: GenerationRequest) -> bool:
        while not self._stop.is_set():
            with self._lock:
                if self._weights is not None:
                    request = replace(request, weights=self._weights)
            try:
                generation = self._submit(request)
            except EngineError:  # too much is waiting: room comes by itself
                self._stop.wait(PAUSE)
                continue
            with self._lock:
                self._generations.append(generation)
            return True
        return False

    def _wait_for_one(self) -> None:
        waited_for = next((one for one in self.generations if not one.ended), None)
        if waited_for is not None:
            waited_for.wait(0.2)

    def _hopeless(self) -> bool:
        """The last few have all failed; what they said is this one's error."""
        last = [one.snapshot() for one in self.generations if one.ended][-MOST_FAILURES:]
        if len(last) < MOST_FAILURES or any(one.phase is not Phase.FAILED for one in last):
            return False
        self.error = last[-1].error
        self.stop()
        return True


def expected_levels(
    candidates: Sequence[Candidate], choice: Choice, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """What a choice gives on average, and what the base model does on the same candidates.

    Args:
        candidates: of one prompt, complete.
        choice: their probabilities.
        names: values.

    Returns:
        Expected reward, sum_k p_k r_k, and mean reward, (value,) each, over the candidates that have all rewards; NaN
        where there are none.
    """
    table = np.array([[one.rewards.get(name, np.nan) for name in names] for one in candidates], dtype=float)
    table = table.reshape(len(candidates), len(names))
    known = ~np.isnan(table).any(axis=1)
    shares = np.array(choice.probabilities)[known]
    if not known.any() or shares.sum() <= 0:
        return np.full(len(names), np.nan), np.full(len(names), np.nan)
    expected: np.ndarray = shares @ table[known] / shares.sum()
    mean: np.ndarray = table[known].mean(axis=0)
    return expected, mean
