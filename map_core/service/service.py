"""The generator for a whole app: one worker with the model, a queue before it, and a buffer for each generation.

The model lives in a process of its own, so that the app stays small and quick: this side never imports a model
library. The queue is kept here and not in the worker, so a viewer's place in it is known, leaving it costs nothing, and
nobody loses a request when the process dies: it is started again, and what it was writing is written again
(the same seed gives the same replies), each alone, since one of them may have killed it. Several requests run side by
side, a token of each in turn, as long as their candidates have room together; some room is kept for small requests,
which a large one does not hold up. Turns are fair among viewers: who has least running or waiting
before is served next.

An app keeps one service for all sessions: :func:`map_core.service.shared.shared_service`.
"""

from __future__ import annotations

import json
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from map_core.errors import EngineError, InputError
from map_core.generation.events import Finished
from map_core.generation.given_replies import GivenReplies
from map_core.generation.request import GenerationRequest
from map_core.models.packaged import DEFAULT_MODEL
from map_core.models.tuned import tuned_version
from map_core.scoring.specification import Specification
from map_core.service.generation import Generation
from map_core.service.messages import (
    Cancel,
    ChangeWeights,
    Generate,
    GenerationCancelled,
    GenerationFailed,
    GenerationMessage,
    LoadModel,
    RepliesScored,
    ScoreReplies,
    ScoringFailed,
    WorkerStatus,
    from_json,
    to_json,
)
from map_core.service.process_slot import ProcessSlot
from map_core.service.request_queue import CandidateLimits, RequestQueue
from map_core.service.running import RunningGenerations
from map_core.service.scoring_calls import ScoringCalls
from map_core.service.snapshot import Phase
from map_core.service.worker_client import WorkerClient

#: Ended generations that can still be looked up by id.
_MOST_KNOWN = 400
_LOADING = "The model is being loaded."
_LOST = "The model process stopped and comes back; this reply is written again from its beginning."
_OTHER_MODEL = "Another tuned model is at work, and finishes first."
_STOPPED = WorkerStatus("stopped", "", None, {})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceStatus:
    """The state of the worker and the queue.

    Args:
        state: "stopped" (it starts with the next request), "loading", "ready", or "failed" (the model could not be
            loaded; the next request tries again).
        note: a line for people: what is loaded, or what went wrong.
        command: the command line that mends it, when there is one.
        engine: what runs the model (name, model, dtype, device), once it is ready.
        pid: the process's id, or None.
        running, waiting: generations being served and in the queue.
        starts: how often the process was started; more than 1 means that it died or was stopped.
    """

    state: str
    note: str
    command: str | None
    engine: dict[str, str]
    pid: int | None
    running: int
    waiting: int
    starts: int


