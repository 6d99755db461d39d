"""The model process: owns the engine and the scorers, and serves what its parent sends.

Run by :class:`map_core.service.worker_client.ModelLink`, never by hand. Commands come in on standard input and messages
go out on what was standard output, a JSON object a line; whatever a library prints goes to standard error instead.
Constraint: it leaves when standard input ends, so that it never outlives the app.

Generations are advanced a token at a time in turn (from the last token to the choice in one go), in the thread that
owns the engine; a second thread only listens, so that a cancel is seen before the next token is drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import IO, TYPE_CHECKING, Any

from map_core.core.parent_watch import leave_with
from map_core.core.types import Reply, SamplingSettings
from map_core.engines.draw_request import DrawRequest
from map_core.errors import PaletteError
from map_core.generation.events import Begun, Event, Finished, More, Resampled, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import RewardCache, ScoringCosts
from map_core.generation.sampler import aligned
from map_core.generation.steering import Steering
from map_core.scoring.specification import BUILT_IN, Specification
from map_core.service.generation import request_from

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.scoring import Scorer, ScoringModels

#: Whoever moves a fader while a reply is written must not wait for it, and a table that is being built (which gives way
#: further) must not hold it up. Where nothing else wants the cores it costs nothing.
NICENESS = 10
#: Scorers that are kept, values of one's own included; each new wording of one is another.
_SCORERS_KEPT = 64


class ModelProcess:
    """Serves generations with one engine.

    Args:
        model, engine, dtype: as :func:`map_core.engines.factory.open_engine` takes them.
        output: where messages go.
    """

    def __init__(self, model: str, engine: str, dtype: str | None, output: IO[bytes]) -> None:
        self._model, self._engine_name, self._dtype = model, engine, dtype
        self._output = output
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._running: dict[str, Generator[Event, None, None]] = {}
        self._engine: Engine | None = None
        self._cold: list[Specification | None] = []
        self._example: list[Reply] = []
        self._scoring_models: ScoringModels | None = None
        self._scorers: OrderedDict[str, Scorer] = OrderedDict()
        self._costs, self._cache = ScoringCosts(), RewardCache()
        self._steering: dict[str, Steering] = {}

    def listen(self, commands: IO[bytes]) -> None:
        """Take in commands until the parent is gone, then leave at once."""
        for line in commands:
            command = json.loads(line)
            if command["do"] == "cancel":
                self._cancelled.add(command["id"])
            else:
                self._commands.put(command)
        os._exit(0)

    def serve(self) -> None:
        """Advance every running generation by one event in turn, for ever."""
        while True:
            while not self._running or not self._commands.empty():
                if self._cold and not self._running and self._commands.empty():
                    self._warm(self._load(), self._cold.pop(0))
                else:
                    self._take(self._commands.get())
            for name in list(self._running):
                self._advance(name)

    def _take(self, command: dict[str, Any]) -> None:
        if command["do"] == "weights":
            if steering := self._steering.get(command["id"]):
                steering.change(command["weights"])
            return
        try:
            engine = self._load()
        except Exception as error:
            problem = _problem(error, "The model could not be loaded")
            self._send(event="status", state="failed", note=problem["error"], command=problem["command"])
            if command["do"] == "generate":
                self._send(id=command["id"], event="failed", **problem)
            return
        if command["do"] == "load":
            own = {one["name"]: Specification(**one) for one in command["own"]}
            wanted = (None, *(own.get(name, Specification(name)) for name in command["values"]))
            self._cold += [one for one in wanted if one not in self._cold]
        else:
            try:
                self._running[command["id"]] = self._begin(engine, command["id"], request_from(command["request"]))
            except Exception as error:
                self._send(id=command["id"], event="failed", **_problem(error, "The generation failed"))

    def _begin(self, engine: Engine, name: str, request: GenerationRequest) -> Generator[Event, None, None]:
        scorers = self._gather(request.scored, request.own)
        steering = self._steering[name] = Steering(request.weights)
        return aligned(engine, scorers, request, costs=self._costs, cache=self._cache, steering=steering)

    def _gather(self, names: Sequence[str], own: Sequence[Specification]) -> dict[str, Scorer]:
        """Scorers by name; a value of one's own is made once for as long as it is defined alike."""
        from map_core import scoring

        if self._scoring_models is None:
            self._scoring_models = scoring.ScoringModels()
        known = {one.name: one for one in own if one.family != BUILT_IN}
        found = {}
        for name in names:
            key = json.dumps(known[name].as_dict() if name in known else name, sort_keys=True)
            if key not in self._scorers:
                of_it = [known[name]] if name in known else []
                (self._scorers[key],) = scoring.resolve([name], of_it, self._scoring_models)
                if len(self._scorers) > _SCORERS_KEPT:
                    self._scorers.popitem(last=False)
            self._scorers.move_to_end(key)
            found[name] = self._scorers[key]
        return found

    def _warm(self, engine: Engine, value: Specification | None) -> None:
        """Let the engine (None) or a scorer work once while nobody waits; a fault is told when it is asked for."""
        try:
            if value is None:
                self._example = engine.complete(DrawRequest("Hello.", 2, SamplingSettings(max_new_tokens=4)))
            else:
                self._gather([value.name], [value])[value.name].score("Hello.", self._example)
        except Exception as error:
            print(f"Warming up {value.name if value else 'the engine'} failed: {error}", file=sys.stderr)

    def _advance(self, name: str) -> None:
        events = self._running[name]
        if name in self._cancelled:
            events.close()
            self._end(name, event="cancelled")
            return
        while True:
            try:
                event = next(events)
            except Exception as error:
                self._end(name, event="failed", **_problem(error, "The generation failed"))
                return
            message = event_message(event)
            if isinstance(event, Finished):
                events.close()
                self._end(name, **message)
                return
            self._send(id=name, **message)
            if not isinstance(event, Scored) or event.provisional:
                return
            # Once its last token is drawn it comes to its choice in one go; others would draw between its scores.

    def _end(self, name: str, **message: Any) -> None:
        del self._running[name]
        self._steering.pop(name, None)
        self._cancelled.discard(name)
        self._send(id=name, **message)

    def _load(self) -> Engine:
        if self._engine is None:
            from map_core.engines.factory import open_engine

            self._send(event="status", state="loading", note="The model is being loaded.")
            began = time.perf_counter()
            self._engine = open_engine(self._model, self._engine_name, self._dtype)
            seconds = time.perf_counter() - began
            info = self._engine.info.as_dict()
            note = f"{info['model']} on {info['device']} ({info['name']}, {info['dtype']}), loaded in {seconds:.1f} s."
            self._send(event="status", state="ready", note=note, engine=info)
        return self._engine

    def _send(self, **message: Any) -> None:
        try:
            self._output.write(json.dumps(message, allow_nan=False).encode() + b"\n")
            self._output.flush()
        except BrokenPipeError:  # the parent is gone
            os._exit(0)


