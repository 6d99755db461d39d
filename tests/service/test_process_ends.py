"""Tests of the lifetime of the model process, which ends with its service, and of invalid messages from it."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from map_core.core.types import Reply
from map_core.engines.tokens import Token
from map_core.errors import EngineError, InputError
from map_core.generation.choice import choose
from map_core.generation.events import Begun, Finished, Resampled, Scored, Tokens
from map_core.service.generation import Generation
from map_core.service.messages import Cancel, GenerationCancelled, GenerationMessage, LoadModel, to_json
from map_core.service.service import GenerationService
from map_core.service.shared import shared_service
from map_core.service.snapshot import Phase
from map_core.service.worker_client import WorkerClient
from tests import ROOT
from tests.service.service_requests import request
from tests.waiting import until


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_close_cancels_everything_and_start_restarts(model_folder: str) -> None:
    service = GenerationService(model_folder, "openvino", "float32", at_once=1, most_waiting=1)
    assert service.status().state == "stopped"
    running, waiting = service.submit(request(0)), service.submit(request(1))
    with pytest.raises(EngineError, match="1 requests are waiting already"):
        service.submit(request(2))
    pid = service.status().pid
    service.close()
    assert {running.wait(1).phase, waiting.wait(1).phase} == {Phase.CANCELLED}
    assert pid is not None
    assert has_ended(pid)
    assert service.status().state == "stopped"
    service.start()
    assert (service.status().state, service.status().starts) == ("loading", 2)
    service.close()


def test_process_ends_when_the_service_is_garbage_collected(model_folder: str) -> None:
    service = GenerationService(model_folder, "openvino", "float32")
    service.start()
    pid = service.status().pid
    assert pid is not None
    del service
    gc.collect()
    until(lambda: has_ended(pid))


def test_missing_model_error_names_the_download_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALUE_PALETTE_CACHE", str(tmp_path))
    with GenerationService() as service:
        snapshot = service.submit(request()).wait(60)
        status = service.status()
    assert snapshot.phase is Phase.FAILED
    assert "smollm2-135m-instruct" in str(snapshot.error)
    assert snapshot.command == "python -m map_core models get smollm2-135m-instruct"
    assert (status.state, status.command) == ("failed", snapshot.command)


def test_app_imports_no_heavy_packages_and_its_end_ends_the_model_process(model_folder: str) -> None:
    program = (
        "import os, sys\n"
        "from map_core.generation.request import GenerationRequest\n"
        "from map_core.service.service import GenerationService\n"
        f"service = GenerationService({model_folder!r}, 'openvino', 'float32')\n"
        "done = service.submit(GenerationRequest('Hi', {'plain_language': 1.0}, candidates=2)).wait(60)\n"
        "heavy = {'torch', 'transformers', 'openvino_genai', 'tokenizers', 'streamlit'} & set(sys.modules)\n"
        "print(done.phase, sorted(heavy), service.status().pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    phase, heavy, pid = result.stdout.split()
    assert (phase, heavy) == ("done", "[]")
    until(lambda: has_ended(int(pid)), 5.0)


def test_other_output_on_stdout_is_ignored() -> None:
    messages: list[object] = []
    reasons: list[str] = []
    client = WorkerClient(
        ["--help"], lambda _, message: messages.append(message), lambda _, reason: reasons.append(reason)
    )
    until(lambda: bool(reasons))  # --help prints a text and exits
    assert messages == []
    assert reasons == ["The model process stopped (exit code 0)."]
    assert not client.alive
    assert not client.send(to_json(LoadModel((), ())))
    client.close()


def test_late_messages_change_nothing() -> None:
    generation = Generation(request(), lambda name: None)
    generation.end(Phase.CANCELLED)
    before = generation.snapshot()
    generation.apply(Tokens(1, (Token(0, 1, "late", -1.0, last=False, finished=False),)))
    generation.note("late")
    assert generation.snapshot() == before


class FakeWorker:
    """A fake worker that does nothing by itself; the test sends its messages."""

    alive, pid = True, 1

    def __init__(self, arguments: object, on_message: Callable[..., None], on_exit: object) -> None:
        self.sent: list[dict[str, Any]] = []
        self._on_message = on_message

    def send(self, message: dict[str, Any]) -> bool:
        self.sent.append(message)
        return True

    def close(self) -> None:
        pass

    def send_event(self, generation: Generation, event: Any) -> None:
        self.send_raw(to_json(GenerationMessage(generation.id, event)))

    def send_raw(self, message: dict[str, Any]) -> None:
        self._on_message(self, message)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "Tokens", "step": 1, "tokens": [{"type": "Token", "candidate": 0}]},
        {"type": "Surprise"},
        None,
        to_json(Tokens(1, (Token(99, 1, "of no candidate", -1.0, last=False, finished=False),))),
        to_json(Scored("diversity", (0.0,) * 99, provisional=True)),
        to_json(Resampled(1, (99,) * 4)),
        to_json(Finished((), {}, (0.0,), choose([[0.0]], [0.0], 0), 0, 0.0, 0.0, 0.0)),
    ],
    ids=["fields", "type", "none", "candidate", "rewards", "ancestors", "finished"],
)
def test_invalid_event_fails_its_generation_alone(event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("map_core.service.service.WorkerClient", FakeWorker)
    service = GenerationService(at_once=2)
    broken, neighbour, waiting = (service.submit(request(seed)) for seed in range(3))
    worker: Any = service._worker
    worker.send_event(broken, Begun(broken.request.base))
    worker.send_event(neighbour, Begun(neighbour.request.base))
    worker.send_raw({"type": "GenerationMessage", "id": broken.id, "event": event})
    failed = broken.wait(5)
    assert failed.phase is Phase.FAILED
    assert "The model process sent what cannot be read" in str(failed.error)
    assert to_json(Cancel(broken.id)) in worker.sent
    # The next request starts at once, later messages of the broken one have no effect, and the other one finishes.
    worker.send_event(waiting, Begun(waiting.request.base))
    assert waiting.snapshot().phase is Phase.SAMPLING
    worker.send_event(broken, Begun(broken.request.base))
    worker.send_event(broken, GenerationCancelled())
    assert broken.snapshot() == failed
    replies = tuple(Reply(f"reply {k}") for k in range(4))
    rewards = dict.fromkeys(neighbour.request.scored, (0.0, 1.0, 2.0, 3.0))
    choice = choose([[0.0]] * 4, [0.0], 0)
    worker.send_event(neighbour, Finished(replies, rewards, (0.0,) * 4, choice, 8, 1.0, 0.0, 0.1))
    assert neighbour.wait(5).phase is Phase.DONE
    assert service.status().running == 1
    service.close()


def test_unknown_generation_is_an_error() -> None:
    assert shared_service() is shared_service()
    with pytest.raises(InputError, match="no generation"):
        shared_service().generation("gone")
