"""The base model and the aligned model answer the same prompts, side by side, from the same candidates."""

from __future__ import annotations

import streamlit as st

from pages.view.compare import (
    batch,
    blind_vote,
    candidate_field,
    chat,
    comparison,
    generator,
    pinned,
    prompt_cohort,
    prompt_form,
    replies,
    reply_feed,
    writer,
)
from pages.view.session import header, palette_state
from pages.view.shell import markup, page_words

scene, palette = palette_state.current_counted()
assessment = palette_state.current_assessment(scene, palette)
missing = generator.missing_model(scene)
if missing is None:
    generator.warm_up(scene)
generation = generator.current(scene)
prompt_form.restore(generation)
batch.restore(scene)
running = generation is not None and not generation.ended
interval = reply_feed.poll_interval(scene, running)

header.draw_header("Listen", "The base model and your palette answer the same prompt.", heading="Listen and compare")
if unnamed := generator.unnamed_model_note(scene):
    st.html(markup.note(unnamed))
first_prompt = chat.PROMPT.get() or scene.table.prompts[scene.examples[0]]
prompt = generation.request.prompt if generation is not None else first_prompt
steered = generator.weights_count(scene, writer.chosen(scene), prompt_form.candidate_count())
pinned.draw_palettes(scene, assessment, steered, prompt_cohort.in_force(scene, prompt))


def one_prompt() -> None:
    """Draw the replies and their controls, as a fragment that polls where the live channel is not available."""
    if generation is None:
        reply_feed.draw_empty(scene, assessment, steered, blind_vote.is_blind())
        return
    if running and generation.ended:
        st.rerun()
    view = comparison.comparison(scene, assessment, generation)
    question = blind_vote.vote_question(generation, view.shown, view.choices[0], view.drawn)
    questions = [question] if question else []
    covered = blind_vote.is_covered(questions, waiting=not view.shown.phase.ended)
    reply_feed.draw(view, covered)
    replies.draw_failure(view.shown)
    if not blind_vote.draw_instead_of_replies(questions, waiting=not view.shown.phase.ended):
        blind_vote.draw_outcome(question)
        blind_vote.draw_named_vote(view)
        replies.draw_shown_switch(view)
        replies.draw_continue(view)
        if view.shown.phase.ended:
            blind_vote.draw_summary()
        replies.draw_figures(view)
        with st.container(key="candidates"):
            candidate_field.draw_candidates(view)
    if reply_feed.poll_interval(scene, running) != interval or generator.GENERATION.get() != generation.id:
        st.rerun()


if missing is not None:
    st.warning(
        "Replies cannot be generated here at the moment. Everything else still works.",
        icon=":material/download:",
    )
    st.text(page_words.of(missing.reason))
    if missing.command:
        st.code(missing.command, language=None, wrap_lines=True)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="compare_how"):
    several = batch.draw_mode_switch(default=generation is None and batch.current_batch() is not None)
    # Not at the end of the page, where a popover has no room below it.
    with st.container(horizontal=True, vertical_alignment="center", width="content", key="compare_also"):
        pinned.draw_pin_control()
        blind_vote.draw_blind_switch()
if several:
    batch.draw_controls(scene, assessment, ready=missing is None)
else:
    prompt_form.draw_prompt_form(scene, assessment, generation, ready=missing is None)
    generator.write_address("generation", generation.id if generation else None)
    st.fragment(one_prompt, run_every=interval)()
left, right = st.columns(2, gap="small")
with left, st.expander("Adjust targets", icon=":material/tune:", key="steer"):
    pinned.draw_faders(scene, palette)
    st.html(
        markup.note(
            "Moving a target picks again, at once, among the replies that are already written; nothing is generated "
            "again."
        )
    )
if several:
    batch_now = batch.current_batch()
    generator.write_address("many", batch_now.id if batch_now else None)
    batch.draw_batch(scene, assessment)
else:
    with right:
        prompt_form.draw_settings(scene)