class GenerationService:
    """Serves generations from one model process; every method may be called from any thread.

    Args:
        model: name or folder of the base model.
        engine: "auto", "torch" or "openvino".
        dtype: number format of the weights, or None for the engine's choice.
        at_once: how many generations run side by side.
        candidates_at_once: how many candidates they may have together; one generation always has room.
        most_waiting: how many may wait before new ones are refused, of all viewers.
        most_of_viewer: the same of one viewer.
        request_extra: further fields of every request to a server, as the table records them.
        candidate_limits: how many candidates may be asked for; no limit by default.
        tuned: a tuned model that all candidates but the base one are drawn from, as it is now; None for none.
        slot: of its process, shared with other services' processes; one of its own by default.

    Example:
        >>> with GenerationService() as service:                       # doctest: +SKIP
        ...     generation = service.submit(GenerationRequest("How are you?", {"humor": 2.0}))
        ...     print(generation.wait().aligned_reply)
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        engine: str = "auto",
        dtype: str | None = None,
        at_once: int = 16,
        candidates_at_once: int = 256,
        most_waiting: int = 256,
        most_of_viewer: int = 64,
        request_extra: Mapping[str, Any] | None = None,
        candidate_limits: CandidateLimits | None = None,
        tuned: str | None = None,
        slot: ProcessSlot | None = None,
    ) -> None:
        self.model = model
        # With a tuned model in float32: log q - log p0 is a small difference of two large sums.
        dtype = dtype or ("float32" if tuned else None)
        self._arguments = ["--model", model, "--engine", engine, *(["--dtype", dtype] if dtype else [])]
        self._arguments += ["--request-extra", json.dumps(request_extra)] if request_extra else []
        self._arguments += ["--tuned", tuned, "--tuned-version", tuned_version(tuned)] if tuned else []
        self._slot = slot or ProcessSlot()
        self._lock = self._slot.lock
        self._worker: WorkerClient | None = None
        self._waiting = RequestQueue(most_waiting, most_of_viewer, candidate_limits)
        self._running = RunningGenerations(at_once, candidates_at_once)
        self._finalizer: weakref.finalize[..., GenerationService]
        self._generations: OrderedDict[str, Generation] = OrderedDict()
        self._scorings = ScoringCalls(most_waiting)
        self._worker_status = _STOPPED
        self._starts = 0

    def start(self, values: Sequence[str] = (), own: Sequence[Specification] = ()) -> None:
        """Start the process and load the model, so that the first request need not wait for it.

        Nothing is started while another service holds the slot for the process.

        Args:
            values: whose scorers are then warmed up too, while nothing else is to be done.
            own: how those of them that are not built in are scored.
        """
        with self._lock:
            if self._slot.acquire_if_free(self):
                self._live_worker().send(to_json(LoadModel(tuple(values), tuple(own))))

    def submit(self, request: GenerationRequest, viewer: str = "") -> Generation:
        """Queue a request; it is served in its turn.

        Args:
            request: what is generated.
            viewer: whose it is; turns are fair among viewers.

        Raises:
            EngineError: too many requests are waiting already.
            InputError: more candidates are asked for than one request may.
        """
        with self._lock:
            generation = Generation(request, _weak(self.cancel), _weak(self._reweigh), viewer)
            self._waiting.add(generation)
            self._generations[generation.id] = generation
            self._evict_ended()
            self._start_waiting()
        return generation

    def score(
        self, given: Sequence[GivenReplies], values: Sequence[str], own: Sequence[Specification] = ()
    ) -> Future[RepliesScored]:
        """Score given replies, between the tokens of what is being generated.

        Args:
            given: the replies to each chat.
            values: on which they are scored.
            own: how those of them that are not built in are scored.

        Returns:
            The rewards in the order of ``given`` with notes on them, or a :class:`ScoringError`; cancelling it stops
            before the next chat.

        Raises:
            EngineError: too many calls are waiting already, or another service's process holds the shared slot.
        """
        with self._lock:
            if not self._slot.acquire(self):
                raise EngineError(f"{_OTHER_MODEL} Try again in a moment.")
            worker = self._live_worker()
            call, future = self._scorings.open()
            worker.send(to_json(ScoreReplies(call, tuple(given), tuple(values), tuple(own))))
        future.add_done_callback(lambda done: self._forget_scoring(call) if done.cancelled() else None)
        return future

    def _forget_scoring(self, call: str) -> None:
        with self._lock:
            if self._scorings.forget(call) and self._worker is not None:
                self._worker.send(to_json(Cancel(call)))
            self._slot.release(self)

    def _reweigh(self, generation_id: str, weights: Mapping[str, float]) -> None:
        """Send the worker new weights for what it is writing."""
        with self._lock:
            if self._running.get(generation_id) is not None and self._worker is not None:
                self._worker.send(to_json(ChangeWeights(generation_id, dict(weights))))

    def cancel(self, generation_id: str) -> None:
        """Stop a generation within one token; one that has ended or is unknown is left as it is."""
        with self._lock:
            generation = self._generations.get(generation_id)
            if generation is None or generation.ended:
                return
            generation.end(Phase.CANCELLED)
            if generation in self._waiting:
                self._waiting.remove(generation)
                self._update_positions()
            elif self._worker is not None:
                # It counts as running until the process reports that it has stopped.
                self._worker.send(to_json(Cancel(generation_id)))

    def generation(self, generation_id: str) -> Generation:
        """Return a generation by its id, so that a reloaded page can attach to it again.

        Raises:
            InputError: no such generation in this process.
        """
        with self._lock:
            try:
                return self._generations[generation_id]
            except KeyError as error:
                raise InputError(f"There is no generation {generation_id!r} any more. Start a new one.") from error

    def status(self) -> ServiceStatus:
        """Return the state of the worker and the queue."""
        with self._lock:
            return ServiceStatus(
                state=self._worker_status.state,
                note=self._worker_status.note,
                command=self._worker_status.command,
                engine=dict(self._worker_status.engine),
                pid=self._worker.pid if self._worker is not None and self._worker.alive else None,
                running=len(self._running),
                waiting=len(self._waiting),
                starts=self._starts,
            )

    def cancel_waiting(self) -> None:
        """Cancel what has not begun; what is being written goes on."""
        with self._lock:
            for generation in tuple(self._waiting):
                self.cancel(generation.id)

    def close(self) -> None:
        """End the process and what was running; the next request starts it again."""
        with self._lock:
            worker, self._worker = self._worker, None
            if worker is not None:
                self._finalizer.detach()
            for generation in (*self._running, *self._waiting):
                generation.end(Phase.CANCELLED)
            self._running.clear()
            self._waiting.clear()
            self._scorings.fail_all("The server is being stopped.")
            self._worker_status = _STOPPED
            self._slot.release(self)
        if worker is not None:
            worker.close()

    def close_idle(self) -> None:
        """End the process if it has no work; generations that have ended stay readable."""
        with self._lock:
            if not self.is_busy and not self.is_waiting:
                self.leave()

    @property
    def has_process(self) -> bool:
        """Whether the process runs."""
        return self._worker is not None

    @property
    def is_busy(self) -> bool:
        """Whether the process has work."""
        return len(self._running) > 0 or len(self._scorings) > 0

    @property
    def is_waiting(self) -> bool:
        """Whether generations wait for their turn."""
        return len(self._waiting) > 0

    def leave(self) -> None:
        """End the process, which has no work, for another service's; what waits stays in the queue."""
        worker, self._worker = self._worker, None
        self._worker_status = _STOPPED
        if worker is not None:
            self._finalizer.detach()
            worker.close(wait=False)

    def enter(self) -> None:
        """Start the waiting requests; the slot for the process now belongs to this service."""
        self._start_waiting()

    def __enter__(self) -> GenerationService:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _live_worker(self) -> WorkerClient:
        if self._worker is None or not self._worker.alive:
            if self._worker is not None:
                self._requeue_running("The model process stopped.")
            self._worker = WorkerClient(self._arguments, _weak(self._on_message), _weak(self._on_exit))
            # At the end of the app, or when nobody holds this service any more, the process goes too.
            self._finalizer = weakref.finalize(self, self._worker.close)
            self._starts += 1
            self._worker_status = replace(self._worker_status, state="loading", note=_LOADING, command=None)
        return self._worker

    def _start_waiting(self) -> None:
        """Send the worker the next requests that it has room for, once this service holds the slot."""
        while self.is_waiting and self._slot.acquire(self):
            if (generation := self._running.choose_next(self._waiting)) is None:
                break
            worker = self._live_worker()
            self._waiting.remove(generation)
            self._running.add(generation)
            generation.attempts += 1
            generation.note("" if self._worker_status.state == "ready" else _LOADING)
            worker.send(to_json(Generate(generation.id, generation.request.with_used_values())))
            if generation.weights != generation.request.weights:
                worker.send(to_json(ChangeWeights(generation.id, dict(generation.weights))))
        self._update_positions()
        self._slot.release(self)

    def _update_positions(self) -> None:
        for place, generation in enumerate(self._waiting.in_turn(self._running), start=1):
            before = len(self._running) + place - 1
            reasons = f"{_LOST} " if generation.attempts else ""
            reasons += "" if self._slot.is_available_to(self) else f"{_OTHER_MODEL} "
            generation.note(f"{reasons}{before} request{'s' * (before != 1)} before this one.", place)

    def _on_message(self, worker: WorkerClient, message: dict[str, Any]) -> None:
        """Take in one message of the worker, in its client's reader thread."""
        with self._lock:
            if worker is not self._worker:
                return
            if message.get("type") == WorkerStatus.__name__:
                self._worker_status = from_json(WorkerStatus, message)
                return
            if message.get("type") in (RepliesScored.__name__, ScoringFailed.__name__):
                self._scorings.settle(from_json(RepliesScored | ScoringFailed, message))
                self._slot.release(self)
                return
            generation = self._running.get(str(message.get("id")))
            if generation is None:
                return
            try:
                event = from_json(GenerationMessage, message).event
                generation.apply(event)
            except Exception as error:  # noqa: BLE001 (whatever a message breaks, its generation ends in words)
                _log.exception("A message about a generation could not be taken in.")
                worker.send(to_json(Cancel(generation.id)))
                event = GenerationFailed(f"The model process sent what cannot be read ({error}). Start again.", None)
                generation.apply(event)
            if isinstance(event, Finished | GenerationCancelled | GenerationFailed):
                self._running.remove(generation)
                self._start_waiting()

    def _on_exit(self, worker: WorkerClient, why: str) -> None:
        """Handle the end of the worker, in its client's reader thread."""
        with self._lock:
            if worker is self._worker:
                self._requeue_running(why)
                self._start_waiting()

    def _requeue_running(self, why: str) -> None:
        """Queue what ran once more, before those that wait; what ran for the second time has failed."""
        self._finalizer.detach()
        self._worker = None
        self._worker_status = replace(_STOPPED, note=why)
        self._scorings.fail_all(f"{why} Send the request again: the process comes back by itself.")
        lost = [generation for generation in self._running if not generation.ended]
        self._running.clear()
        requeued = [generation for generation in lost if generation.attempts < 2]
        for generation in lost:
            if generation in requeued:
                generation.requeue(_LOST)
            else:
                reason = (
                    f"{why} It was writing this reply for the second time; what is shown is as far as it came. "
                    "Start again: the process comes back by itself."
                )
                generation.end(Phase.FAILED, reason)
        self._waiting.add_first(requeued)

    def _evict_ended(self) -> None:
        for generation_id in [known.id for known in self._generations.values() if known.ended]:
            if len(self._generations) <= _MOST_KNOWN:
                break
            del self._generations[generation_id]


def _weak(method: Callable[..., None]) -> Callable[..., None]:
    """Return a call of the method that does not keep its object alive and does nothing once that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> None:
        bound = reference()
        if bound is not None:
            bound(*arguments)

    return call
