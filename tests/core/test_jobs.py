"""Tests of background jobs: one per content, cancelled when nobody waits, with a bounded cache."""

from __future__ import annotations

import threading

import pytest

from map_core.core.jobs import Job, Jobs, JobStatus, shared_jobs
from map_core.errors import InputError


@pytest.fixture
def jobs():
    registry = Jobs()
    yield registry
    registry.close()


def test_job_result_is_cached(jobs):
    calls = []
    job = jobs.submit("nine", lambda job: calls.append(1) or 9)
    assert job.wait(5)
    assert (job.status, job.result, job.ended) == (JobStatus.DONE, 9, True)
    assert jobs.submit("nine", lambda job: calls.append(1) or 10) is job
    assert jobs.get("nine") is job
    assert calls == [1]


def test_progress_is_readable_before_the_end(jobs):
    reported, go_on = threading.Event(), threading.Event()

    def work(job: Job) -> str:
        job.report("half")
        reported.set()
        go_on.wait(5)
        return "whole"

    job = jobs.submit("slow", work)
    assert reported.wait(5)
    assert (job.partial, job.result, job.status) == ("half", None, JobStatus.RUNNING)
    go_on.set()
    assert job.wait(5)
    assert job.result == "whole"


def _blocked(started: threading.Event, go_on: threading.Event):
    def work(job: Job) -> str:
        started.set()
        go_on.wait(5)
        job.check()
        return "answer"

    return work


def test_moving_on_cancels_jobs_without_viewers(jobs):
    started, go_on = threading.Event(), threading.Event()
    old = jobs.submit("old", _blocked(started, go_on), slot="page")
    assert started.wait(5)
    new = jobs.submit("new", lambda job: "new answer", slot="page")
    go_on.set()
    assert new.wait(5)
    assert old.status is JobStatus.CANCELLED
    assert new.result == "new answer"
    retried = jobs.submit("old", lambda job: "second try", slot="page")
    assert retried.wait(5)
    assert retried.result == "second try"


def test_job_with_another_viewer_continues(jobs):
    started, go_on = threading.Event(), threading.Event()
    first = jobs.submit("shared", _blocked(started, go_on), slot="first viewer")
    assert jobs.submit("shared", _blocked(started, go_on), slot="second viewer") is first
    assert [first.is_held_by(f"{which} viewer") for which in ("first", "second", "third")] == [True, True, False]
    jobs.submit("other", lambda job: None, slot="first viewer")
    go_on.set()
    assert first.wait(5)
    assert first.result == "answer"


def test_all_slots_of_a_kind_are_released_at_once(jobs):
    started, go_on = threading.Event(), threading.Event()
    begun = [jobs.submit("of nobody", _blocked(started, go_on))]
    assert started.wait(5)
    begun += [jobs.submit(key, lambda job: "answer", slot=(key, 1)) for key in ("first", "second")]
    shared_job = jobs.submit("of both", lambda job: "answer", slot=("of both", 1))
    jobs.submit("of both", lambda job: "answer", slot=("of both", 2))
    jobs.release_all(lambda slot: slot[1] == 1)
    go_on.set()
    assert all(job.wait(5) for job in (*begun, shared_job))
    statuses = [job.status for job in (*begun, shared_job)]
    assert statuses == [JobStatus.DONE, JobStatus.CANCELLED, JobStatus.CANCELLED, JobStatus.DONE]


def test_waiting_job_can_be_cancelled(jobs):
    started, go_on = threading.Event(), threading.Event()
    jobs.submit("first", _blocked(started, go_on))
    assert started.wait(5)
    waiting = jobs.submit("second", lambda job: pytest.fail("must not run"))
    waiting.cancel()
    go_on.set()
    assert waiting.wait(5)
    assert waiting.status is JobStatus.CANCELLED


def test_failure_is_reported_in_words_and_retried(jobs):
    def refuse(job: Job) -> None:
        raise InputError("That cannot be.")

    def stumble(job: Job) -> None:
        raise ZeroDivisionError("by nought")

    for work, words in ((refuse, "That cannot be."), (stumble, "ZeroDivisionError: by nought")):
        job = jobs.submit("key", work)
        assert job.wait(5)
        assert (job.status, job.error) == (JobStatus.FAILED, words)
    assert jobs.submit("key", lambda job: 1).wait(5)


def test_memory_is_capped():
    jobs = Jobs(capacity=3)
    for number in range(10):
        assert jobs.submit(number, lambda job: None).wait(5)
    jobs.submit("last", lambda job: None).wait(5)
    assert len(jobs) <= 4
    assert jobs.get(0) is None
    assert jobs.get("last") is not None
    jobs.close()


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match="at least 1 worker"):
        Jobs(workers=0)


def test_registry_is_shared_per_process():
    assert shared_jobs() is shared_jobs()


def test_caller_may_be_garbage_collected_during_registry_calls(jobs):
    go_on = threading.Event()
    first = jobs.submit("first", lambda job: go_on.wait(5), slot="gone")
    with jobs._lock:  # as when the garbage collector runs within a call
        jobs.release("gone")
    go_on.set()
    assert first.wait(5)
    assert first._cancelled
