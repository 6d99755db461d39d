"""The base model and the aligned model answer the same prompts, side by side, from the same candidates."""

from __future__ import annotations

import math

import streamlit as st

from pages.view.compare import batch, blind_vote, candidate_field, generator, pinned, prompt_form, replies
from pages.view.session import header, palette_state
from pages.view.shell import live_channel, markup

#: Seconds between two looks by how many generations run: each look is work for the one process that draws all pages.
POLL_SECONDS = ((2, 0.12), (4, 0.4), (math.inf, 1.0))
#: The same while somebody's hand is on a fader.
PATIENT_SECONDS = 0.6

scene, palette = palette_state.current()
assessment = palette_state.current_assessment(scene, palette)
missing = generator.missing_model(scene)
if missing is None:
    generator.warm_up(scene)
generation = generator.current(scene)
prompt_form.restore(generation)
batch.restore(scene)
running = generation is not None and not generation.ended

header.draw_header(
    "Listen",
    "One prompt, one set of candidate replies from the base model. The left reply is any one of them; the others are "
    "chosen among them by the weights of a palette.",
    heading="Listen and compare",
)
pinned.draw_palettes(scene, assessment, prompt_form.candidate_count())


def looks() -> float | None:
    """Seconds until the next look; None when there is nothing to come."""
    if not running:
        return None
    busy = generator.service(scene).status().running
    seconds = next(seconds for most, seconds in POLL_SECONDS if busy <= most)
    return max(seconds, PATIENT_SECONDS) if live_channel.is_busy() else seconds


interval = looks()


def one_prompt() -> None:
    """Columns, candidates and the state of the work; drawn again while there is more to come."""
    if generation is None:
        replies.draw_empty_columns(pinned.columns(scene, assessment, prompt_form.candidate_count()))
        return
    replies.draw_asked(generation.request.prompt)
    view = replies.comparison(scene, assessment, generation)
    replies.draw_progress(view.shown)
    question = blind_vote.vote_question(generation, view.shown, view.choices[0])
    questions = [question] if question else []
    if not blind_vote.draw_instead_of_replies(questions, waiting=not view.shown.phase.ended):
        blind_vote.draw_outcome(question)
        replies.draw_replies(view)
        if view.shown.phase.ended:
            blind_vote.draw_summary()
        with st.container(key="candidates"):
            candidate_field.draw_candidates(view)
    ended = running and view.shown.phase.ended
    if ended or looks() != interval or generator.GENERATION.get() != generation.id:
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
    several = batch.draw_mode_switch(default=generation is None and batch.current_batch() is not None)
    blind_vote.draw_blind_switch()
left, right = st.columns([1.45, 1], gap="large")
with left:
    if several:
        batch.draw_controls(scene, assessment, ready=missing is None)
    else:
        prompt_form.draw_prompt_form(scene, assessment, generation, ready=missing is None)
with right, st.expander("Adjust targets", icon=":material/tune:", key="steer", expanded=True):
    pinned.draw_faders(scene, palette)
    st.html(
        markup.note(
            "Moving a target changes leader, probabilities and pick at once, among the candidates that there are; "
            "nothing is generated again."
        )
    )
    pinned.draw_pin_control()
if several:
    batch_now = batch.current_batch()
    generator.write_address("many", batch_now.id if batch_now else None)
    batch.draw_batch(scene, assessment)
else:
    generator.write_address("generation", generation.id if generation else None)
    st.fragment(one_prompt, run_every=interval)()
