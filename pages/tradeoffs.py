"""What can be had together, and what each target costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import streamlit as st

from map_core import words
from map_core.certificate import AttainableLevels
from map_core.figures import design, plane, sweep
from map_core.frontier import Frontier, frontier
from map_core.jobs import Job
from map_core.sensitivity import curve, local
from pages.view import background, state, style, summary

BUDGETS = (0.25, 0.5, 1.0, 2.0)

scene, palette = state.current()
assessment = state.assessed(scene, palette)
targets, names = assessment.targets, scene.names
titles = [words.capitalised(name) for name in names]

summary.head(
    "Trade-offs", "Where values pull against each other, how far each budget reaches, and what one more step costs."
)
summary.palette_line(scene, assessment)
state.undo_line()


def show_frontier() -> None:
    """The plane of two values; a click on a point takes its levels as targets."""
    if len(names) < 2:
        st.html(style.note("This table has one value, so there is nothing to trade."))
        return
    wanted = [int(j) for j in np.flatnonzero(~np.isnan(targets))]
    first, second = (wanted + [j for j in range(len(names)) if j not in wanted])[:2]
    with st.container(horizontal=True, key="frontier_controls"):
        across = st.selectbox(
            "Across",
            range(len(names)),
            index=first,
            format_func=titles.__getitem__,
            key="frontier_across",
            persist_state="session",
        )
        upwards = st.selectbox(
            "Upwards",
            range(len(names)),
            index=second,
            format_func=titles.__getitem__,
            key="frontier_upwards",
            persist_state="session",
        )
        unit: design.Unit = st.segmented_control(
            "Units",
            ["percentile", "reward"],
            format_func={"percentile": "Percentiles", "reward": "Rewards"}.__getitem__,
            default="percentile",
            required=True,
            key="frontier_unit",
            persist_state="session",
        )
        kept = st.segmented_control(
            "The other values",
            ["free", "kept"],
            format_func={"free": "Free", "kept": "Keep their targets"}.__getitem__,
            default="free",
            required=True,
            key="frontier_others",
            persist_state="session",
            help="Free: the widest choice. Keep their targets: every point also meets the targets of all other values.",
        )
    if across == upwards:
        st.html(style.note("Choose two different values."))
        return
    pair = (int(across), int(upwards))
    floors = targets.copy() if kept == "kept" else np.full(len(targets), np.nan)
    floors[list(pair)] = np.nan

    def work(job: Job) -> Frontier:
        return frontier(scene.oracle, pair, BUDGETS, floors=floors)

    units = scene.units(unit)
    stand = plane.Palette(targets, None if assessment.solution is None else assessment.solution.levels)

    def draw(job: Job) -> None:
        found: Frontier | None = job.result
        figure = plane.plane(scene.table, units, pair, found, stand)
        event = st.plotly_chart(
            figure,
            key=f"plane_{pair}_{unit}_{kept}",
            on_select="rerun",
            selection_mode="points",
            config=design.CONFIG,
            alt=f"What can be had of {names[pair[0]]} and {names[pair[1]]} together at each budget",
        )
        if job.error:
            st.html(style.note(f"The frontier could not be computed: {job.error}"))
        if found is None:
            if not job.ended:
                st.html(style.note("Computing the frontier."))
            return
        _take_point(event, found)
        if not any(len(contour.levels) for contour in found.contours if math.isfinite(contour.budget)):
            st.html(
                style.note(
                    f"The targets of the other values alone cost more than {BUDGETS[-1]:g} nats, or cannot be met."
                )
            )
        with st.expander("In words"):
            for sentence in plane.summary(found, units):
                st.text(sentence)
        name = f"frontier-{scene.table.values[pair[0]]}-{scene.table.values[pair[1]]}"
        _download(plane.plane_csv(found, scene.oracle), name, "frontier_csv")

    background.follow(background.job("frontier", (scene.key, pair, floors.tobytes()), work), draw)


def _download(data: str, name: str, key: str) -> None:
    """A figure's numbers as a file."""
    st.download_button(
        "Data (CSV)", data, f"{name}.csv", "text/csv", icon=":material/download:", type="tertiary", key=key
    )


