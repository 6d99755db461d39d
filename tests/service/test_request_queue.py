"""Tests of the limits of the queue: requests and candidates, per viewer and in total."""

from __future__ import annotations

import pytest

from map_core.core import limits
from map_core.errors import EngineError, InputError
from map_core.generation.request import GenerationRequest
from map_core.service import shared
from map_core.service.generation import Generation
from map_core.service.request_queue import CandidateLimits, RequestQueue


def generation_of(candidates: int, viewer: str, most_candidates: int | None = None) -> Generation:
    least_ess = None if most_candidates is None else 2.0
    request = GenerationRequest("Hi", candidates=candidates, most_candidates=most_candidates, least_ess=least_ess)
    return Generation(request, lambda generation_id: None, viewer=viewer)


def test_candidates_are_limited_by_request_viewer_and_in_all():
    queue = RequestQueue(10, 10, CandidateLimits(waiting=40, of_viewer=24, of_request=16))
    with pytest.raises(InputError, match="is for 17 candidates; expected at most 16"):
        queue.add(generation_of(17, "ann"))
    with pytest.raises(InputError, match="is for 20 candidates"):
        queue.add(generation_of(4, "ann", most_candidates=20))
    queue.add(generation_of(16, "ann"))
    with pytest.raises(EngineError, match="16 candidates of yours are waiting to be written already"):
        queue.add(generation_of(9, "ann"))
    queue.add(generation_of(8, "ann"))
    queue.add(generation_of(16, "bob"))
    with pytest.raises(EngineError, match="40 candidates are waiting to be written already"):
        queue.add(generation_of(1, "cid"))


def test_single_request_within_its_limit_is_always_accepted():
    queue = RequestQueue(10, 10, CandidateLimits(waiting=4, of_viewer=4, of_request=16))
    queue.add(generation_of(16, "ann"))
    assert len(queue) == 1


def test_limits_of_the_app_are_read_from_the_environment(monkeypatch):
    monkeypatch.setattr(shared, "_shared", {})
    for limit, number in ((limits.GENERATIONS_OF_VISIT, 1), (limits.GENERATIONS, 2), (limits.CANDIDATES_OF_REQUEST, 8)):
        monkeypatch.setenv(limit.variable, str(number))
    queue = shared.shared_service("tiny")._waiting
    with pytest.raises(InputError, match="for 9 candidates; expected at most 8"):
        queue.add(generation_of(9, "ann"))
    queue.add(generation_of(8, "ann"))
    with pytest.raises(EngineError, match="1 requests of yours are waiting already"):
        queue.add(generation_of(8, "ann"))
    queue.add(generation_of(8, "ben"))
    with pytest.raises(EngineError, match="2 requests are waiting already"):
        queue.add(generation_of(8, "cid"))
