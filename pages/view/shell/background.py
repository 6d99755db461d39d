"""Background jobs of a page, for what takes more than a tenth of a second.

Each part of a page submits its job and draws itself in a fragment that polls until the job has ended. The jobs of a
visit are released when the visit ends. Constraint: nothing waits here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from map_core.core.jobs import Job, shared_jobs
from pages.view.shell import errors, markup, page_words
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id

POLL_SECONDS = 0.4


class _Waiting:
    """The parts of a visit's page that wait for a job; held by the visit alone, so that jobs are released with it.

    Without this, jobs of visits that have ended would be computed before those of visitors who are still there.

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
    """Return the job for one part of this viewer's page, and release the part's earlier job."""
    if (waiting := WAITING.get()) is None:
        WAITING.set(waiting := _Waiting(viewer_id()))
    waiting.names.add(name)
    return shared_jobs().submit((name, key), work, slot=(viewer_id(), name))


def poll(job: Job, draw: Callable[[Job], None]) -> None:
    """Draw a job now, and again while it runs."""
    running = not job.ended

    @st.fragment(run_every=POLL_SECONDS if running else None)
    def polling_part() -> None:
        with errors.guarded("A part of the page"):
            draw(job)
        if running and job.ended:
            st.rerun()  # the whole page, so that this fragment stops polling

    polling_part()


def draw_state(job: Job, failed: str, running: str, height: int | None = None) -> Any:
    """Draw why a job failed, or that it is running, and return its result, or what there is of it.

    Args:
        job: of :func:`job`.
        failed: what could not be done.
        running: what is being done.
        height: pixels that are left free until there is a result.
    """
    result = job.partial if job.result is None else job.result
    if job.error:
        st.html(markup.note(f"{failed}: {page_words.of(job.error)}"))
    if result is None and height is not None:
        with st.container(height=height, border=False):
            st.html(markup.note("" if job.ended else running))
    elif result is None and not job.ended:
        st.html(markup.note(running))
    return result
