"""How much may wait: requests and candidates, of one viewer and of all."""

from __future__ import annotations

import pytest

from map_core.core import limits
from map_core.errors import EngineError, InputError
from map_core.generation.request import GenerationRequest
from map_core.service import shared
from map_core.service.generation import Generation
from map_core.service.request_queue import CandidateLimits, RequestQueue


def asked(candidates: int, viewer: str, most: int | None = None) -> Generation:
    goal = None if most is None else 2.0
    request = GenerationRequest("Hi", candidates=candidates, most_candidates=most, least_ess=goal)
    return Generation(request, lambda name: None, viewer=viewer)


def test_candidates_are_limited_by_request_viewer_and_in_all():
    queue = RequestQueue(10, 10, CandidateLimits(waiting=40, of_viewer=24, of_request=16))
    with pytest.raises(InputError, match="is for 17 candidates; expected at most 16"):
        queue.add(asked(17, "ann"))
    with pytest.raises(InputError, match="is for 20 candidates"):
        queue.add(asked(4, "ann", most=20))
    queue.add(asked(16, "ann"))
    with pytest.raises(EngineError, match="16 candidates of yours are waiting to be written already"):
        queue.add(asked(9, "ann"))
    queue.add(asked(8, "ann"))
    queue.add(asked(16, "bob"))
    with pytest.raises(EngineError, match="40 candidates are waiting to be written already"):
        queue.add(asked(1, "cid"))


def test_one_request_within_its_limit_is_always_taken():
    queue = RequestQueue(10, 10, CandidateLimits(waiting=4, of_viewer=4, of_request=16))
    queue.add(asked(16, "ann"))
    assert len(queue) == 1


def test_the_limits_of_the_apps_generator_are_settings(monkeypatch):
    monkeypatch.setattr(shared, "_shared", {})
    for limit, number in ((limits.GENERATIONS_OF_VISIT, 1), (limits.GENERATIONS, 2), (limits.CANDIDATES_OF_REQUEST, 8)):
        monkeypatch.setenv(limit.variable, str(number))
    queue = shared.shared_service("tiny")._waiting
    with pytest.raises(InputError, match="for 9 candidates; expected at most 8"):
        queue.add(asked(9, "ann"))
    queue.add(asked(8, "ann"))
    with pytest.raises(EngineError, match="1 requests of yours are waiting already"):
        queue.add(asked(8, "ann"))
    queue.add(asked(8, "ben"))
    with pytest.raises(EngineError, match="2 requests are waiting already"):
        queue.add(asked(8, "cid"))
