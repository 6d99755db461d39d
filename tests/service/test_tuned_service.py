"""Services of tuned models: one process at a time, beside that of the base model, and nobody's replies are lost."""

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
from map_core.service.process_place import ProcessPlace
from map_core.service.shared import shared_generation, shared_service
from map_core.service.snapshot import Phase
from map_core.service.worker import ModelWorker
from tests.toy_engine import ToyEngine


class Worker:
    """Stands for a model process."""

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
        """End a generation, as the process would tell."""
        self._on_message(self, to_json(GenerationMessage(generation.id, GenerationCancelled())))

    def die(self) -> None:
        self.alive = False
        self._on_end(self, "The model process stopped.")

    def close(self, wait: bool = True) -> None:
        self.alive = False


WORKERS: list[Worker] = []


def processes() -> list[str]:
    """The tuned models whose processes run, "" for the base model."""
    return [worker.tuned for worker in WORKERS if worker.alive]


def write(tuned: str, viewer: str = "") -> Generation:
    """Ask a model for replies."""
    return shared_service("tiny", tuned=tuned).submit(GenerationRequest("Hi"), viewer=viewer)


def written(tuned: str) -> Generation:
    """Replies of a tuned model that are finished."""
    generation = write(tuned)
    WORKERS[-1].finish(generation)
    assert generation.ended
    return generation


def is_running(generation: Generation) -> bool:
    """Whether a process has been asked for a generation and goes on."""
    return any(worker.alive and generation.id in map(itemgetter("id"), worker.sent) for worker in WORKERS)


