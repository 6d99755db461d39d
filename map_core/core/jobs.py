"""Work in the background: one registry a process, a job a key, so that a page never waits and a reload attaches again.

A job is named by its content (table, use case, targets, ...): whoever asks for the same thing gets the same job, and
an answer that was computed once is there at once. A caller that moves on says so through its ``slot``: work that
nobody waits for any more is stopped. Constraint: no browser and no model here; the work is a function that
asks ``progress.check()`` now and then, and what it returns is never changed afterwards.
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

_log = logging.getLogger(__name__)


class JobStatus(StrEnum):
    """Where a job is; the last three are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobCancelled(Exception):
    """Raised inside a job's work when nobody wants its answer any more."""


class Job:
    """One piece of work and what has come of it; every attribute may be read from any thread.

    Attributes:
        key: what is computed.
        status: see :class:`JobStatus`.
        partial: what there is so far, as the work last reported it; None before.
        result: the answer, once the status is "done".
        error: what went wrong, in words, once the status is "failed".
    """

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.status = JobStatus.WAITING
        self.partial: Any = None
        self.result: Any = None
        self.error: str | None = None
        self._slots: set[Hashable] = set()
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, or for ``timeout`` seconds; whether it has ended."""
        return self._ended.wait(timeout)

    def cancel(self) -> None:
        """Stop at the work's next check."""
        self._stop.set()

    def check(self) -> None:
        """Called by the work: stop here when nobody waits any more.

        Raises:
            JobCancelled: stop now.
        """
        if self._stop.is_set():
            raise JobCancelled

    def report(self, partial: Any) -> None:
        """Called by the work: show what there is so far, and stop here when nobody waits any more."""
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
            _log.exception("The job %r failed.", self.key)
            self.error, self.status = f"{type(error).__name__}: {error}", JobStatus.FAILED
        finally:
            self._ended.set()


class Jobs:
    """A registry of jobs and the threads that do them.

    Args:
        workers: threads; the mathematics holds on to a core each, so one fewer than there are cores is plenty.
        capacity: jobs that are remembered; the one not asked for the longest goes first, never one that still runs.

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
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, key: Hashable, work: Callable[[Job], Any], slot: Hashable | None = None) -> Job:
        """The job of a key: the one that is there already, or a new one.

        A job that failed or was cancelled is done anew.

        Args:
            key: what is computed, hashable; equal keys must mean equal answers.
            work: called in a thread with the job.
            slot: who asks, for example (session, figure). A slot holds one job at a time: the one it held before
                is cancelled unless another slot holds it too. Without a slot the job is never cancelled this way.

        Returns:
            The job; it may have ended already.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.status in (JobStatus.FAILED, JobStatus.CANCELLED) or job._stop.is_set():
                job = self._jobs[key] = Job(key)
                job._slots.add(_NOBODY if slot is None else slot)
                self._pool.submit(job._run, work)
            else:
                job._slots.add(_NOBODY if slot is None else slot)
            self._jobs.move_to_end(key)
            if slot is not None:
                self._give_up(slot, job)
            self._forget()
            return job

    def release(self, slot: Hashable) -> None:
        """Give up what a slot holds; it is cancelled unless another slot holds it too."""
        with self._lock:
            self._give_up(slot, None)

    def _give_up(self, slot: Hashable, kept: Job | None) -> None:
        for job in self._jobs.values():
            if job is not kept and slot in job._slots:
                job._slots.discard(slot)
                if not job._slots and not job.ended:
                    job.cancel()

    def get(self, key: Hashable) -> Job | None:
        """The job of a key, if it is remembered."""
        with self._lock:
            return self._jobs.get(key)

    def close(self) -> None:
        """Cancel everything and let the threads end."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _forget(self) -> None:
        for key in [key for key, job in self._jobs.items() if job.ended]:
            if len(self._jobs) <= self._capacity:
                break
            del self._jobs[key]


#: Stands for a caller without a slot, whose job nobody else may cancel.
_NOBODY = object()

_shared: list[Jobs] = []
_sharing = threading.Lock()


def shared_jobs() -> Jobs:
    """The one registry of this process, made on first use."""
    with _sharing:
        if not _shared:
            _shared.append(Jobs())
        return _shared[0]
