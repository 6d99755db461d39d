"""The base model and the aligned model answer the same prompts, side by side, from the same candidates."""

from __future__ import annotations

import math

import streamlit as st

from pages.view import ask, channel, columns, field, generator, judging, many, palettes, state, style, summary

#: Seconds between two looks by how many generations run: each look is work for the one process that draws all pages.
POLL_SECONDS = ((2, 0.12), (4, 0.4), (math.inf, 1.0))
#: The same while somebody's hand is on a fader.
PATIENT_SECONDS = 0.6

scene, palette = state.current()
assessment = state.assessed(scene, palette)
missing = generator.missing(scene)
if missing is None:
    generator.prepare(scene)
generation = generator.current(scene)
running = generation is not None and not generation.ended

summary.head(
    "Compare",
    "One prompt, one set of candidate replies from the base model. The left reply is any one of them; the others are "
    "chosen among them by the weights of a palette.",
)
palettes.line(scene, assessment, ask.candidates())


def looks() -> float | None:
    """Seconds until the next look; None when there is nothing to come."""
    if not running:
        return None
    busy = generator.service(scene).status().running
    seconds = next(seconds for most, seconds in POLL_SECONDS if busy <= most)
    return max(seconds, PATIENT_SECONDS) if channel.in_use() else seconds


interval = looks()


def one_prompt() -> None:
    """Columns, candidates and the state of the work; drawn again while there is more to come."""
    if generation is None:
        columns.empty(palettes.columns(scene, assessment, ask.candidates()))
        return
    view = columns.look(scene, assessment, generation)
    columns.progress(view.shown)
    asked = judging.question(generation, view.shown, view.choices[0])
    questions = [asked] if asked else []
    if not judging.hides(questions, waiting=not view.shown.phase.ended):
        judging.outcome(asked)
        columns.replies(view)
        if view.shown.phase.ended:
            judging.summary()
        with st.container(key="candidates"):
            field.show(view)
    ended = running and view.shown.phase.ended
    if ended or looks() != interval or st.session_state.get("generation") != generation.id:
        st.rerun()


if missing is not None:
    st.warning(
        "Nothing can be generated here at the moment. Everything else works without that.",
        icon=":material/download:",
    )
    st.text(missing.reason)
    if missing.command:
        st.code(missing.command, language=None, wrap_lines=True)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="compare_how"):
    several = many.switch(default=generation is None and many.current() is not None)
    judging.switch()
left, right = st.columns([1.45, 1], gap="large")
with left:
    if several:
        many.controls(scene, assessment, ready=missing is None)
    else:
        ask.one_prompt(scene, assessment, generation, ready=missing is None)
with right, st.expander("Steer while it writes", icon=":material/tune:", key="steer", expanded=True):
    palettes.faders(scene, palette)
    st.html(
        style.note(
            "Moving a target changes leader, probabilities and pick at once, among the candidates that there are; "
            "nothing is drawn anew."
        )
    )
    palettes.pin_control()
if several:
    found = many.current()
    generator.address("many", found.id if found else None)
    many.show(scene, assessment)
else:
    generator.address("generation", generation.id if generation else None)
    st.fragment(one_prompt, run_every=interval)()
