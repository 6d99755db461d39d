"""What a meeting comes to, followed by the wall and by every phone that this process serves.

One job at a time belongs to a meeting, whoever looks and however many do, so work never piles up and everybody sees
the same agreement. Constraint: nothing waits here; what is not known yet is the agreement of a moment ago, or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace

from map_core.core.compute_once import ComputeOnce
from map_core.core.jobs import Job, JobStatus, shared_jobs
from map_core.groups import Group, GroupAgreement
from map_core.store import meetings
from pages.view.groups import results
from pages.view.session.scene import Scene


@dataclass(frozen=True, eq=False)
class KnownAgreement:
    """What is known now: the newest agreement, and why the last one could not be computed."""

    found: GroupAgreement | None
    error: str | None


@dataclass(frozen=True, eq=False)
class _AgreementJob:
    """A job of the meeting, and whom it was asked for."""

    key: Hashable
    job: Job
    groups: tuple[Group, ...]

    def is_over(self, key: Hashable) -> bool:
        """Return whether the next job may begin.

        This one has ended, or others are asked for and only its last stage, which nobody waits for, is left.
        """
        if self.key == key:
            return self.job.status is JobStatus.CANCELLED
        so_far: GroupAgreement | None = self.job.partial
        if not self.job.ended and so_far is not None and so_far.alone is not None:
            self.job.cancel()
            return True
        return self.job.ended


class SharedAgreement:
    """The agreement of one meeting as its members and its budget change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: _AgreementJob | None = None
        self._found: GroupAgreement | None = None

    def look(self, scene: Scene, groups: tuple[Group, ...], spend: float) -> KnownAgreement:
        """Return what these groups come to as far as it is known, after asking for it where nobody has."""
        key = results.job_key(scene, groups, spend)
        with self._lock:
            request = self._asked
            if request is None or request.is_over(key):
                request = _AgreementJob(
                    key, shared_jobs().submit(key, results.agreement_work(scene, groups, spend)), groups
                )
            elif request.key == key:
                request = replace(request, groups=groups)  # the same wishes under other names
            self._asked = request
            self._found = results.partial_agreement(request.job, request.groups) or self._found
            return KnownAgreement(self._found, request.job.error)


#: Held by the process: what a cache of Streamlit's holds, any client can empty.
_agreements: ComputeOnce[SharedAgreement] = ComputeOnce(256)


def shared_agreement(code: str) -> SharedAgreement:
    """Return what everybody who looks at a meeting shares."""
    return _agreements.get(code, SharedAgreement)


def meeting_budget(scene: Scene, held: meetings.Meeting) -> float:
    """Return what the common palette may spend: as the host's screen has said, or the usual."""
    return results.initial_budget(scene) if held.budget is None else held.budget
