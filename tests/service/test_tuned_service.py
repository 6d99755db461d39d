"""Services of tuned models: one at a time, beside that of the base model."""

from __future__ import annotations

from typing import Any

import pytest

from map_core.engines import factory
from map_core.errors import InputError, MissingModelError
from map_core.generation.request import GenerationRequest
from map_core.service import shared
from map_core.service.generation import Generation
from map_core.service.shared import shared_generation, shared_service
from map_core.service.worker import ModelWorker
from tests.toy_engine import ToyEngine


@pytest.fixture(autouse=True)
def _own_services(monkeypatch):
    monkeypatch.setattr(shared, "_shared", {})


def test_another_tuned_model_ends_the_one_that_has_nothing_to_do():
    base, kind = shared_service("tiny"), shared_service("tiny", tuned="Kind")
    assert shared_service("tiny", tuned="Kind") is kind
    assert kind is not base
    shared_service("tiny", tuned="Funny")
    assert [key[3] for key in shared._shared] == ["", "Funny"]
    assert shared_service("tiny") is base


def test_a_tuned_model_that_writes_stays(monkeypatch):
    kind = shared_service("tiny", tuned="Kind")
    kind._running.add(Generation(GenerationRequest("Hi"), lambda id: None))
    shared_service("tiny", tuned="Funny")
    assert shared_service("tiny", tuned="Kind") is kind


def test_a_generation_is_found_whichever_model_writes_it():
    kind = shared_service("tiny", tuned="Kind")
    generation = Generation(GenerationRequest("Hi"), lambda id: None)
    kind._generations[generation.id] = generation
    assert shared_generation("tiny", generation.id) is generation
    with pytest.raises(InputError, match="no generation"):
        shared_generation("other", generation.id)


def test_a_tuned_model_that_cannot_be_opened_is_never_left_out_in_silence(monkeypatch):
    class Pipe:
        def send(self, message: dict[str, Any]) -> None:
            pass

    def opened(model: str, *given: Any, **options: Any) -> ToyEngine:
        if model == "Kind":
            raise MissingModelError("The model Kind is not on this machine.", "get it")
        return ToyEngine()

    monkeypatch.setattr(factory, "open_engine", opened)
    worker = ModelWorker("tiny", "torch", None, Pipe(), tuned="Kind")  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(MissingModelError, match="Kind"):
            worker._load()
