"""What takes over a tenth of a second: computed in the background, drawn when it is there.

Each piece asks for its job and draws itself in a fragment that looks again while the job runs and stops when it has
ended. Constraint: nothing waits here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import streamlit as st

from map_core import words
from map_core.certificate import AttainableLevels
from map_core.feasibility import Assessment
from map_core.jobs import Job, shared_jobs
from pages.view import guard, state, style
from pages.view.scene import Scene

POLL_SECONDS = 0.4


def viewer() -> str:
    """A name for this viewer's session, which holds its slots in the registry."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return context.session_id if context else "nobody"


def job(name: str, key: Hashable, work: Callable[[Job], Any]) -> Job:
    """The job for one piece of this viewer's page; the piece's earlier job is stopped when nobody else wants it."""
    return shared_jobs().submit((name, key), work, slot=(viewer(), name))


def follow(job: Job, draw: Callable[[Job], None]) -> None:
    """Draw a job now, and again while it runs; drawing stops by itself once it has ended."""
    running = not job.ended

    @st.fragment(run_every=POLL_SECONDS if running else None)
    def piece() -> None:
        with guard.guarded("A part of the page"):
            draw(job)
        if running and job.ended:
            st.rerun()  # once more as a whole, without the clock

    piece()


def highest_levels(scene: Scene, assessment: Assessment) -> None:
    """The highest level of each value while the others keep their targets, each one click away."""
    targets = assessment.targets
    wanted = [int(j) for j in np.flatnonzero(~np.isnan(targets))]

    def work(job: Job) -> dict[int, float]:
        attainable, found = AttainableLevels(scene.oracle), {}
        for j in wanted:
            found[j] = attainable.highest(targets, j)
            job.report(dict(found))
        return found

    def draw(job: Job) -> None:
        found: dict[int, float] = job.result or job.partial or {}
        st.html('<h4 class="vp-small-title">The most of each, if the others stay</h4>')
        if job.error:
            st.html(style.note(f"This could not be computed: {job.error}"))
        for j in wanted:
            name = words.capitalised(scene.names[j])
            if j not in found:
                said, level = "…", math.nan
            elif math.isnan(found[j]):
                said, level = "the others alone are out of reach", math.nan
            else:
                level = found[j]
                said = f"up to p{math.floor(scene.percentile(j, level))}"
            with st.container(horizontal=True, vertical_alignment="center", key=f"highest_{j}"):
                st.html(f"{style.chips([(j, f'{name}: {said}')])}", width="stretch")
                if not math.isnan(level) and level < targets[j]:
                    changed = np.full(len(targets), np.nan)
                    changed[j] = level
                    st.button(
                        "Take",
                        key=f"take_{j}",
                        type="tertiary",
                        on_click=state.take,
                        args=(scene, changed, f"{name} was set to the most that the others leave it."),
                        help=f"Lower {name.lower()} alone and keep the others",
                    )

    follow(job("highest", (scene.key, targets.tobytes()), work), draw)
