"""Tests of batches of prompts: the limit of requests in flight, stopping, changed weights, failures and levels."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from map_core.errors import EngineError, InputError
from map_core.generation.choice import choose
from map_core.generation.request import GenerationRequest
from map_core.service.batch import IN_FLIGHT, MOST_FAILURES, PromptBatch, expected_levels
from map_core.service.generation import Generation
from map_core.service.snapshot import Candidate, Phase


class FakeService:
    """A stub service that accepts requests; the test ends them."""

    def __init__(self) -> None:
        self.generations: list[Generation] = []
        self.most_in_flight = 0
        self.refusals = 0
        self.arrived = threading.Semaphore(0)

    def submit(self, request: GenerationRequest) -> Generation:
        if self.refusals:
            self.refusals -= 1
            raise EngineError("Too much is waiting.")
        self.generations.append(Generation(request, self.cancel))
        self.most_in_flight = max(self.most_in_flight, sum(not generation.ended for generation in self.generations))
        self.arrived.release()
        return self.generations[-1]

    def cancel(self, generation_id: str) -> None:
        next(generation for generation in self.generations if generation.id == generation_id).end(Phase.CANCELLED)

    def expect(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)


def requests(count: int) -> list[GenerationRequest]:
    return [GenerationRequest(f"Prompt {i}", {"humor": 1.0}, candidates=2, seed=i) for i in range(count)]


def test_requests_in_flight_are_limited_and_refilled():
    service = FakeService()
    batch = PromptBatch(requests(4), service.submit)
    service.expect(IN_FLIGHT)
    for index in range(4):
        service.generations[index].end(Phase.DONE)
        if index + IN_FLIGHT < 4:
            service.expect(1)
    assert batch.wait(10)
    assert service.most_in_flight == IN_FLIGHT
    assert [generation.request.prompt for generation in batch.generations] == [f"Prompt {i}" for i in range(4)]
    assert batch.error is None


def test_stop_cancels_requests_in_flight_and_submits_no_more():
    service = FakeService()
    batch = PromptBatch(requests(5), service.submit)
    service.expect(IN_FLIGHT)
    service.generations[0].end(Phase.DONE)
    service.expect(1)
    batch.stop()
    assert batch.wait(10)
    assert [generation.snapshot().phase for generation in service.generations] == [
        Phase.DONE,
        Phase.CANCELLED,
        Phase.CANCELLED,
    ]


def test_reweigh_applies_to_finished_and_future_requests():
    service = FakeService()
    batch = PromptBatch(requests(3), service.submit)
    service.expect(IN_FLIGHT)
    service.generations[0].end(Phase.DONE)
    service.expect(1)
    batch.reweigh({"humor": 5.0})
    assert [generation.weights for generation in service.generations] == [{"humor": 5.0}] * 3
    batch.stop()
    service = FakeService()
    batch = PromptBatch(requests(3), service.submit)
    service.expect(IN_FLIGHT)
    batch.reweigh({"humor": 2.0})
    service.generations[0].end(Phase.DONE)
    service.expect(1)
    assert service.generations[2].request.weights == {"humor": 2.0}
    batch.stop()


def test_weights_changed_during_submission_apply_to_the_request():
    service, started = FakeService(), threading.Event()

    def submit(request: GenerationRequest) -> Generation:
        assert started.wait(10)
        batch.reweigh({"humor": 5.0})
        return service.submit(request)

    batch = PromptBatch(requests(1), submit)
    started.set()
    service.expect(1)
    service.generations[0].end(Phase.DONE)
    assert batch.wait(10)
    assert service.generations[0].weights == {"humor": 5.0}


def test_full_queue_is_retried(monkeypatch):
    monkeypatch.setattr("map_core.service.batch.RETRY_SECONDS", 0.01)
    service = FakeService()
    service.refusals = 3
    batch = PromptBatch(requests(1), service.submit)
    service.expect(1)
    service.generations[0].end(Phase.DONE)
    assert batch.wait(10)
    assert batch.error is None


def test_single_failure_is_skipped_and_repeated_failures_end_the_batch():
    service = FakeService()
    batch = PromptBatch(requests(9), service.submit)
    service.expect(IN_FLIGHT)
    service.generations[0].end(Phase.FAILED, "Once.")
    service.expect(1)
    service.generations[1].end(Phase.DONE)
    for index in range(2, 2 + MOST_FAILURES):
        service.expect(1)
        service.generations[index].end(Phase.FAILED, "The model is not here.")
    assert batch.wait(10)
    assert batch.error == "The model is not here."
    assert all(generation.ended for generation in service.generations)
    assert len(service.generations) < 9


def test_batch_without_prompts_is_refused():
    with pytest.raises(InputError, match="no prompts"):
        PromptBatch([], FakeService().submit)


def test_levels_by_hand():
    candidates = [Candidate(rewards={"a": 1.0, "b": 0.0}), Candidate(rewards={"a": 3.0, "b": 2.0}), Candidate()]
    choice = choose([[0.0], [np.log(3.0)], [np.nan]], [1.0], seed=0)
    expected, mean = expected_levels(candidates, choice, ["a", "b"])
    assert expected == pytest.approx([2.5, 1.5])
    assert mean == pytest.approx([2.0, 1.0])
    assert np.isnan(expected_levels([Candidate()] * 3, choice, ["a"])[0]).all()