def save_tuned(name: str, record: str = "{}") -> Path:
    """A finished tuned model of this name."""
    folder = tuned_folder(name)
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(record, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _own_services(monkeypatch, tmp_path):
    monkeypatch.setenv("VALUE_PALETTE_TABLES", str(tmp_path))
    monkeypatch.setattr(shared, "_shared", {})
    monkeypatch.setattr(shared, "_tuned_place", ProcessPlace())
    monkeypatch.setattr(service, "WorkerClient", Worker)
    WORKERS.clear()


def test_another_tuned_model_ends_the_process_that_has_nothing_to_do_and_not_its_replies():
    base, kind = shared_service("tiny"), shared_service("tiny", tuned="Kind")
    base.start()
    assert kind is not base
    replies = written("Kind")
    write("Funny")
    assert processes() == ["", "Funny"]
    assert shared_generation("tiny", replies.id) is replies
    assert shared_service("tiny", tuned="Kind") is kind
    assert shared_service("tiny") is base


def test_a_look_at_a_tuned_model_ends_no_other_ones_process():
    replies = written("Kind")
    funny = shared_service("tiny", tuned="Funny")
    funny.start()
    assert processes() == ["Kind"]
    assert funny.status().state == "stopped"
    assert shared_generation("tiny", replies.id) is replies
    shared_service("tiny", tuned="Kind").start()
    assert len(WORKERS) == 1
    WORKERS[0].die()
    funny.start()
    assert processes() == ["Funny"]


def test_a_tuned_model_that_writes_is_waited_for_and_is_told():
    first = write("Kind")
    other, more = write("Funny"), write("Kind")
    assert processes() == ["Kind"]
    assert is_running(first)
    assert "Another tuned model is at work, and finishes first." in other.snapshot().note
    # Whoever has it does not keep it: what comes after the other one waits for its turn.
    assert (more.snapshot().phase, is_running(more)) == (Phase.WAITING, False)
    WORKERS[0].finish(first)
    assert processes() == ["Funny"]
    assert is_running(other)
    assert not is_running(more)
    WORKERS[-1].finish(other)
    assert processes() == ["Kind"]
    assert is_running(more)


def test_a_tuned_model_that_writes_is_not_ended_for_scoring():
    first = write("Kind")
    funny = shared_service("tiny", tuned="Funny")
    given = [GivenReplies("Hi", ("Hello.",))]
    with pytest.raises(EngineError, match="Another tuned model is at work"):
        funny.score(given, ["humor"])
    WORKERS[0].finish(first)
    scoring = funny.score(given, ["humor"])
    other = write("Kind")
    assert processes() == ["Funny"]
    scoring.cancel()
    assert processes() == ["Kind"]
    assert is_running(other)


def test_who_leaves_the_line_holds_nobody_up():
    first, other, more = write("Kind"), write("Funny"), write("Kind")
    other.cancel()
    WORKERS[0].finish(first)
    assert processes() == ["Kind"]
    assert is_running(more)
    shared_service("tiny", tuned="Funny").close()
    assert is_running(more)


@pytest.mark.parametrize("ended", ["died twice", "closed"])
def test_the_next_in_line_enters_after_a_process_that_is_lost(ended: str):
    first, other = write("Kind"), write("Funny")
    if ended == "closed":
        shared_service("tiny", tuned="Kind").close()
    else:
        WORKERS[-1].die()
        assert processes() == ["Kind"], "what was being written is written again"
        WORKERS[-1].die()
    assert first.ended
    assert processes() == ["Funny"]
    assert is_running(other)


def test_a_service_whose_process_was_ended_for_another_serves_what_comes_then():
    """Between fetching the service and handing in the request somebody else may have taken the place."""
    kind = shared_service("tiny", tuned="Kind")
    kind.start()
    written("Funny")
    generation = kind.submit(GenerationRequest("Hi"))
    del kind
    gc.collect()
    assert processes() == ["Kind"]
    assert is_running(generation)
    assert shared_generation("tiny", generation.id) is generation


def test_a_name_that_is_used_again_is_another_model():
    folder = save_tuned("Kind")
    old, replies = shared_service("tiny", tuned="Kind"), written("Kind")
    assert shared_service("tiny", tuned="Kind") is old
    shutil.rmtree(folder)
    save_tuned("Kind", '{"seed": 1}')
    new = shared_service("tiny", tuned="Kind")
    assert new is not old
    assert processes() == []
    generation = write("Kind")
    assert len(WORKERS) == 2
    assert is_running(generation)
    assert shared_generation("tiny", replies.id) is replies


def test_the_process_of_a_deleted_model_ends_once_it_has_written():
    folder = save_tuned("Kind")
    generation = write("Kind")
    shutil.rmtree(folder)
    shared.close_deleted()
    assert is_running(generation)
    WORKERS[0].finish(generation)
    shared.close_deleted()
    assert processes() == []
    assert shared_generation("tiny", generation.id) is generation


def test_the_services_used_longest_ago_are_dropped(monkeypatch):
    monkeypatch.setattr(shared, "_MOST_TUNED", 2)
    base, running = shared_service("tiny"), write("Kind")
    for name in ("Funny", "Calm", "Brave"):
        shared_service("tiny", tuned=name)
    assert [key.tuned for key in shared._shared] == ["", "Kind", "Brave"]
    assert shared_service("tiny") is base
    assert is_running(running)


def test_a_generation_is_found_whichever_model_writes_it():
    kind = shared_service("tiny", tuned="Kind")
    generation = Generation(GenerationRequest("Hi"), lambda id: None)
    kind._generations[generation.id] = generation
    assert shared_generation("tiny", generation.id) is generation
    with pytest.raises(InputError, match="no generation"):
        shared_generation("other", generation.id)


class Pipe:
    """Stands for the connection to the app."""

    def send(self, message: dict[str, Any]) -> None:
        pass


def test_a_request_that_waited_is_not_answered_by_another_model_of_the_name():
    """Its process starts when the other one has written, and only then reads the model."""
    first = save_tuned("Kind")
    asked_for = tuned_version("Kind")
    running, waiting = write("Funny"), write("Kind")
    shutil.rmtree(first)
    save_tuned("Kind", '{"seed": 1}')
    new = write("Kind")
    WORKERS[0].finish(running)
    WORKERS[1].finish(waiting)
    assert is_running(new)
    assert [worker.version for worker in WORKERS] == ["", asked_for, tuned_version("Kind")]
    assert asked_for != tuned_version("Kind")


@pytest.mark.parametrize("when", ["replaced before", "deleted before", "replaced meanwhile", "not at all"])
def test_a_process_reads_the_tuned_model_that_it_was_started_for_or_none(monkeypatch, when: str):
    folder = save_tuned("Kind")
    opened = []

    def change() -> None:
        shutil.rmtree(folder)
        if "replaced" in when:
            save_tuned("Kind", '{"seed": 1}')

    def opening(model: str, *given: Any, **options: Any) -> ToyEngine:
        opened.append(model)
        if (model, when) == ("Kind", "replaced meanwhile"):
            change()
        return ToyEngine()

    monkeypatch.setattr(factory, "open_engine", opening)
    worker = ModelWorker("tiny", "torch", None, Pipe(), tuned="Kind", version=tuned_version("Kind"))  # type: ignore[arg-type]
    if "before" in when:
        change()
    if when == "not at all":
        worker._load()
        assert opened == ["tiny", "Kind"]
        return
    if when == "replaced meanwhile":
        with pytest.raises(InputError, match="Kind was deleted or replaced"):
            worker._load()
    for _ in range(2):
        with pytest.raises(InputError, match="Kind was deleted or replaced"):
            worker._load()
    assert opened.count("Kind") == (when == "replaced meanwhile")


def test_a_tuned_model_that_cannot_be_opened_is_never_left_out_in_silence(monkeypatch):
    def opened(model: str, *given: Any, **options: Any) -> ToyEngine:
        if model == "Kind":
            raise MissingModelError("The model Kind is not on this machine.", "get it")
        return ToyEngine()

    monkeypatch.setattr(factory, "open_engine", opened)
    worker = ModelWorker("tiny", "torch", None, Pipe(), tuned="Kind")  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(MissingModelError, match="Kind"):
            worker._load()