def _take_point(event: Any, found: Frontier) -> None:
    """A clicked point's levels become the targets, once."""
    points = [p for p in event.selection.points if p.get("customdata") is not None] if event else []
    chosen = tuple(points[0]["customdata"]) if points else None
    if chosen is None or len(chosen) != 2:
        st.session_state.pop("frontier_taken", None)
        return
    # Without the floors: what was taken may move them by a rounding, and must not be taken again for that.
    mark = (scene.key, found.pair, chosen)
    if st.session_state.get("frontier_taken") == mark:
        return
    st.session_state["frontier_taken"] = mark
    contour, direction = plane.point(found, chosen)
    new = plane.taken(targets, found, contour, direction)
    state.take(scene, new, "A point of the frontier was taken as your target.")
    st.rerun()


def show_sensitivity() -> None:
    """Weights, distance and every realised level as one target is moved."""
    local_prices = None if assessment.solution is None else local(assessment.solution)
    bottleneck = local_prices.bottleneck if local_prices else None
    with st.container(key="sensitivity_controls"):
        value = int(
            st.selectbox(
                "Move the target of",
                range(len(names)),
                index=bottleneck or 0,
                format_func=titles.__getitem__,
                key="sensitivity_value",
                persist_state="session",
            )
        )
    if local_prices is not None and assessment.solution is not None and not math.isnan(targets[value]):
        st.html(style.note(words.price(local_prices, value, names)))

    others = targets.copy()
    others[value] = np.nan

    def work(job: Job) -> Any:
        return curve(scene.oracle, others, value, attainable=AttainableLevels(scene.oracle))

    def draw(job: Job) -> None:
        if job.error:
            st.html(style.note(f"The curves could not be computed: {job.error}"))
        if job.result is None:
            with st.container(height=380, border=False):
                st.html(style.note("" if job.ended else "Computing the curves."))
            return
        found = job.result
        if len(found.targets) < 2:
            st.html(
                style.note(
                    "The other targets cannot be met by themselves, so nothing can be swept. Lower one of them first."
                )
            )
            return
        units = scene.units()
        drawn = sweep.Sweep(found, units, float(targets[value]))
        st.html(style.legend(list(enumerate(names))))
        with st.container(horizontal=True, key="sensitivity_charts"):
            for name, figure, said in (
                ("levels", sweep.levels(drawn), f"Realised levels as the target of {names[value]} moves"),
                ("weights", sweep.weights(drawn), f"Weights as the target of {names[value]} moves"),
                ("kl", sweep.kl(drawn), f"Distance from the base model as the target of {names[value]} moves"),
            ):
                st.plotly_chart(figure, key=f"sweep_{name}_{value}", config=design.CONFIG, alt=said)
        where = [units.said(value, switch.target) for switch in found.switches]
        for sentence in words.switches(found, names, where):
            st.text(sentence)
        st.html(
            style.note(
                f"The highest that {names[value]} can go while the others keep their targets is "
                f"{units.said(value, found.highest)}. Dotted lines mark where a target begins or ends to cost."
            )
        )
        name = f"sensitivity-{scene.table.values[value]}"
        _download(sweep.sweep_csv(found, scene.oracle), name, "sensitivity_csv")

    background.follow(background.job("sensitivity", (scene.key, value, others.tobytes()), work), draw)


with st.container(key="frontier"):
    st.subheader("What can be had together")
    st.html(
        style.note(
            "Grey dots are the model's own replies. Each line is as far as a budget goes, in nats from the base model. "
            "Click a point on a line to make it your target."
        )
    )
    show_frontier()
with st.container(key="sensitivity"):
    st.subheader("What a target costs")
    show_sensitivity()
