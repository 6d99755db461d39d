"""Run background jobs, one registry per process and one job per key: a page never blocks, and a reload reattaches.

A job is keyed by its content (table, use case, targets, ...): equal requests share a job, and a computed result is
returned at once. A caller that no longer needs a result releases its ``slot``: work without a caller is cancelled.
Constraint: no browser and no model here; the work is a function that calls ``job.check()`` regularly, and its result
is not modified afterwards.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from map_core.errors import InputError, PaletteError

_logger = logging.getLogger(__name__)


class JobStatus(StrEnum):
    """State of a job; the last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobCancelled(Exception):
    """Raised inside a job's work when no caller wants its result any more."""


class Job:
    """A background job and its result; every attribute may be read from any thread.

    Attributes:
        key: what is computed.
        status: see :class:`JobStatus`.
        partial: the last partial result that the work reported, or None.
        result: the result, once the status is "done".
        error: the error message, once the status is "failed".
    """

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.status = JobStatus.WAITING
        self.partial: Any = None
        self.result: Any = None
        self.error: str | None = None
        self._slots: set[Hashable] = set()
        self._cancelled = False
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self._ended.is_set()

    def is_held_by(self, slot: Hashable) -> bool:
        """Return whether a slot has asked for the job and not released it."""
        return slot in self._slots

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job ends, or for ``timeout`` seconds; return whether it has ended."""
        return self._ended.wait(timeout)

    def cancel(self) -> None:
        """Ask the work to stop at its next check."""
        self._cancelled = True

    def check(self) -> None:
        """Stop the calling work when the job was cancelled.

        Raises:
            JobCancelled: the job was cancelled.
        """
        if self._cancelled:
            raise JobCancelled

    def report(self, partial: Any) -> None:
        """Publish a partial result from the work; stop it when the job was cancelled."""
        self.check()
        self.partial = partial

    def _run(self, work: Callable[[Job], Any]) -> None:
        try:
            self.check()
            self.status = JobStatus.RUNNING
            self.result = work(self)
            self.status = JobStatus.DONE
        except JobCancelled:
            self.status = JobStatus.CANCELLED
        except PaletteError as error:
            self.error, self.status = str(error), JobStatus.FAILED
        except Exception as error:
            _logger.exception("The job %r failed.", self.key)
            self.error, self.status = f"{type(error).__name__}: {error}", JobStatus.FAILED
        finally:
            self._ended.set()


class Jobs:
    """A registry of jobs and the threads that run them.

    Args:
        workers: threads; each job keeps a core busy, so one fewer than the number of cores is enough.
        capacity: maximum number of jobs kept; the least recently used one is evicted first, never a running one.

    Raises:
        InputError: workers or capacity below 1.

    Example:
        >>> jobs = Jobs()
        >>> job = jobs.submit(("square", 3), lambda job: 3 * 3)
        >>> job.wait(), job.result
        (True, 9)
    """

    def __init__(self, workers: int = 1, capacity: int = 128) -> None:
        if workers < 1 or capacity < 1:
            raise InputError(f"Jobs needs at least 1 worker and room for 1 job; got {workers} and {capacity}.")
        self._capacity = capacity
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="palette-job")
        self._jobs: OrderedDict[Hashable, Job] = OrderedDict()
        # Reentrant: a caller that is garbage-collected releases its slots in whichever thread collects, even in here.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, key: Hashable, work: Callable[[Job], Any], slot: Hashable | None = None) -> Job:
        """Return the job of a key, created if there is none or if the last one failed or was cancelled.

        Args:
            key: what is computed; equal keys must mean equal results.
            work: called in a thread with the job.
            slot: the caller, for example (session, figure). A slot holds one job at a time: the one it held before
                is cancelled unless another slot holds it too. A job without a slot is never cancelled this way.

        Returns:
            The job; it may have ended already.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.status in (JobStatus.FAILED, JobStatus.CANCELLED) or job._cancelled:
                job = self._jobs[key] = Job(key)
                job._slots.add(_NO_SLOT if slot is None else slot)
                self._pool.submit(job._run, work)
            else:
                job._slots.add(_NO_SLOT if slot is None else slot)
            self._jobs.move_to_end(key)
            if slot is not None:
                self._release(slot, job)
            self._evict()
            return job

    def release(self, slot: Hashable) -> None:
        """Release the job of a slot; it is cancelled unless another slot holds it too."""
        with self._lock:
            self._release(slot, None)

    def release_all(self, is_released: Callable[[Any], bool]) -> None:
        """Release the jobs of all slots that a condition holds for, see :meth:`release`."""
        with self._lock:
            slots = {slot for job in self._jobs.values() for slot in job._slots if slot is not _NO_SLOT}
            for slot in filter(is_released, slots):
                self._release(slot, None)

    def _release(self, slot: Hashable, except_job: Job | None) -> None:
        for job in self._jobs.values():
            if job is not except_job and slot in job._slots:
                job._slots.discard(slot)
                if not job._slots and not job.ended:
                    job.cancel()

    def get(self, key: Hashable) -> Job | None:
        """Return the job of a key, or None if there is none."""
        with self._lock:
            return self._jobs.get(key)

    def close(self) -> None:
        """Cancel every job and shut down the threads."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _evict(self) -> None:
        for key in [key for key, job in self._jobs.items() if job.ended]:
            if len(self._jobs) <= self._capacity:
                break
            del self._jobs[key]


#: The slot of callers that give none; it is never released, so their jobs are not cancelled.
_NO_SLOT = object()


_shared: list[Jobs] = []
_shared_lock = threading.RLock()


def shared_jobs() -> Jobs:
    """Return the registry of this process, created on first use."""
    with _shared_lock:
        if not _shared:
            _shared.append(Jobs())
        return _shared[0]
