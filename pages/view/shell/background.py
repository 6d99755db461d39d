"""What takes over a tenth of a second: computed in the background, drawn when it is there.

Each piece asks for its job and draws itself in a fragment that looks again while the job runs and stops when it has
ended. What a visit waits for is cancelled when the visit ends. Constraint: nothing waits here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from map_core.core.jobs import Job, shared_jobs
from pages.view.shell import errors
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id

POLL_SECONDS = 0.4


class _Waiting:
    """The parts of a visit's page that wait for a job. The visit alone holds it: when it is gone, nobody waits.

    Without this the work of visits that have ended would be done all the same, before that of those who are here.

    Args:
        viewer: the id of the visit.
    """

    def __init__(self, viewer: str) -> None:
        self.names: set[str] = set()
        weakref.finalize(self, _release, viewer, self.names).atexit = False


def _release(viewer: str, names: set[str]) -> None:
    for name in names:
        shared_jobs().release((viewer, name))


WAITING: Key[_Waiting | None] = Key("waiting_parts", None)


def job(name: str, key: Hashable, work: Callable[[Job], Any]) -> Job:
    """Return the job for one part of this viewer's page, and stop the part's earlier one when nobody else wants it."""
    if (waiting := WAITING.get()) is None:
        WAITING.set(waiting := _Waiting(viewer_id()))
    waiting.names.add(name)
    return shared_jobs().submit((name, key), work, slot=(viewer_id(), name))


def poll(job: Job, draw: Callable[[Job], None]) -> None:
    """Draw a job now, and again while it runs; drawing stops by itself once it has ended."""
    running = not job.ended

    @st.fragment(run_every=POLL_SECONDS if running else None)
    def piece() -> None:
        with errors.guarded("A part of the page"):
            draw(job)
        if running and job.ended:
            st.rerun()  # once more as a whole, without the clock

    piece()
