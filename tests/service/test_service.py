"""Tests of the service with a tiny real transformer: streaming, queue, cancelling, crashes and restarts."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace

import pytest

from map_core.core.types import SamplingSettings
from map_core.errors import InputError, MissingModelError
from map_core.generation.choice import base_pick
from map_core.generation.request import GenerationRequest, Method
from map_core.models.files import locate
from map_core.models.packaged import DEFAULT_EMBEDDER, DEFAULT_MODEL
from map_core.scoring import DEFAULT_VALUES
from map_core.service.service import GenerationService
from map_core.service.snapshot import GenerationSnapshot, Phase
from tests.service.service_requests import LONG, SHORT, request
from tests.waiting import until


@pytest.fixture(scope="module")
def service(model_folder: str) -> Iterator[GenerationService]:
    with GenerationService(model_folder, "openvino", "float32") as service:
        yield service


def test_a_generation_streams_to_its_end(service: GenerationService) -> None:
    generation = service.submit(request(seed=7, candidates=5))
    snapshots: list[GenerationSnapshot] = [generation.snapshot()]
    while not generation.ended:
        snapshots.append(generation.snapshot())
        time.sleep(0.001)
    last = generation.wait(1.0)
    assert last.phase is Phase.DONE
    assert last.error is None
    # The base candidate is known from the start, and its text only grows.
    assert {snapshot.base for snapshot in snapshots} == {base_pick(5, 7)} == {last.base}
    for before, after in zip(snapshots, [*snapshots[1:], last], strict=True):
        assert after.base_reply.startswith(before.base_reply)
        assert after.tokens >= before.tokens
    assert {len(snapshot.candidates) for snapshot in snapshots} == {5}
    assert any(snapshot.phase is Phase.SAMPLING and snapshot.provisional for snapshot in snapshots)
    # At the end every candidate has its rewards and probability, and the picked one is the aligned reply.
    assert not last.provisional
    assert last.picked is not None
    assert last.aligned_reply == last.candidates[last.picked].text
    assert sum(candidate.probability or 0.0 for candidate in last.candidates) == pytest.approx(1.0)
    assert all(set(c.rewards) == {"plain_language", "diversity"} for c in last.candidates)
    assert all(c.ended and c.tokens <= 24 for c in last.candidates)
    assert last.choice is not None
    assert 1.0 <= last.choice.ess <= 5.0
    assert last.choice.kl >= 0.0
    assert last.choice_seconds is not None
    assert last.first_token_seconds is not None
    assert 0 < last.first_token_seconds <= last.seconds
    with pytest.raises(FrozenInstanceError):
        last.tokens = 3  # type: ignore[misc]
    assert service.generation(generation.id) is generation
    status = service.status()
    assert (status.state, status.running, status.waiting) == ("ready", 0, 0)
    assert status.engine["name"] == "openvino"


def test_the_same_seed_gives_the_same_replies_and_picks(service: GenerationService) -> None:
    first, second, other_seed = (service.submit(request(seed)).wait(60) for seed in (3, 3, 4))
    assert (first.candidates, first.base, first.picked) == (second.candidates, second.base, second.picked)
    assert first.candidates != other_seed.candidates


def test_waiting_requests_have_a_queue_position_and_can_be_cancelled(service: GenerationService) -> None:
    first, second, third = (service.submit(request(seed, 200, LONG)) for seed in range(3))
    assert [g.snapshot().queue_position for g in (first, second, third)] == [0, 1, 2]
    assert third.snapshot().phase is Phase.WAITING
    assert third.snapshot().note == "2 requests before this one."
    second.cancel()
    assert second.snapshot().phase is Phase.CANCELLED
    assert third.snapshot().queue_position == 1
    first.cancel()
    until(lambda: third.snapshot().tokens > 0)
    third.cancel()


def test_viewers_take_turns(model_folder: str) -> None:
    with GenerationService(model_folder, "openvino", "float32", at_once=1) as service:
        of_one_viewer = [service.submit(request(seed), "one") for seed in range(4)]
        of_other_viewer = service.submit(request(9), "other")
        # The first request of "one" runs, so "other" is next, then the remaining requests of "one" in order.
        assert [g.snapshot().queue_position for g in (*of_one_viewer, of_other_viewer)] == [0, 2, 3, 4, 1]
        assert of_other_viewer.snapshot().note == "1 request before this one."
        assert all(g.wait(60).phase is Phase.DONE for g in (*of_one_viewer, of_other_viewer))


def test_concurrent_generations_equal_sequential_ones(service: GenerationService) -> None:
    sequential = [service.submit(request(seed, 4)).wait(60) for seed in (21, 22, 23)]
    concurrent = [service.submit(request(seed, 4), f"viewer {seed}") for seed in (21, 22, 23)]
    until(lambda: sum(g.snapshot().phase is Phase.SAMPLING for g in concurrent) > 1 or all(g.ended for g in concurrent))
    for expected, actual in zip(sequential, [g.wait(60) for g in concurrent], strict=True):
        assert [c.text for c in expected.candidates] == [c.text for c in actual.candidates]
        assert expected.picked == actual.picked


def test_new_weights_choose_again_without_sampling(service: GenerationService) -> None:
    generation = service.submit(request(2, 16))
    before = generation.wait(60)
    tokens = before.tokens
    generation.reweigh({"plain_language": 1e3})
    after = generation.snapshot()
    plain_language = [candidate.rewards["plain_language"] for candidate in after.candidates]
    assert after.picked is not None
    assert plain_language[after.picked] == max(plain_language)
    assert after.weights == {"plain_language": 1e3}
    assert after.choice is not None
    assert before.choice is not None
    assert after.choice.ess < before.choice.ess
    assert (after.tokens, after.base) == (tokens, before.base)
    # The choice for other weights is computed without changing the generation.
    assert generation.choice({"plain_language": 0.02, "diversity": 1.0}) == before.choice
    assert generation.choice({}).probabilities == (1 / 16,) * 16  # type: ignore[union-attr]
    with pytest.raises(InputError, match="does not score 'humor'"):
        generation.reweigh({"humor": 1.0})
    with pytest.raises(InputError, match="is nan"):
        generation.reweigh({"diversity": math.nan})


def test_new_weights_apply_while_replies_are_written(service: GenerationService) -> None:
    running = service.submit(request(2, 8, LONG))
    until(lambda: running.snapshot().tokens > 0)
    running.reweigh({"plain_language": 1e3})
    after = running.wait(60)
    assert after.phase is Phase.DONE
    assert after.picked is not None
    plain_language = [candidate.rewards["plain_language"] for candidate in after.candidates]
    assert plain_language[after.picked] == max(plain_language)


@pytest.mark.parametrize("method", list(Method))
def test_every_method_streams_to_its_end(service: GenerationService, method: Method) -> None:
    method_request = replace(request(3, 6, SamplingSettings(max_new_tokens=30)), method=method, block=8)
    first, second = (service.submit(method_request).wait(60) for _ in range(2))
    assert first.phase is Phase.DONE, first.error
    assert (first.candidates, first.picked, first.base) == (second.candidates, second.picked, second.base)
    assert first.picked is not None
    assert len(first.candidates) == 6
    if method is Method.BLOCKS:
        assert first.candidates[first.base].probability == 0.0  # a draw from the base model, which is never picked


def test_more_candidates_are_drawn_until_the_goal_is_met(service: GenerationService) -> None:
    first_draw = request(3, 4)
    adaptive = replace(first_draw, most_candidates=18, least_ess=17.99)
    snapshot = service.submit(adaptive).wait(60)
    assert snapshot.phase is Phase.DONE, snapshot.error
    assert len(snapshot.candidates) == 18
    assert snapshot.base < 4
    plain = service.submit(first_draw).wait(60)
    assert [c.text for c in snapshot.candidates[:4]] == [c.text for c in plain.candidates]
    easily_met = service.submit(replace(adaptive, least_ess=1.0)).wait(60)
    assert len(easily_met.candidates) == 4


def test_cancel_stops_at_once_and_keeps_partial_replies(service: GenerationService) -> None:
    generation = service.submit(request(1, 32, LONG))
    until(lambda: generation.snapshot().tokens > 200)
    pid = service.status().pid
    generation.cancel()
    cancelled = generation.snapshot()
    until(lambda: service.status().running == 0)
    assert cancelled.phase is Phase.CANCELLED
    assert 200 < cancelled.tokens < 32 * 219
    assert cancelled.base_reply
    assert generation.snapshot() == cancelled  # no token and no second is added after the cancel
    assert service.submit(request()).wait(60).phase is Phase.DONE
    assert service.status().pid == pid
    generation.cancel()  # idempotent
    service.cancel("nobody")


def test_one_bad_request_fails_alone(service: GenerationService) -> None:
    long_prompt = service.submit(GenerationRequest("word " * 900, settings=SHORT))
    unknown = service.submit(GenerationRequest("Hi", {"wit": 1.0}, settings=SHORT))
    valid = service.submit(request())
    assert long_prompt.wait(60).phase is Phase.FAILED
    assert "context" in str(long_prompt.snapshot().error)
    assert "wit" in str(unknown.wait(60).error)
    assert valid.wait(60).phase is Phase.DONE


def test_process_killed_while_writing_restarts_and_continues(service: GenerationService) -> None:
    running, waiting = service.submit(request(0, 32, LONG)), service.submit(request(5))
    until(lambda: running.snapshot().tokens > 100)
    before = service.status()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    # The partial replies stay readable, the restart is visible, and the new replies are the same.
    until(lambda: running.snapshot().restarts == 1 or running.snapshot().phase is Phase.WAITING)
    assert running.snapshot().base_reply
    assert running.wait(60).phase is Phase.DONE
    assert running.snapshot().restarts == 1
    assert running.snapshot().candidates == service.submit(request(0, 32, LONG)).wait(60).candidates
    assert waiting.wait(60).phase is Phase.DONE  # other requests are not affected
    assert service.submit(request(5)).wait(60).candidates == waiting.snapshot().candidates
    after = service.status()
    assert after.starts == before.starts + 1
    assert after.pid != before.pid


def test_request_that_loses_the_process_twice_fails(service: GenerationService) -> None:
    running = service.submit(request(0, 32, LONG))
    for restarts in range(2):
        until(lambda n=restarts: running.snapshot().restarts == n and running.begun)  # type: ignore[misc]
        pid = service.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    snapshot = running.wait(10)
    assert snapshot.phase is Phase.FAILED
    assert "model process stopped" in str(snapshot.error)
    assert "Start again" in str(snapshot.error)
    assert service.submit(request()).wait(60).phase is Phase.DONE


def test_process_killed_while_idle_is_restarted(service: GenerationService) -> None:
    service.submit(request()).wait(60)
    pid = service.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert service.submit(request()).wait(60).phase is Phase.DONE


def test_started_service_answers_without_loading(service: GenerationService) -> None:
    service.start(["plain_language", "wit", "diversity"])  # an unknown value fails only when a request needs it
    until(lambda: service.status().state == "ready")
    starts = service.status().starts
    generation = service.submit(request())
    assert generation.snapshot().note == ""  # nothing is being loaded
    assert generation.wait(60).phase is Phase.DONE
    assert service.status().starts == starts


@pytest.mark.model
def test_the_default_model_answers_and_stops() -> None:
    try:
        for name in (DEFAULT_MODEL, DEFAULT_EMBEDDER):
            locate(name)
    except MissingModelError as error:
        pytest.skip(str(error))
    settings = SamplingSettings(0.8, 0, 0.95, 24)
    full_request = GenerationRequest(
        "How do I calm a crying child?", {"positivity": 3.0}, DEFAULT_VALUES, 8, settings, 1
    )
    with GenerationService() as service:
        snapshot = service.submit(full_request).wait(240)
        assert snapshot.phase is Phase.DONE, snapshot.error
        assert all(set(candidate.rewards) == set(DEFAULT_VALUES) for candidate in snapshot.candidates)
        assert len({candidate.text for candidate in snapshot.candidates}) == 8  # each candidate has its own seed
        rewards = [candidate.rewards["positivity"] for candidate in snapshot.candidates]
        expected = sum((c.probability or 0.0) * reward for c, reward in zip(snapshot.candidates, rewards, strict=True))
        assert expected > sum(rewards) / 8
        repeated = service.submit(full_request).wait(240)
        assert [c.text for c in repeated.candidates] == [c.text for c in snapshot.candidates]
        assert (repeated.base, repeated.picked) == (snapshot.base, snapshot.picked)
        assert repeated.choice == snapshot.choice
        running = service.submit(replace(full_request, settings=replace(settings, max_new_tokens=200)))
        until(lambda: running.snapshot().tokens > 40)
        running.cancel()
        until(lambda: service.status().running == 0)
        assert running.snapshot().tokens < 8 * 200
