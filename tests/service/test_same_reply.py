"""Tests that a request always has the same reply: after a start, later, and after the model process was killed.

REPEATED=100 runs them with a hundred requests. The guarantee covers float32, whatever runs concurrently, and bfloat16
for sequential requests only: its sums in OpenVINO depend on concurrent requests (17 of 24 requests to the tiny model
had different replies among others than alone).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from map_core.core.types import SamplingSettings
from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from tests.tiny_model import make_tiny_model

REQUESTS = int(os.environ.get("REPEATED", "4"))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def replies_of(service: GenerationService, at_once: bool = False, short: bool = False) -> list[list[str]]:
    """Return the candidates of each request; requests are submitted one after the other, or all at once."""
    generations = []
    settings = SamplingSettings(max_new_tokens=16) if short else SamplingSettings()
    for seed in range(REQUESTS):
        request = GenerationRequest(f"Question {seed}: how are you?", candidates=4, settings=settings, seed=seed)
        # Each request has its own viewer, because the queue limits the requests of one viewer.
        generations.append(service.submit(request, viewer=f"viewer {seed}"))
        assert at_once or generations[-1].wait(120)
    assert all(generation.wait(120) for generation in generations)
    return [[candidate.text for candidate in generation.snapshot().candidates] for generation in generations]


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_same_replies_at_first_later_and_after_a_kill(model_folder: Path, engine: str) -> None:
    with GenerationService(str(model_folder), engine, "float32") as service:
        first = replies_of(service)
        for _ in range(7):  # other requests in between, whose replies are not compared
            replies_of(service, short=True)
        ninth = replies_of(service)
        assert replies_of(service) == ninth == first, "the tenth time"
        pid = service.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while service.status().pid == pid and time.monotonic() < deadline:
            time.sleep(0.01)
        assert replies_of(service) == first, "after a kill"
        assert service.status().starts == 2


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_float32_replies_do_not_depend_on_concurrent_requests(model_folder: Path, engine: str) -> None:
    with GenerationService(str(model_folder), engine, "float32") as service:
        first = replies_of(service, at_once=True, short=True)
        assert replies_of(service, short=True) == first


def test_bfloat16_replies_of_sequential_requests_survive_a_restart(model_folder: Path) -> None:
    with GenerationService(str(model_folder), "openvino", "bfloat16") as service:
        first = replies_of(service, short=True)
        assert replies_of(service, short=True) == first
    with GenerationService(str(model_folder), "openvino", "bfloat16") as service:
        assert replies_of(service, short=True) == first
