"""Sequence: values aligned one after another in a chosen order, compared with all values at once."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from map_core.analysis.order_effects import OrderComparison, compare_orders
from map_core.analysis.sequential import SequentialPath, sequential_path
from map_core.core.jobs import Job
from map_core.figures.sequence import NEAR
from pages.view.session import empty_states, header, palette_state
from pages.view.shell import background
from pages.view.studies import order_list
from pages.view.studies import sequence as sequence_view

#: Rounds that can be shown, and rounds that are computed at most to see when the path has converged.
MOST_ROUNDS, SEARCHED = 10, 60
#: Orders that are compared at most: all of them for up to four values, a random sample for more.
MOST_ORDERS = 60

scene, palette = palette_state.current()
assessment = palette_state.current_assessment(scene, palette)
targets, solution = assessment.targets, assessment.solution
wanted = [int(j) for j in np.flatnonzero(~np.isnan(targets))]

header.draw_header(
    "Sequence",
    "Models are often tuned for one value, then for the next. Each step can take back what an earlier one gave. Look "
    "here before you plan such steps: which order loses least, how many rounds it takes, and what all values at once "
    "give.",
)
header.draw_palette_line(scene, assessment)
palette_state.draw_undo_line()
if len(wanted) < 2:
    empty_states.draw_too_few("A sequence needs at least two targets: with one value there is no other to undo.")
    st.stop()
empty_states.draw_out_of_reach(
    scene, assessment, "One value after another, each step undoes what the last one gave, as shown below."
)
chosen = order_list.current_order(scene, wanted)

left, right = st.columns([1, 2.1], gap="large")
with left, st.container(key="sequence_order_column"):
    st.header("Order")
    order_list.draw_order_list(
        scene, chosen, [f"target {scene.units().wording.level(scene.percentile(j, float(targets[j])))}" for j in chosen]
    )
    rounds = int(
        st.slider(
            "Rounds",
            1,
            MOST_ROUNDS,
            1,
            key="sequence_rounds",
            persist_state="session",
            help="How often the order is repeated. Each round repairs what the last one undid.",
        )
    )
    grows = bool(
        st.toggle(
            "Steps only add",
            key="sequence_grows",
            persist_state="session",
            help="Each step starts from the last model as it is, and never takes weight back from a value.",
        )
    )
query = sequence_view.SequenceQuery(scene, targets, solution, chosen, rounds, grows)


def find_path(job: Job) -> SequentialPath:
    """Compute one round, then all that can be shown, then as many as convergence takes; report each path."""
    for count in (1, MOST_ROUNDS, SEARCHED):
        sequential = sequential_path(scene.oracle, targets, chosen, rounds=count, grow_only=grows)
        job.report(sequential)
        job.check()
        settled = solution is None or grows or sequential.rounds_to(solution.levels, NEAR) is not None
        if count >= MOST_ROUNDS and (settled or sequential.rounds < count):
            break
    return sequential


def compare(job: Job) -> OrderComparison:
    """Return the same targets in many orders."""
    return compare_orders(scene.oracle, targets, rounds=rounds, grow_only=grows, limit=MOST_ORDERS)


key = (scene.key, targets.tobytes(), grows)
with right:
    background.poll(background.job("sequence", (*key, chosen), find_path), partial(sequence_view.draw_sequence, query))
if solution is not None:
    with st.container(key="sequence_orders"):
        st.header("Does the order matter?")
        background.poll(background.job("orders", (*key, rounds), compare), partial(sequence_view.draw_orders, query))
