"""Baselines: random, equal and single-value weights, compared with those solved for the palette."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from map_core.analysis.baselines import Baseline, compare_baselines
from map_core.core import amounts
from map_core.core.jobs import Job
from map_core.core.types import Verdict
from map_core.solver.newton import Status
from pages.view.session import empty_states, header, palette_state
from pages.view.shell import background
from pages.view.studies import baselines
from pages.view.studies.tuned_mixtures import draw_mixtures

DRAWS = (100, 400, 1000, 2000)
#: What the others may cost, as a multiple of the palette.
TIMES = {1.0: "The same", 1.5: "1.5 times", 2.0: "Twice"}

scene, palette = palette_state.current()
assessment = palette_state.current_assessment(scene, palette)
targets, solution = assessment.targets, assessment.solution
if solution is not None and solution.status is not Status.CONVERGED:
    solution = None  # on the edge of what is possible there is no finite cost to compare with

header.draw_header(
    "Baselines",
    "What you would get by choosing how hard to push each value, at random or evenly, instead of setting targets.",
)
header.draw_palette_line(scene, assessment)
palette_state.draw_undo_line()
if np.isnan(targets).all():
    empty_states.draw_too_few("Without a target there is nothing to compare. Give at least one value a target.")
    st.stop()
if solution is not None and solution.kl < amounts.FREE_NATS:
    empty_states.draw_too_few(
        "The base model meets these targets already, so there are no weights to choose. Ask for more first."
    )
    st.stop()
empty_states.draw_out_of_reach(
    scene,
    assessment,
    "No weights, chosen or solved, meet these targets. Below you see how close they come and what they improve.",
)

with st.container(horizontal=True, vertical_alignment="bottom", key="baselines_controls"):
    count = int(
        st.segmented_control(
            "Random weights",
            DRAWS,
            format_func=lambda n: f"{n:,}",
            default=400,
            required=True,
            key="baselines_count",
            persist_state="session",
        )
    )
    times = float(
        st.segmented_control(
            "What the others may cost, against the palette",
            list(TIMES),
            format_func=TIMES.__getitem__,
            default=1.0,
            required=True,
            key="baselines_times",
            persist_state="session",
            disabled=solution is None,
        )
    )
    seed = int(
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            0,
            key="baselines_seed",
            persist_state="session",
            width=150,
            help="A different seed draws different random weights; the same seed draws the same ones again.",
        )
    )
budget = None if solution is None else min(times * solution.kl, 0.98 * scene.oracle.log_candidates)
query = baselines.BaselineQuery(scene, targets, times if solution is not None else 1.0)


def work(job: Job) -> tuple[Baseline, ...]:
    """Compare every way to pick weights at the same cost."""
    return compare_baselines(scene.table, targets, form=scene.oracle.form, count=count, budget=budget, seed=seed)


key = (scene.key, targets.tobytes(), count, times, seed, assessment.verdict is Verdict.OUT_OF_REACH)
background.poll(background.job("baselines", key, work), partial(baselines.draw_baselines, query))
if solution is not None:
    with st.container(key="baselines_tuned"):
        draw_mixtures(scene, targets, solution)
