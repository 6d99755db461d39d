"""Tests of background jobs: one job per key, cancelled when nobody waits for it, in a registry of bounded size."""

from __future__ import annotations

import threading

import pytest

from map_core.core.jobs import Job, Jobs, JobStatus, shared_jobs
from map_core.errors import InputError

#: Timeout of every wait, in seconds; reached only where a test fails.
PATIENCE = 60


@pytest.fixture
def jobs():
    registry = Jobs()
    yield registry
    registry.close()


def test_a_finished_job_is_kept_and_not_computed_again(jobs):
    calls = []
    job = jobs.submit("nine", lambda job: calls.append(1) or 9)
    assert job.wait(PATIENCE)
    assert (job.status, job.result, job.ended) == (JobStatus.DONE, 9, True)
    assert jobs.submit("nine", lambda job: calls.append(1) or 10) is job
    assert jobs.get("nine") is job
    assert calls == [1]


def test_partial_results_can_be_read_while_a_job_runs(jobs):
    reported, proceed = threading.Event(), threading.Event()

    def work(job: Job) -> str:
        job.report("half")
        reported.set()
        assert proceed.wait(PATIENCE)
        return "whole"

    job = jobs.submit("slow", work)
    assert reported.wait(PATIENCE)
    assert (job.partial, job.result, job.status) == ("half", None, JobStatus.RUNNING)
    proceed.set()
    assert job.wait(PATIENCE)
    assert job.result == "whole"


def _blocking_work(started: threading.Event, proceed: threading.Event):
    def work(job: Job) -> str:
        started.set()
        assert proceed.wait(PATIENCE)
        job.check()
        return "answer"

    return work


def test_a_new_job_in_a_slot_cancels_the_abandoned_one(jobs):
    started, proceed = threading.Event(), threading.Event()
    old = jobs.submit("old", _blocking_work(started, proceed), slot="page")
    assert started.wait(PATIENCE)
    new = jobs.submit("new", lambda job: "new answer", slot="page")
    proceed.set()
    assert new.wait(PATIENCE)
    assert old.status is JobStatus.CANCELLED
    assert new.result == "new answer"
    retried = jobs.submit("old", lambda job: "second try", slot="page")
    assert retried.wait(PATIENCE)
    assert retried.result == "second try"


def test_a_job_that_another_viewer_waits_for_keeps_running(jobs):
    started, proceed = threading.Event(), threading.Event()
    shared = jobs.submit("shared", _blocking_work(started, proceed), slot="first viewer")
    assert jobs.submit("shared", _blocking_work(started, proceed), slot="second viewer") is shared
    assert [shared.is_held_by(f"{viewer} viewer") for viewer in ("first", "second", "third")] == [True, True, False]
    jobs.submit("other", lambda job: None, slot="first viewer")
    proceed.set()
    assert shared.wait(PATIENCE)
    assert shared.result == "answer"


def test_all_slots_of_a_kind_are_released_at_once(jobs):
    started, proceed = threading.Event(), threading.Event()
    submitted = [jobs.submit("of nobody", _blocking_work(started, proceed))]
    assert started.wait(PATIENCE)
    submitted += [jobs.submit(key, lambda job: "answer", slot=(key, 1)) for key in ("first", "second")]
    in_two_slots = jobs.submit("of both", lambda job: "answer", slot=("of both", 1))
    jobs.submit("of both", lambda job: "answer", slot=("of both", 2))
    jobs.release_all(lambda slot: slot[1] == 1)
    proceed.set()
    assert all(job.wait(PATIENCE) for job in (*submitted, in_two_slots))
    statuses = [job.status for job in (*submitted, in_two_slots)]
    assert statuses == [JobStatus.DONE, JobStatus.CANCELLED, JobStatus.CANCELLED, JobStatus.DONE]


def test_a_queued_job_can_be_cancelled_before_it_starts(jobs):
    started, proceed = threading.Event(), threading.Event()
    jobs.submit("first", _blocking_work(started, proceed))
    assert started.wait(PATIENCE)
    queued = jobs.submit("second", lambda job: pytest.fail("must not run"))
    queued.cancel()
    proceed.set()
    assert queued.wait(PATIENCE)
    assert queued.status is JobStatus.CANCELLED


def test_a_failure_is_reported_and_the_next_submit_retries(jobs):
    def raise_input_error(job: Job) -> None:
        raise InputError("That cannot be.")

    def raise_unexpected_error(job: Job) -> None:
        raise ZeroDivisionError("by nought")

    for work, message in (
        (raise_input_error, "That cannot be."),
        (raise_unexpected_error, "ZeroDivisionError: by nought"),
    ):
        job = jobs.submit("key", work)
        assert job.wait(PATIENCE)
        assert (job.status, job.error) == (JobStatus.FAILED, message)
    assert jobs.submit("key", lambda job: 1).wait(PATIENCE)


def test_the_number_of_remembered_jobs_is_capped():
    jobs = Jobs(capacity=3)
    for number in range(10):
        assert jobs.submit(number, lambda job: None).wait(PATIENCE)
    assert jobs.submit("last", lambda job: None).wait(PATIENCE)
    assert len(jobs) <= 4
    assert jobs.get(0) is None
    assert jobs.get("last") is not None
    jobs.close()


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match="at least 1 worker"):
        Jobs(workers=0)


def test_there_is_one_registry_per_process():
    assert shared_jobs() is shared_jobs()


def test_a_slot_can_be_released_while_the_registry_is_locked(jobs):
    proceed = threading.Event()
    first = jobs.submit("first", lambda job: proceed.wait(PATIENCE), slot="gone")
    with jobs._lock:  # as when the garbage collector runs during a call
        jobs.release("gone")
    proceed.set()
    assert first.wait(PATIENCE)
    assert first._cancelled
