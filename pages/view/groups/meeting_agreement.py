"""The agreement of a meeting, shared by the host's screen and every phone that this process serves.

A meeting has one job at a time, however many people look, so work does not pile up and everybody sees the same
agreement. Constraint: nothing waits here; until a job has a result, the previous agreement is returned, or none. Every
caller has the scene of :func:`meeting_scene`, which changes when values are shared with everybody or withdrawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from map_core.core.compute_once import ComputeOnce
from map_core.core.jobs import Job, JobStatus, shared_jobs
from map_core.groups import Group, GroupAgreement
from map_core.store import meetings
from pages.view.groups import results
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene

#: Seconds after the beginning of a job that failed before it is tried again; its error is shown until then.
RETRY_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class KnownAgreement:
    """The newest agreement that is known, and why the last one could not be computed."""

    agreement: GroupAgreement | None
    error: str | None


@dataclass(frozen=True, eq=False)
class _AgreementJob:
    """A job of the meeting, and the groups that it computes for."""

    key: Hashable
    job: Job
    groups: tuple[Group, ...]
    begun: float = field(default_factory=time.monotonic)

    def is_over(self, key: Hashable) -> bool:
        """Return whether the next job may begin.

        It may once this one has ended; for the same groups only where there is no result, and after a failure not at
        once. Where other groups are asked for, it also may once only the last stage is left, which nobody waits for;
        that stage is cancelled.
        """
        if self.key == key:
            failed = self.job.status is JobStatus.FAILED
            return self.job.status is JobStatus.CANCELLED or (failed and time.monotonic() > self.begun + RETRY_SECONDS)
        partial: GroupAgreement | None = self.job.partial
        if not self.job.ended and partial is not None and partial.alone is not None:
            self.job.cancel()
            return True
        return self.job.ended


class SharedAgreement:
    """The agreement of one meeting as its members and its budget change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._request: _AgreementJob | None = None
        self._newest: GroupAgreement | None = None

    def look(self, scene: Scene, groups: tuple[Group, ...], spend: float) -> KnownAgreement:
        """Return the newest agreement of these groups, submitting the job for it where nobody has."""
        key = results.job_key(scene, groups, spend)
        with self._lock:
            request = self._request
            if request is None or request.is_over(key):
                request = _AgreementJob(
                    key, shared_jobs().submit(key, results.agreement_work(scene, groups, spend)), groups
                )
            elif request.key == key:
                request = replace(request, groups=groups)  # the same wishes under other names
            self._request = request
            self._newest = results.partial_agreement(request.job, request.groups) or self._newest
            return KnownAgreement(self._newest, request.job.error)


#: Not in a cache of Streamlit, which any client could clear.
_agreements: ComputeOnce[SharedAgreement] = ComputeOnce(256)


def shared_agreement(code: str, scene_key: Hashable) -> SharedAgreement:
    """Return the agreement that all viewers of a meeting share.

    Args:
        code: of the meeting.
        scene_key: the key of its scene.
    """
    return _agreements.get((code, scene_key), SharedAgreement)


def meeting_scene(meeting: meetings.Meeting) -> Scene:
    """Return what a meeting is about: its use case on the open table, without custom values that are private.

    Those depend on who looks, but everybody in a meeting has the same faders and sees the same agreement.
    """
    return scenes.load_for_everybody(meeting.use_case)


def meeting_budget(scene: Scene, meeting: meetings.Meeting) -> float:
    """Return the nats that the common palette may spend: as the host has set it, or the usual."""
    return results.initial_budget(scene) if meeting.budget is None else meeting.budget
