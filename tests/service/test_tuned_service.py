"""Tests of services of tuned models: one process at a time beside that of the base model, and no replies are lost."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from map_core.engines import factory
from map_core.errors import EngineError, InputError, MissingModelError
from map_core.generation.given_replies import GivenReplies
from map_core.generation.request import GenerationRequest
from map_core.models.tuned import RECORD, tuned_folder, tuned_version
from map_core.service import service, shared
from map_core.service.generation import Generation
from map_core.service.messages import GenerationCancelled, GenerationMessage, to_json
from map_core.service.process_slot import ProcessSlot
from map_core.service.shared import shared_generation, shared_service
from map_core.service.snapshot import Phase
from map_core.service.worker import ModelWorker
from tests.toy_engine import ToyEngine


class FakeWorker:
    """A fake worker in place of a model process."""

    def __init__(self, arguments: Sequence[str], on_message: Callable[..., None], on_end: Callable[..., None]) -> None:
        self.tuned = arguments[arguments.index("--tuned") + 1] if "--tuned" in arguments else ""
        self.version = arguments[arguments.index("--tuned-version") + 1] if self.tuned else ""
        self.pid, self.alive, self.sent = 1, True, list[dict[str, Any]]()
        self._on_message, self._on_end = on_message, on_end
        WORKERS.append(self)

    def send(self, message: dict[str, Any]) -> bool:
        self.sent.append(message)
        return self.alive

    def finish(self, generation: Generation) -> None:
        """Report the end of a generation, as the process would."""
        self._on_message(self, to_json(GenerationMessage(generation.id, GenerationCancelled())))

    def die(self) -> None:
        self.alive = False
        self._on_end(self, "The model process stopped.")

    def close(self, wait: bool = True) -> None:
        self.alive = False


WORKERS: list[FakeWorker] = []


def running_processes() -> list[str]:
    """Return the tuned models whose processes run, "" for the base model."""
    return [worker.tuned for worker in WORKERS if worker.alive]


def start_generation(tuned: str, viewer: str = "") -> Generation:
    """Submit a request to a model."""
    return shared_service("tiny", tuned=tuned).submit(GenerationRequest("Hi"), viewer=viewer)


def finished_generation(tuned: str) -> Generation:
    """Return a finished generation of a tuned model."""
    generation = start_generation(tuned)
    WORKERS[-1].finish(generation)
    assert generation.ended
    return generation


def is_running(generation: Generation) -> bool:
    """Return whether a running process has received a request."""
    return any(worker.alive and generation.id in map(itemgetter("id"), worker.sent) for worker in WORKERS)


def save_tuned(name: str, record: str = "{}") -> Path:
    """Save a finished tuned model of this name and return its folder."""
    folder = tuned_folder(name)
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(record, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _isolated_services(monkeypatch, tmp_path):
    monkeypatch.setenv("VALUE_PALETTE_TABLES", str(tmp_path))
    monkeypatch.setattr(shared, "_shared", {})
    monkeypatch.setattr(shared, "_tuned_slot", ProcessSlot())
    monkeypatch.setattr(service, "WorkerClient", FakeWorker)
    WORKERS.clear()


def test_idle_process_is_replaced_and_its_replies_are_kept():
    base, kind = shared_service("tiny"), shared_service("tiny", tuned="Kind")
    base.start()
    assert kind is not base
    replies = finished_generation("Kind")
    start_generation("Funny")
    assert running_processes() == ["", "Funny"]
    assert shared_generation("tiny", replies.id) is replies
    assert shared_service("tiny", tuned="Kind") is kind
    assert shared_service("tiny") is base


def test_starting_a_tuned_service_does_not_end_another_process():
    replies = finished_generation("Kind")
    funny = shared_service("tiny", tuned="Funny")
    funny.start()
    assert running_processes() == ["Kind"]
    assert funny.status().state == "stopped"
    assert shared_generation("tiny", replies.id) is replies
    shared_service("tiny", tuned="Kind").start()
    assert len(WORKERS) == 1
    WORKERS[0].die()
    funny.start()
    assert running_processes() == ["Funny"]


def test_busy_tuned_model_finishes_before_another_one_starts():
    first = start_generation("Kind")
    of_other_model, second = start_generation("Funny"), start_generation("Kind")
    assert running_processes() == ["Kind"]
    assert is_running(first)
    assert "Another tuned model is at work, and finishes first." in of_other_model.snapshot().note
    # The busy model gets no priority: a request after that of the other model waits for its turn.
    assert (second.snapshot().phase, is_running(second)) == (Phase.WAITING, False)
    WORKERS[0].finish(first)
    assert running_processes() == ["Funny"]
    assert is_running(of_other_model)
    assert not is_running(second)
    WORKERS[-1].finish(of_other_model)
    assert running_processes() == ["Kind"]
    assert is_running(second)


def test_scoring_does_not_end_a_busy_tuned_model():
    first = start_generation("Kind")
    funny = shared_service("tiny", tuned="Funny")
    replies = [GivenReplies("Hi", ("Hello.",))]
    with pytest.raises(EngineError, match="Another tuned model is at work"):
        funny.score(replies, ["humor"])
    WORKERS[0].finish(first)
    scoring = funny.score(replies, ["humor"])
    next_generation = start_generation("Kind")
    assert running_processes() == ["Funny"]
    scoring.cancel()
    assert running_processes() == ["Kind"]
    assert is_running(next_generation)


def test_cancelled_request_does_not_block_the_queue():
    first, cancelled, third = start_generation("Kind"), start_generation("Funny"), start_generation("Kind")
    cancelled.cancel()
    WORKERS[0].finish(first)
    assert running_processes() == ["Kind"]
    assert is_running(third)
    shared_service("tiny", tuned="Funny").close()
    assert is_running(third)


@pytest.mark.parametrize("ending", ["died twice", "closed"])
def test_next_in_queue_starts_after_a_process_is_lost(ending: str):
    first, waiting = start_generation("Kind"), start_generation("Funny")
    if ending == "closed":
        shared_service("tiny", tuned="Kind").close()
    else:
        WORKERS[-1].die()
        assert running_processes() == ["Kind"], "what was being written is written again"
        WORKERS[-1].die()
    assert first.ended
    assert running_processes() == ["Funny"]
    assert is_running(waiting)


def test_service_whose_process_was_replaced_still_accepts_requests():
    """Another model may acquire the slot between fetching the service and submitting the request."""
    kind = shared_service("tiny", tuned="Kind")
    kind.start()
    finished_generation("Funny")
    generation = kind.submit(GenerationRequest("Hi"))
    del kind
    gc.collect()
    assert running_processes() == ["Kind"]
    assert is_running(generation)
    assert shared_generation("tiny", generation.id) is generation


def test_reused_name_is_another_model():
    folder = save_tuned("Kind")
    old, replies = shared_service("tiny", tuned="Kind"), finished_generation("Kind")
    assert shared_service("tiny", tuned="Kind") is old
    shutil.rmtree(folder)
    save_tuned("Kind", '{"seed": 1}')
    new = shared_service("tiny", tuned="Kind")
    assert new is not old
    assert running_processes() == []
    generation = start_generation("Kind")
    assert len(WORKERS) == 2
    assert is_running(generation)
    assert shared_generation("tiny", replies.id) is replies


def test_process_of_a_deleted_model_ends_after_its_generation():
    folder = save_tuned("Kind")
    generation = start_generation("Kind")
    shutil.rmtree(folder)
    shared.close_deleted()
    assert is_running(generation)
    WORKERS[0].finish(generation)
    shared.close_deleted()
    assert running_processes() == []
    assert shared_generation("tiny", generation.id) is generation


def test_least_recently_used_services_are_dropped(monkeypatch):
    monkeypatch.setattr(shared, "_MOST_TUNED", 2)
    base, running = shared_service("tiny"), start_generation("Kind")
    for name in ("Funny", "Calm", "Brave"):
        shared_service("tiny", tuned=name)
    assert [key.tuned for key in shared._shared] == ["", "Kind", "Brave"]
    assert shared_service("tiny") is base
    assert is_running(running)


def test_generation_is_found_for_every_tuned_model():
    kind = shared_service("tiny", tuned="Kind")
    generation = Generation(GenerationRequest("Hi"), lambda generation_id: None)
    kind._generations[generation.id] = generation
    assert shared_generation("tiny", generation.id) is generation
    with pytest.raises(InputError, match="no generation"):
        shared_generation("other", generation.id)


class Pipe:
    """A stub of the connection to the app."""

    def send(self, message: dict[str, Any]) -> None:
        pass


def test_waiting_request_is_not_answered_by_a_new_model_of_the_same_name():
    """Its process starts when the other model has finished, and only then loads the model."""
    first_folder = save_tuned("Kind")
    first_version = tuned_version("Kind")
    running, waiting = start_generation("Funny"), start_generation("Kind")
    shutil.rmtree(first_folder)
    save_tuned("Kind", '{"seed": 1}')
    new = start_generation("Kind")
    WORKERS[0].finish(running)
    WORKERS[1].finish(waiting)
    assert is_running(new)
    assert [worker.version for worker in WORKERS] == ["", first_version, tuned_version("Kind")]
    assert first_version != tuned_version("Kind")


@pytest.mark.parametrize("change_time", ["replaced before", "deleted before", "replaced meanwhile", "not at all"])
def test_process_loads_only_the_version_that_it_was_started_for(monkeypatch, change_time: str):
    folder = save_tuned("Kind")
    opened_models = []

    def change() -> None:
        shutil.rmtree(folder)
        if "replaced" in change_time:
            save_tuned("Kind", '{"seed": 1}')

    def open_engine(model: str, *arguments: Any, **options: Any) -> ToyEngine:
        opened_models.append(model)
        if (model, change_time) == ("Kind", "replaced meanwhile"):
            change()
        return ToyEngine()

    monkeypatch.setattr(factory, "open_engine", open_engine)
    worker = ModelWorker("tiny", "torch", None, Pipe(), tuned="Kind", version=tuned_version("Kind"))  # type: ignore[arg-type]
    if "before" in change_time:
        change()
    if change_time == "not at all":
        worker._load()
        assert opened_models == ["tiny", "Kind"]
        return
    if change_time == "replaced meanwhile":
        with pytest.raises(InputError, match="Kind was deleted or replaced"):
            worker._load()
    for _ in range(2):
        with pytest.raises(InputError, match="Kind was deleted or replaced"):
            worker._load()
    assert opened_models.count("Kind") == (change_time == "replaced meanwhile")


def test_tuned_model_that_cannot_be_loaded_raises_every_time(monkeypatch):
    def open_engine(model: str, *arguments: Any, **options: Any) -> ToyEngine:
        if model == "Kind":
            raise MissingModelError("The model Kind is not on this machine.", "get it")
        return ToyEngine()

    monkeypatch.setattr(factory, "open_engine", open_engine)
    worker = ModelWorker("tiny", "torch", None, Pipe(), tuned="Kind")  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(MissingModelError, match="Kind"):
            worker._load()
