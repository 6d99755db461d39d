"""Many prompts: what is in hand at a time, stopping, other weights on the way, failures, and levels by hand."""

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
    """Takes requests; the test ends them."""

    def __init__(self) -> None:
        self.made: list[Generation] = []
        self.most_in_flight = 0
        self.refusals = 0
        self.arrived = threading.Semaphore(0)

    def submit(self, request: GenerationRequest) -> Generation:
        if self.refusals:
            self.refusals -= 1
            raise EngineError("Too much is waiting.")
        self.made.append(Generation(request, self.cancel))
        self.most_in_flight = max(self.most_in_flight, sum(not generation.ended for generation in self.made))
        self.arrived.release()
        return self.made[-1]

    def cancel(self, name: str) -> None:
        next(generation for generation in self.made if generation.id == name).end(Phase.CANCELLED)

    def expect(self, many: int) -> None:
        for _ in range(many):
            assert self.arrived.acquire(timeout=10)


def requests(count: int) -> list[GenerationRequest]:
    return [GenerationRequest(f"Prompt {i}", {"humor": 1.0}, candidates=2, seed=i) for i in range(count)]


def test_a_few_are_in_hand_and_the_next_follows_when_one_ends():
    service = FakeService()
    many = PromptBatch(requests(4), service.submit)
    service.expect(IN_FLIGHT)
    for place in range(4):
        service.made[place].end(Phase.DONE)
        if place + IN_FLIGHT < 4:
            service.expect(1)
    assert many.wait(10)
    assert service.most_in_flight == IN_FLIGHT
    assert [generation.request.prompt for generation in many.generations] == [f"Prompt {i}" for i in range(4)]
    assert many.error is None


def test_stop_ends_what_is_in_hand_and_asks_nothing_more():
    service = FakeService()
    many = PromptBatch(requests(5), service.submit)
    service.expect(IN_FLIGHT)
    service.made[0].end(Phase.DONE)
    service.expect(1)
    many.stop()
    assert many.wait(10)
    assert [generation.snapshot().phase for generation in service.made] == [
        Phase.DONE,
        Phase.CANCELLED,
        Phase.CANCELLED,
    ]


def test_other_weights_reach_what_is_done_and_what_is_to_come():
    service = FakeService()
    many = PromptBatch(requests(3), service.submit)
    service.expect(IN_FLIGHT)
    service.made[0].end(Phase.DONE)
    service.expect(1)
    many.reweigh({"humor": 5.0})
    assert [generation.weights for generation in service.made] == [{"humor": 5.0}] * 3
    many.stop()
    service = FakeService()
    many = PromptBatch(requests(3), service.submit)
    service.expect(IN_FLIGHT)
    many.reweigh({"humor": 2.0})
    service.made[0].end(Phase.DONE)
    service.expect(1)
    assert service.made[2].request.weights == {"humor": 2.0}
    many.stop()


def test_weights_that_change_while_a_request_is_submitted_reach_it():
    service, started = FakeService(), threading.Event()

    def submit(request: GenerationRequest) -> Generation:
        assert started.wait(10)
        many.reweigh({"humor": 5.0})
        return service.submit(request)

    many = PromptBatch(requests(1), submit)
    started.set()
    service.expect(1)
    service.made[0].end(Phase.DONE)
    assert many.wait(10)
    assert service.made[0].weights == {"humor": 5.0}


def test_a_full_queue_is_waited_for(monkeypatch):
    monkeypatch.setattr("map_core.service.batch.RETRY_SECONDS", 0.01)
    service = FakeService()
    service.refusals = 3
    many = PromptBatch(requests(1), service.submit)
    service.expect(1)
    service.made[0].end(Phase.DONE)
    assert many.wait(10)
    assert many.error is None


def test_one_failure_is_passed_and_many_in_a_row_end_the_work():
    service = FakeService()
    many = PromptBatch(requests(9), service.submit)
    service.expect(IN_FLIGHT)
    service.made[0].end(Phase.FAILED, "Once.")
    service.expect(1)
    service.made[1].end(Phase.DONE)
    for place in range(2, 2 + MOST_FAILURES):
        service.expect(1)
        service.made[place].end(Phase.FAILED, "The model is not here.")
    assert many.wait(10)
    assert many.error == "The model is not here."
    assert all(generation.ended for generation in service.made)
    assert len(service.made) < 9


def test_nothing_to_do_is_refused():
    with pytest.raises(InputError, match="no prompts"):
        PromptBatch([], FakeService().submit)


def test_levels_by_hand():
    candidates = [Candidate(rewards={"a": 1.0, "b": 0.0}), Candidate(rewards={"a": 3.0, "b": 2.0}), Candidate()]
    choice = choose([[0.0], [np.log(3.0)], [np.nan]], [1.0], seed=0)
    expected, mean = expected_levels(candidates, choice, ["a", "b"])
    assert expected == pytest.approx([2.5, 1.5])
    assert mean == pytest.approx([2.0, 1.0])
    assert np.isnan(expected_levels([Candidate()] * 3, choice, ["a"])[0]).all()
