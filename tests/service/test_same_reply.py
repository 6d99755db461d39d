"""One request, one reply: the first time after a start, later, and after the model process was killed.

REPEATED=100 repeats it with a hundred requests. The promise is for float32: in bfloat16 sums depend on what is computed
beside a request.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from tests.tiny_model import make_tiny_model

REQUESTS = int(os.environ.get("REPEATED", "8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def replies_of(service: GenerationService) -> list[list[str]]:
    """The candidates of each request, asked for one after the other."""
    texts = []
    for seed in range(REQUESTS):
        asked = service.submit(GenerationRequest(f"Question {seed}: how are you?", candidates=4, seed=seed))
        assert asked.wait(120)
        texts.append([candidate.text for candidate in asked.snapshot().candidates])
    return texts


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_same_first_tenth_and_after_a_kill(folder: Path, engine: str) -> None:
    with GenerationService(str(folder), engine, "float32") as service:
        first = replies_of(service)
        for _ in range(8):
            again = replies_of(service)
        assert replies_of(service) == again == first, "the tenth time"
        process = service.status().pid
        assert process is not None
        os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while service.status().pid == process and time.monotonic() < deadline:
            time.sleep(0.01)
        assert replies_of(service) == first, "after a kill"
        assert service.status().starts == 2
