"""The generator for a whole app: one model process, a queue before it, and a buffer for each generation.

The model lives in a process of its own, so that the app stays small and quick: this side never imports a model
library. The queue is kept here and not in the model process, so a viewer's place in it is known, leaving it costs
nothing, and those who wait lose nothing when the process dies: it is started again for them. Requests are served one
after another; ``at_once`` lets more than one run side by side (the model process then takes a token of each in turn).

Under Streamlit keep one service for all sessions: ``st.cache_resource(shared_service)``.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.errors import EngineError, InputError
from map_core.generate.aligned import GenerationRequest
from map_core.generate.generation import Generation, Phase, request_message
from map_core.generate.model_link import ModelLink
from map_core.generate.models import DEFAULT_MODEL

#: Ended generations that can still be looked up by id.
_REMEMBERED = 200


@dataclass(frozen=True)
class ServiceStatus:
    """How the model process is.

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
    engine: dict[str, Any]
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
        most_waiting: how many may wait before new ones are refused.

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
        at_once: int = 1,
        most_waiting: int = 32,
    ) -> None:
        self.model = model
        self._arguments = ["--model", model, "--engine", engine, *(["--dtype", dtype] if dtype else [])]
        self._at_once, self._most_waiting = at_once, most_waiting
        self._lock = threading.RLock()
        self._link: ModelLink | None = None
        self._waiting: list[Generation] = []
        self._running: dict[str, Generation] = {}
        self._farewell: weakref.finalize[..., GenerationService]
        self._known: OrderedDict[str, Generation] = OrderedDict()
        self._state, self._note = "stopped", ""
        self._command: str | None = None
        self._engine: dict[str, Any] = {}
        self._starts = 0

    def start(self, values: Sequence[str] = ()) -> None:
        """Start the process and load the model, so that the first request need not wait for it.

        Args:
            values: whose scorers are then warmed up too, while nothing else is to be done.
        """
        with self._lock:
            self._alive_link().send({"do": "load", "values": list(values)})

    def submit(self, request: GenerationRequest) -> Generation:
        """Hand in a request; it is served in its turn.

        Raises:
            EngineError: too many requests are waiting already.
        """
        with self._lock:
            if len(self._waiting) >= self._most_waiting:
                raise EngineError(f"{len(self._waiting)} requests are waiting already. Try again in a moment.")
            generation = Generation(request, _weakly(self.cancel))
            self._known[generation.id] = generation
            self._waiting.append(generation)
            self._forget_old()
            self._serve()
        return generation

    def cancel(self, generation_id: str) -> None:
        """Stop a generation within one token; one that has ended or is unknown is left as it is."""
        with self._lock:
            generation = self._known.get(generation_id)
            if generation is None or generation.ended:
                return
            generation.end(Phase.CANCELLED)
            if generation in self._waiting:
                self._waiting.remove(generation)
                self._tell_positions()
            elif self._link is not None:
                # Its place stays taken until the process says that it has stopped.
                self._link.send({"do": "cancel", "id": generation_id})

    def generation(self, generation_id: str) -> Generation:
        """A generation by its id, so that a reloaded page can attach to it again.

        Raises:
            InputError: no such generation in this process.
        """
        with self._lock:
            try:
                return self._known[generation_id]
            except KeyError as error:
                raise InputError(f"There is no generation {generation_id!r} any more. Start a new one.") from error

    def status(self) -> ServiceStatus:
        """How the model process is."""
        with self._lock:
            return ServiceStatus(
                state=self._state,
                note=self._note,
                command=self._command,
                engine=dict(self._engine),
                pid=self._link.pid if self._link is not None and self._link.alive else None,
                running=len(self._running),
                waiting=len(self._waiting),
                starts=self._starts,
            )

    def close(self) -> None:
        """End the process and what was running; the next request starts it again."""
        with self._lock:
            link, self._link = self._link, None
            if link is not None:
                self._farewell.detach()
            for generation in (*self._running.values(), *self._waiting):
                generation.end(Phase.CANCELLED)
            self._running, self._waiting = {}, []
            self._state, self._note, self._command, self._engine = "stopped", "", None, {}
        if link is not None:
            link.close()

    def __enter__(self) -> GenerationService:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _alive_link(self) -> ModelLink:
        if self._link is None or not self._link.alive:
            if self._link is not None:
                self._clear_away("The model process stopped.")
            self._link = ModelLink(self._arguments, _weakly(self._take_in), _weakly(self._lose))
            # At the end of the app, or when nobody holds this service any more, the process goes too.
            self._farewell = weakref.finalize(self, self._link.close)
            self._starts += 1
            self._state, self._note, self._command = "loading", "The model is being loaded.", None
        return self._link

    def _serve(self) -> None:
        """Give the process what it has room for, in order."""
        while self._waiting and len(self._running) < self._at_once:
            link = self._alive_link()
            generation = self._waiting.pop(0)
            self._running[generation.id] = generation
            generation.sendings += 1
            generation.note("" if self._state == "ready" else "The model is being loaded.")
            link.send({"do": "generate", "id": generation.id, "request": request_message(generation.request)})
        self._tell_positions()

    def _tell_positions(self) -> None:
        for place, generation in enumerate(self._waiting, start=1):
            before = len(self._running) + place - 1
            generation.note(f"{before} request{'s' * (before != 1)} before this one.", place)

    def _take_in(self, link: ModelLink, message: dict[str, Any]) -> None:
        """One message of the process, in its reader's thread."""
        with self._lock:
            if link is not self._link:
                return
            if message["event"] == "status":
                self._state, self._note = message["state"], message["note"]
                self._command, self._engine = message.get("command"), message.get("engine", {})
                return
            generation = self._running.get(message["id"])
            if generation is None:
                return
            if message["event"] in ("finished", "cancelled", "failed"):
                del self._running[generation.id]
                generation.apply(message)
                self._serve()
            else:
                generation.apply(message)

    def _lose(self, link: ModelLink, why: str) -> None:
        """The process has ended, as its reader's thread noticed."""
        with self._lock:
            if link is self._link:
                self._clear_away(why)
                self._serve()

    def _clear_away(self, why: str) -> None:
        """What ran has failed; what had not begun is tried once more, before those that wait."""
        self._farewell.detach()
        self._link = None
        self._state, self._note, self._command, self._engine = "stopped", why, None, {}
        lost, self._running = list(self._running.values()), {}
        again = [one for one in lost if not one.begun and not one.ended and one.sendings < 2]
        for generation in lost:
            if generation not in again:
                generation.end(
                    Phase.FAILED,
                    f"{why} It was writing this reply; what is shown is as far as it came. "
                    "Start again: the process comes back by itself.",
                )
        self._waiting = again + self._waiting

    def _forget_old(self) -> None:
        for known in [one.id for one in self._known.values() if one.ended]:
            if len(self._known) <= _REMEMBERED:
                break
            del self._known[known]


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """The method without keeping its object alive; nothing once that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> None:
        bound = reference()
        if bound is not None:
            bound(*arguments)

    return call


_shared: dict[tuple[str, str], GenerationService] = {}
_sharing = threading.Lock()


def shared_service(model: str = DEFAULT_MODEL, engine: str = "auto") -> GenerationService:
    """The one service of this process for a model, made on first use."""
    with _sharing:
        if (model, engine) not in _shared:
            _shared[model, engine] = GenerationService(model, engine)
        return _shared[model, engine]
