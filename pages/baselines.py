"""Weights that are picked without targets, random, equal or on one value, beside the palette."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core import words
from map_core.baselines import Baseline, compare
from map_core.figures import baselines as drawn
from map_core.figures import design
from map_core.glossary import Verdict
from map_core.jobs import Job
from pages.view import background, state, style, summary, way_out

DRAWS = (100, 400, 1000, 2000)
#: What the others may cost, as a multiple of the palette.
TIMES = {1.0: "The same", 1.5: "1.5 times", 2.0: "Twice"}

scene, palette = state.current()
assessment = state.assessed(scene, palette)
targets, names, solution = assessment.targets, scene.names, assessment.solution
wanted = [int(j) for j in np.flatnonzero(~np.isnan(targets))]

summary.head("Baselines", "What weights give that are picked without targets, beside those that are solved for yours.")
summary.palette_line(scene, assessment)
state.undo_line()
if not wanted:
    way_out.too_few("Without a target there is nothing that weights could miss. Give one value a target at least.")
    st.stop()
if solution is not None and solution.kl < 5e-4:
    way_out.too_few("The base model meets these targets already, so no weights have to be picked. Ask for more first.")
    st.stop()
way_out.out_of_reach(
    scene, assessment, "No weights meet it, picked or solved; below is how near they come and what they improve."
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
            help="Another seed draws other random weights; the same seed draws the same ones again.",
        )
    )
budget = None if solution is None else min(times * solution.kl, 0.98 * scene.oracle.log_candidates)


def work(job: Job) -> tuple[Baseline, ...]:
    return compare(scene.table, targets, form=scene.oracle.form, count=count, budget=budget, seed=seed)


def show(job: Job) -> None:
    """Shares, every draw, words, tables and data."""
    if job.error:
        st.html(style.note(f"The comparison could not be made: {job.error}"))
    if job.result is None:
        with st.container(height=420, border=False):
            st.html(style.note("" if job.ended else "Drawing random weights, and solving each for its cost."))
        return
    shown = drawn.Shown(job.result, targets, scene.units(), times if solution is not None else 1.0)
    st.subheader(drawn.headline(shown))
    st.html(style.facts(drawn.facts(shown)))
    with st.container(horizontal=True, key="baselines_shares"):
        for improved, title in ((False, "Meet every target"), (True, "Improve every targeted value")):
            with st.container(key=f"baselines_share_{int(improved)}"):
                st.html(f'<h4 class="vp-small-title">{title}</h4>')
                st.plotly_chart(
                    drawn.shares(shown, improved),
                    key=f"baselines_bars_{int(improved)}",
                    config=design.CONFIG,
                    alt=f"{title}: the share of each kind of weights. {drawn.headline(shown)}",
                )
    st.html(style.note("Thin lines: where the share of all random weights lies, with 90% confidence."))
    st.subheader("Every draw")
    _draws(shown)
    with st.expander("In words", key="baselines_words"):
        for sentence in drawn.summary(shown):
            st.text(sentence)
    with st.expander("Levels and cost", key="baselines_table"):
        st.html(style.levels_table(*drawn.table(shown), wide=True))
        st.html(style.note("Of random weights, the median."))
    with st.expander("How often a reply beats the base model's", key="baselines_wins"):
        st.html(style.levels_table(*drawn.wins(shown), wide=True))
        st.html(style.note("Replies to the same prompt, ties half: 50% is the base model itself."))
    st.download_button(
        "Data (CSV)",
        drawn.baselines_csv(shown),
        "baselines.csv",
        "text/csv",
        icon=":material/download:",
        type="tertiary",
        key="baselines_csv",
    )


def _draws(shown: drawn.Shown) -> None:
    """The draws, value by value or in the plane of two."""
    pairs = len(names) > 1
    titles = [words.capitalised(name) for name in names]
    across, upwards = (wanted + [j for j in range(len(names)) if j not in wanted])[:2] if pairs else (0, 0)
    with st.container(horizontal=True, vertical_alignment="bottom", key="baselines_view_controls"):
        view = st.segmented_control(
            "Show",
            ["plane", "strips"] if pairs else ["strips"],
            format_func={"plane": "Two values", "strips": "Value by value"}.__getitem__,
            default="plane" if len(wanted) > 1 else "strips",
            required=True,
            key="baselines_view",
            persist_state="session",
        )
        if view == "plane":
            axes = [
                st.selectbox(
                    label,
                    range(len(names)),
                    index=index,
                    format_func=titles.__getitem__,
                    key=f"baselines_{label.lower()}",
                    persist_state="session",
                )
                for label, index in (("Across", across), ("Upwards", upwards))
            ]
            across, upwards = int(axes[0]), int(axes[1])
    if view == "plane" and across == upwards:
        st.html(style.note("Choose two different values."))
        return
    figure = drawn.plane(shown, (across, upwards)) if view == "plane" else drawn.strips(shown)
    st.plotly_chart(figure, key=f"baselines_{view}", config=design.CONFIG, alt=drawn.alt(shown))
    most = f", the first {drawn.MOST_DOTS} of each kind" if count > drawn.MOST_DOTS else ""
    st.html(
        style.note(
            f"Rings: random weights at any cost; full dots: {shown.cost()}{most}. A star meets every target. "
            "Diamond: your palette."
        )
    )


key = (scene.key, targets.tobytes(), count, times, seed, assessment.verdict is Verdict.OUT_OF_REACH)
background.follow(background.job("baselines", key, work), show)
