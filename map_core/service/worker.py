"""The model process, which owns the engine and the scorers and carries out the commands of its parent.

It is run by :class:`map_core.service.worker_client.WorkerClient`, never by hand. Commands arrive and messages
(:mod:`map_core.service.messages`) leave through :class:`map_core.core.child_process.ParentPipe`.
Constraint: it never outlives the app.

Generations are advanced in turn, one token at a time (from the last token to the choice without a break), in the thread
that owns the engine; a second thread receives commands, so that a cancellation takes effect before the next token.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import sys
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from map_core.core.child_process import ParentPipe
from map_core.core.types import Reply, SamplingSettings
from map_core.engines.draw_request import DrawRequest
from map_core.errors import EngineError, InputError, MissingModelError, PaletteError, TryAgainError
from map_core.generation.events import Event, Finished, Scored
from map_core.generation.given_replies import score_given
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import ReadReplies, RewardCache, ScoringCosts
from map_core.generation.sampler import generation_events
from map_core.generation.weights import CurrentWeights
from map_core.models.tuned import tuned_version
from map_core.scoring.specification import BUILT_IN, Specification
from map_core.service.messages import (
    Cancel,
    ChangeWeights,
    Command,
    FailureKind,
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

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.scoring import Scorer, ScoringModels

#: Most scorers in the cache, those of custom values included; each version of a custom value is another one.
_SCORERS_KEPT = 64


class ModelWorker:
    """A server of generations with one engine.

    Args:
        model: as for :func:`map_core.engines.factory.open_engine`.
        engine: as for :func:`map_core.engines.factory.open_engine`.
        dtype: as for :func:`map_core.engines.factory.open_engine`.
        pipe: the connection to the parent.
        request_extra: further fields of every request to a server.
        tuned: a tuned model that candidates are drawn from, see :mod:`map_core.generation.proposal`.
        version: which of the tuned models that have had this name, see :func:`map_core.models.tuned.tuned_version`.
    """

    def __init__(
        self,
        model: str,
        engine: str,
        dtype: str | None,
        pipe: ParentPipe,
        request_extra: Mapping[str, Any] | None = None,
        tuned: str | None = None,
        version: str = "",
    ) -> None:
        self._tuned, self._tuned_version = tuned, version
        self._proposal: Engine | None = None
        self._model, self._engine_name, self._dtype = model, engine, dtype
        self._request_extra = request_extra
        self._pipe = pipe
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._running: dict[str, Generator[Event, None, None]] = {}
        self._engine: Engine | None = None
        self._to_warm_up: list[Specification | None] = []
        self._example: list[Reply] = []
        self._scoring_models: ScoringModels | None = None
        self._scorers: OrderedDict[str, Scorer] = OrderedDict()
        self._costs, self._cache = ScoringCosts(), RewardCache()
        self._weights: dict[str, CurrentWeights] = {}
        self._scorings: deque[tuple[str, Iterator[RepliesScored | None]]] = deque()

    def listen(self) -> None:
        """Receive commands until the parent ends."""
        while True:
            message = self._pipe.receive()
            if message["type"] == Cancel.__name__:
                self._cancelled.add(message["id"])
            else:
                self._commands.put(message)

    def serve(self) -> None:
        """Carry out commands, advance every generation by one event and score one chat's given replies, in a loop."""
        while True:
            while not (self._running or self._scorings) or not self._commands.empty():
                if self._to_warm_up and not self._running and self._commands.empty():
                    self._warm_up(self._load(), self._to_warm_up.pop(0))
                else:
                    self._forget_late_cancels()
                    self._carry_out(self._commands.get())
            for generation_id in list(self._running):
                self._advance(generation_id)
            if self._scorings:
                self._score_next()

    def _forget_late_cancels(self) -> None:
        """Forget cancels that came after the end of what they cancel, once nothing runs or waits."""
        cancelled = set(self._cancelled)  # before the look at the queue: later ones may be for a command that comes now
        if not self._running and not self._scorings and self._commands.empty():
            self._cancelled -= cancelled

    def _carry_out(self, message: dict[str, Any]) -> None:
        try:
            command = from_json(Command, message)
        except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
            self._fail(message, self._failure(error, "The request could not be read"))
            return
        if isinstance(command, ChangeWeights):
            weights = self._weights.get(command.id)
            if weights is not None:
                weights.change(command.weights)
            return
        try:
            engine = self._load()
        except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
            failure = self._failure(error, "The model could not be loaded")
            if failure.kind is FailureKind.REQUEST:  # the operator's choice of model, not the request's
                failure = replace(failure, kind=FailureKind.UPSTREAM if self._remote else FailureKind.INTERNAL)
            self._send(WorkerStatus("failed", failure.error, failure.command, {}))
            if not isinstance(command, LoadModel):
                self._fail(message, failure)
            return
        if isinstance(command, LoadModel):
            own = {specification.name: specification for specification in command.own}
            targets = (None, *(own.get(name, Specification(name)) for name in command.values))
            self._to_warm_up += [target for target in targets if target not in self._to_warm_up]
        elif isinstance(command, ScoreReplies):
            self._scorings.append((command.id, self._score(engine, command)))
        else:
            try:
                self._running[command.id] = self._start(engine, command.id, command.request)
            except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
                self._fail(message, self._failure(error, "The generation failed"))

    def _start(self, engine: Engine, generation_id: str, request: GenerationRequest) -> Generator[Event, None, None]:
        scorers = self._scorers_of(request.scored, request.own)
        weights = self._weights[generation_id] = CurrentWeights(request.weights)
        return generation_events(
            engine,
            scorers,
            request,
            costs=self._costs,
            cache=self._cache,
            weights=weights,
            proposal=self._proposal,
        )

    def _score(self, engine: Engine, command: ScoreReplies) -> Iterator[RepliesScored | None]:
        """Score the replies to one chat after the other; yield None after each, and all rewards at the end."""
        scorers = self._scorers_of(command.values, command.own)
        rewards, read = [], ReadReplies()
        for given in command.given:
            rewards.append(score_given(engine, scorers, given, costs=self._costs, cache=self._cache, read=read))
            yield None
        yield RepliesScored(command.id, tuple(rewards), read.notes)

    def _score_next(self) -> None:
        """Advance the next scoring call by one chat."""
        call, steps = self._scorings.popleft()
        if call in self._cancelled:
            self._cancelled.discard(call)
            return
        try:
            answer = next(steps)
        except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
            self._send(ScoringFailed(call, self._failure(error, "The replies could not be scored")))
            return
        if answer is None:
            self._scorings.append((call, steps))
        else:
            self._send(answer)

    def _scorers_of(self, names: Sequence[str], own: Sequence[Specification]) -> dict[str, Scorer]:
        """Return scorers by name, from the cache where the specification is unchanged."""
        from map_core import scoring

        if self._scoring_models is None:
            self._scoring_models = scoring.ScoringModels()
        custom = {value.name: value for value in own if value.family != BUILT_IN}
        scorers = {}
        for name in names:
            key = json.dumps(custom[name].as_dict() if name in custom else name, sort_keys=True)
            if key not in self._scorers:
                specifications = [custom[name]] if name in custom else []
                (self._scorers[key],) = scoring.resolve([name], specifications, self._scoring_models)
                if len(self._scorers) > _SCORERS_KEPT:
                    self._scorers.popitem(last=False)
            self._scorers.move_to_end(key)
            scorers[name] = self._scorers[key]
        return scorers

    def _warm_up(self, engine: Engine, value: Specification | None) -> None:
        """Run the engine (None) or a scorer once while idle; a failure is only logged, and reported at the next use."""
        try:
            if value is None:
                self._example = engine.complete(DrawRequest("Hello.", 2, SamplingSettings(max_new_tokens=4)))
            else:
                self._scorers_of([value.name], [value])[value.name].score("Hello.", self._example)
        except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
            print(f"Warming up {value.name if value else 'the engine'} failed: {error}", file=sys.stderr)

    def _advance(self, generation_id: str) -> None:
        """Send the next event of a generation; after its last token all remaining events."""
        events = self._running[generation_id]
        if generation_id in self._cancelled:
            events.close()
            self._end(generation_id, GenerationCancelled())
            return
        while True:
            try:
                event = next(events)
            except Exception as error:  # noqa: BLE001 (the process outlives a request that fails, and says why)
                self._end(generation_id, self._failure(error, "The generation failed"))
                return
            if isinstance(event, Finished):
                events.close()
                self._end(generation_id, event)
                return
            self._send(GenerationMessage(generation_id, event))
            if not isinstance(event, Scored) or event.provisional:
                return
            # After its last token a generation is completed at once: others would draw tokens between its scores.

    def _end(self, generation_id: str, event: Finished | GenerationCancelled | GenerationFailed) -> None:
        del self._running[generation_id]
        self._weights.pop(generation_id, None)
        self._cancelled.discard(generation_id)
        self._send(GenerationMessage(generation_id, event))

    def _load(self) -> Engine:
        if self._engine is None:
            from map_core.engines.factory import open_engine

            self._send(WorkerStatus("loading", "The model is being loaded.", None, {}))
            began = time.perf_counter()
            engine = open_engine(self._model, self._engine_name, self._dtype, request_extra=self._request_extra)
            if self._tuned is not None:
                self._proposal = self._open_tuned(self._tuned)
            # Set only after both are open, or the next request would be answered without the tuned model.
            self._engine = engine
            seconds = time.perf_counter() - began
            info = self._engine.info.as_dict()
            note = f"{info['model']} on {info['device']} ({info['name']}, {info['dtype']}), loaded in {seconds:.1f} s."
            self._send(WorkerStatus("ready", note, None, info))
        return self._engine

    def _open_tuned(self, name: str) -> Engine:
        """Open the tuned model; raise an error if it is not the one that requests were made for."""
        from map_core.engines.factory import open_engine

        proposal = None
        if tuned_version(name) == self._tuned_version:
            proposal = open_engine(name, self._engine_name, self._dtype)
        # It may also have been replaced while it was read.
        if proposal is None or tuned_version(name) != self._tuned_version:
            raise InputError(
                f"The tuned model {name} was deleted or replaced after this request was made. Choose the model again; "
                "a server has to be started again."
            )
        return proposal

    def _send(self, message: WorkerStatus | GenerationMessage | RepliesScored | ScoringFailed) -> None:
        self._pipe.send(to_json(message))

    def _fail(self, message: Mapping[str, Any], failure: GenerationFailed) -> None:
        """Report that a command could not be carried out."""
        name = str(message.get("id"))
        scoring = message.get("type") == ScoreReplies.__name__
        self._send(ScoringFailed(name, failure) if scoring else GenerationMessage(name, failure))

    @property
    def _remote(self) -> bool:
        """Whether the base model is on another server."""
        return bool(re.search("@https?://", self._model))

    def _failure(self, error: Exception, event: str) -> GenerationFailed:
        """Convert an error to a message for people; the traceback of an unexpected one goes to the log.

        Args:
            error: the error.
            event: what failed, the beginning of the message of an unexpected error.
        """
        if not isinstance(error, PaletteError):
            traceback.print_exception(error)
            return GenerationFailed(f"{event} ({type(error).__name__}: {error}). Try again.", None)
        kind = FailureKind.INTERNAL
        if isinstance(error, TryAgainError | MissingModelError):
            kind = FailureKind.UNAVAILABLE
        elif isinstance(error, InputError):
            kind = FailureKind.REQUEST
        elif isinstance(error, EngineError) and self._remote:
            kind = FailureKind.UPSTREAM
        return GenerationFailed(str(error), getattr(error, "command", None), kind)


def main() -> None:
    """Carry out the parent's commands until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--tuned", default=None)
    parser.add_argument("--tuned-version", default="")
    parser.add_argument("--request-extra", default="{}", type=json.loads)
    options = parser.parse_args()

    pipe = ParentPipe()
    worker = ModelWorker(
        options.model,
        options.engine,
        options.dtype,
        pipe,
        options.request_extra,
        options.tuned,
        options.tuned_version,
    )
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    main()