def event_message(event: Event) -> dict[str, Any]:
    """An event of :func:`aligned` as plain JSON values; :meth:`Generation.apply` takes it in."""
    match event:
        case Begun():
            return {"event": "begun", "base": event.base}
        case Tokens():
            drawn = [[token.candidate, token.text, token.last, token.finished] for token in event.tokens]
            return {"event": "tokens", "step": event.step, "tokens": drawn}
        case Scored():
            rewards = _plain(event.rewards)
            return {"event": "scored", "value": event.value, "rewards": rewards, "provisional": event.provisional}
        case More():
            return {"event": "more", "candidates": event.candidates}
        case Resampled():
            return {"event": "resampled", "step": event.step, "ancestors": event.ancestors}
        case Finished():
            return {
                "event": "finished",
                "texts": [reply.text for reply in event.replies],
                "finished": [reply.finished for reply in event.replies],
                "rewards": {name: _plain(rewards) for name, rewards in event.rewards.items()},
                "log_offsets": _plain(event.log_offsets),
                "notes": event.notes,
                "facts": {
                    "tokens": event.tokens,
                    "sampling_seconds": event.sampling_seconds,
                    "provisional_seconds": event.provisional_seconds,
                    "scoring_seconds": event.scoring_seconds,
                },
            }


def _plain(numbers: Sequence[float]) -> list[float | None]:
    """Numbers as JSON has them: None for what is not finite."""
    return [number if math.isfinite(number) else None for number in numbers]


def _problem(error: Exception, what: str) -> dict[str, Any]:
    """What to tell the person; anything that is not ours also leaves its traceback in the log."""
    if isinstance(error, PaletteError):
        return {"error": str(error), "command": getattr(error, "command", None)}
    traceback.print_exception(error)
    return {"error": f"{what} ({type(error).__name__}: {error}). Try again.", "command": None}


def main() -> None:
    """Set the pipes apart and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--dtype", default=None)
    options = parser.parse_args()

    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of libraries, Python's and C++'s, go to the log
    commands = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    if hasattr(os, "nice"):
        os.nice(NICENESS)

    process = ModelProcess(options.model, options.engine, options.dtype, output)
    threading.Thread(target=process.listen, args=(commands,), daemon=True).start()
    if hasattr(os, "getppid") and sys.platform != "win32":
        leave_with(options.parent, code=0)  # something else may hold our standard input open
    process.serve()


if __name__ == "__main__":
    main()
