"""A request that kills the model process fails alone: the others are answered by the next process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


KILLER = "Kill the model process"


def test_a_request_that_kills_the_model_process_fails_alone(folder: Path) -> None:
    with GenerationService(str(folder), "openvino", "float32") as service:
        service.submit(GenerationRequest("Hi", candidates=1)).wait(60)
        others = [service.submit(GenerationRequest("Hello", candidates=4, seed=n), viewer=f"v{n}") for n in range(4)]
        killer = service.submit(GenerationRequest(KILLER, candidates=8), viewer="killer")
        kills = 0
        deadline = time.monotonic() + 120
        while not killer.ended and time.monotonic() < deadline:
            # It kills the process whenever it is being written, as a prompt that trips the engine does.
            with service._lock:
                process, writes = service._worker, service._running.get(killer.id) is not None
            if writes and process is not None and process.alive and kills < killer.attempts:
                kills += 1
                assert process.pid > 0, "a signal to -1 goes to every process of the machine"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        assert (kills, killer.attempts) == (2, 2)
        assert killer.snapshot().error is not None
        assert "for the second time" in str(killer.snapshot().error)
        assert all(other.wait(60) and other.snapshot().picked is not None for other in others)
        assert service.submit(GenerationRequest("Hi", candidates=1)).wait(60)
