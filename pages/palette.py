"""Set the levels, see at once whether they can be had."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core import words
from map_core.feasibility import Assessment
from map_core.glossary import Verdict
from map_core.palette import Target
from map_core.sensitivity import local
from pages.view import background, state, style, summary
from pages.view.scene import Scene

scene, palette = state.current()

summary.head(
    "Palette",
    "Say how much of each value you want, and leave free what you do not mind. At once you see whether this model can "
    "give it, what it costs and what stands in the way.",
    start_again=True,
)
assessment = state.assessed(scene, palette)
solution = assessment.solution
names = scene.names


def desk() -> None:
    """A slider for each value, with base and realised level along it."""
    for j, name in enumerate(scene.table.values):
        target = palette.targets[name]
        low, high = scene.ranges[j]
        base = scene.percentile(j, 0.0)
        realised = None if solution is None else scene.percentile(j, float(solution.levels[j]))
        with st.container(key=f"value_{j}", gap=None):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{style.plain(words.capitalised(names[j]))}**", help=scene.cards[j])
                shown, meaning = _readout(j, target)
                st.html(style.readout(shown, meaning))
                st.session_state[f"free_{name}"] = target.free
                st.toggle(
                    "Free",
                    key=f"free_{name}",
                    on_change=state.set_free,
                    args=(name, names[j]),
                )
            st.session_state[f"target_{name}"] = int(np.clip(round(target.percentile), low, high))
            st.slider(
                f"{words.capitalised(names[j])}: target in percentiles of the base model's replies",
                low,
                high,
                step=1,
                format="p%d",
                key=f"target_{name}",
                on_change=state.move,
                args=(scene, name),
                disabled=target.free,
                label_visibility="collapsed",
                help=scene.cards[j],
            )
            along = f"{words.capitalised(names[j])}: base model at p{base:.0f}"
            along += "" if realised is None else f", realised at p{realised:.0f}"
            span = high - low
            st.html(style.rail(j, (base - low) / span, None if realised is None else (realised - low) / span, along))


def _readout(j: int, target: Target) -> tuple[str, str]:
    base = scene.oracle.base[j]
    if target.free:
        return "free", f"base model {words.number(base)}"
    level = scene.percentiles.level(j, target.percentile) if target.level is None else target.level
    return f"p{target.percentile:.0f}", f"reward {words.number(level)}, base model {words.number(base)}"


def verdict() -> None:
    """The answer: what can be had, what it costs, and the way out when it cannot."""
    st.html(
        style.headline(
            assessment.verdict, words.HEADLINES[assessment.verdict], words.verdict(assessment, scene.oracle, names)
        )
    )
    if assessment.nearest is not None:
        nearest = assessment.nearest.targets
        st.button(
            "Go to the nearest palette that works",
            key="nearest",
            type="primary",
            icon=":material/my_location:",
            on_click=state.take,
            args=(scene, nearest, "The nearest palette that works was taken."),
            width="stretch",
        )
        st.html(style.chips(_changes(scene, assessment)))
    elif assessment.verdict is not Verdict.REACHABLE:
        st.html(style.note("No palette near this one can be had. Lower a target, or leave a value free."))
    state.undo_line()
    if solution is not None and assessment.ess is not None:
        prices = local(solution)
        distance = words.distance(solution.kl, scene.oracle.log_candidates)
        st.html(
            style.facts(
                [
                    ("Distance", f"{solution.kl:.2f} nats", distance),
                    ("Bottleneck", *words.bottleneck(prices, names)),
                    ("Rests on", *words.rests_on(assessment.ess, scene.oracle.form)),
                ]
            )
        )
    if assessment.verdict is not Verdict.REACHABLE:
        background.highest_levels(scene, assessment)
    st.html(style.levels_table(*_levels(scene, assessment)))
    if free := words.slack(assessment, names):
        st.html(style.note(free))
    st.html(style.note(words.form(scene.oracle)))


def _changes(scene: Scene, assessment: Assessment) -> list[tuple[int, str]]:
    """Where the nearest palette differs from the one asked for."""
    assert assessment.nearest is not None
    said = []
    for j in np.flatnonzero(~np.isnan(assessment.targets)):
        asked, near = (scene.percentile(int(j), float(t[j])) for t in (assessment.targets, assessment.nearest.targets))
        if asked - near > 0.05:
            digits = 0 if asked - near > 1 else 1
            said.append((int(j), f"{names[j]} p{asked:.{digits}f} → p{near:.{digits}f}"))
    return said


def _levels(scene: Scene, assessment: Assessment) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Levels in reward units: base, target, realised and weight; those of the nearest palette when out of reach."""
    nearest = assessment.nearest.solution if assessment.nearest else None
    shown = assessment.solution or nearest
    targets = scene.oracle.rewards_at(assessment.targets)
    rows = []
    for j, name in enumerate(names):
        cells = [words.capitalised(name), words.number(float(scene.oracle.base[j]))]
        cells.append("free" if np.isnan(targets[j]) else words.number(float(targets[j])))
        cells += (
            ["–", "–"]
            if shown is None
            else [
                words.number(float(scene.oracle.rewards_at(shown.levels)[j])),
                words.number(float(shown.weights[j] / scene.oracle.scale[j])),
            ]
        )
        rows.append((j, cells))
    return ["Value", "Base", "Target", "Realised" if assessment.solution else "Nearest", "Weight"], rows


st.html(style.value_colours(len(names)))
with st.container(key="desk"):
    left, right = st.columns([1.15, 1], gap="large")
    with left:
        st.html(style.strip(assessment.verdict, words.HEADLINES[assessment.verdict]))
        st.html(style.rail_key())
        desk()
    with right, st.container(key="verdict"):
        verdict()
