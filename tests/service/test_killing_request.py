"""Test of a request that crashes the model process: it fails alone, and the next process answers the others."""

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
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


KILLER_PROMPT = "Kill the model process"


def test_a_request_that_kills_the_model_process_fails_alone(model_folder: Path) -> None:
    with GenerationService(str(model_folder), "openvino", "float32") as service:
        service.submit(GenerationRequest("Hi", candidates=1)).wait(60)
        other_generations = [
            service.submit(GenerationRequest("Hello", candidates=4, seed=seed), viewer=f"v{seed}") for seed in range(4)
        ]
        killer = service.submit(GenerationRequest(KILLER_PROMPT, candidates=8), viewer="killer")
        kills = 0
        deadline = time.monotonic() + 120
        while not killer.ended and time.monotonic() < deadline:
            # Kill the process whenever this request is running, as a prompt that crashes the engine would.
            with service._lock:
                process, is_running = service._worker, service._running.get(killer.id) is not None
            if is_running and process is not None and process.alive and kills < killer.attempts:
                kills += 1
                assert process.pid > 0, "a signal to -1 goes to every process of the machine"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        assert (kills, killer.attempts) == (2, 2)
        assert killer.snapshot().error is not None
        assert "for the second time" in str(killer.snapshot().error)
        assert all(generation.wait(60) and generation.snapshot().picked is not None for generation in other_generations)
        assert service.submit(GenerationRequest("Hi", candidates=1)).wait(60)
