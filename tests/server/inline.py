"""A server within the tests' process: the model's worker runs in threads, requests go through Starlette's client."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from map_core.analysis.generation_weights import GenerationWeightsSolver
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.palettes.targets import resolve
from map_core.server.access import Access
from map_core.server.app import create_app
from map_core.server.errors import RequestLimits
from map_core.server.promises import PromiseWatch
from map_core.server.prompt_tokens import PromptTokens
from map_core.server.request_parser import RequestParser
from map_core.server.steering import Steering
from map_core.service.service import GenerationService
from map_core.service.worker import ModelWorker

PALETTES: Mapping[str, Mapping[str, str | float]] = {
    "plain": {"plain_language": "p60", "diversity": "p55"},
    "far": {"familiarity": 9.0, "diversity": "p50"},
    "words": {"familiarity": "p60", "diversity": "p55"},
}


class InlineWorker:
    """Replacement for the client of a model process: the same worker, in threads of this process."""

    #: No process has this id. Never -1: a signal to -1 goes to every process of the machine.
    pid = 2**31 - 1

    def __init__(
        self,
        arguments: Sequence[str],
        on_message: Callable[[Any, dict[str, Any]], None],
        on_end: Callable[[Any, str], None],
    ) -> None:
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        self.alive = True
        self._on_message, self._on_end = on_message, on_end
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        worker = ModelWorker(options["--model"], options["--engine"], options.get("--dtype"), _Pipe(self))  # type: ignore[arg-type]
        for task in (worker.listen, worker.serve):
            threading.Thread(target=task, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> bool:
        """Pass a message to the worker; return False when it has ended."""
        if self.alive:
            self._commands.put(dict(message))
        return self.alive

    def close(self) -> None:
        """Accept no further messages; the daemon threads end with the tests."""
        self.alive = False

    def die(self, reason: str) -> None:
        """End as a killed process does."""
        self.alive = False
        self._on_end(self, reason)

    def receive(self) -> dict[str, Any]:
        """Wait for the next message to the worker."""
        return self._commands.get()

    def forward(self, message: Mapping[str, Any]) -> None:
        """Pass a message of the worker to the service."""
        if self.alive:
            self._on_message(self, dict(message))


class _Pipe:
    """The worker's end of the pipe."""

    def __init__(self, worker: InlineWorker) -> None:
        self.receive, self.send = worker.receive, worker.forward


def make_parser(
    folder: Path | None,
    limits: RequestLimits | None = None,
    foreign: str | None = None,
    default_length: int | None = None,
) -> RequestParser:
    """Return a parser of requests for the embedded table and a model's folder; None for a model on a server."""
    table = table_format.load(table_format.DEFAULT_TABLE)
    solver = GenerationWeightsSolver(table)
    levels = {name: resolve(dict(targets), table, solver.oracle) for name, targets in PALETTES.items()}
    return RequestParser(
        Steering("tiny", solver, levels, foreign=foreign),
        SamplingSettings.from_metadata(table.metadata),
        None,
        PromptTokens(folder),
        limits or RequestLimits(),
        4,
        default_length,
    )


@contextlib.contextmanager
def in_process_server(
    model: str,
    parser: RequestParser,
    engine: str = "torch",
    access: Access | None = None,
    origins: Sequence[str] = (),
    loaded: bool = True,
    promises: PromiseWatch | None = None,
) -> Iterator[tuple[TestClient, GenerationService]]:
    """Run a server in this process; yield its HTTP client and its service.

    Args:
        model, engine: as the command line takes them.
        parser: see :func:`make_parser`.
        access, origins, promises: see :func:`map_core.server.app.create_app`.
        loaded: wait for the model: transformers loads one at a time within a process, and tests load some of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("map_core.service.service.WorkerClient", InlineWorker)
        limits, dtype = parser.limits, None if engine == "remote" else "float32"
        service = GenerationService(
            model, engine, dtype, limits.at_once, most_waiting=limits.waiting, most_of_viewer=limits.waiting
        )
        app = create_app(parser, service, access=access, origins=origins, promises=promises)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            deadline = time.monotonic() + 60
            while loaded and service.status().state == "loading" and time.monotonic() < deadline:
                time.sleep(0.01)
            yield client, service
