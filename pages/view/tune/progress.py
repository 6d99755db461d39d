"""The jobs that tune models: the estimate and progress of each, with buttons to start, stop, resume and discard it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from map_core.access import Action, Kind
from map_core.catalog.jobs import TUNE, TableJob, TableJobState
from map_core.core import amounts
from map_core.text.tuning import (
    ROUTES,
    LevelWords,
    distance_sentence,
    estimate_sentence,
    level_rows,
    round_sentences,
    scale_sentence,
)
from pages.view.shell import account, markup, page_words, wording
from pages.view.shell.session_keys import Key
from pages.view.shell.work_cards import WorkCards, draw_state, place_text
from pages.view.tune import form
from pages.view.tune.command import ESTIMATE

RERUN: Key[bool] = Key("tune_work_again", False)
_STAGES = {
    "starting": "Getting ready",
    "reading": "Reading replies",
    "solving": "Working out which words to prefer",
    "tuning": "Learning",
    "answering": "Answering prompts that it learned from",
    "checking": "Checking it on new prompts",
}


def draw_progress() -> None:
    """Draw a card for each job, again and again while one of them runs."""
    _cards().draw()


def is_finished(job: TableJob) -> bool:
    """Return whether a job has made a model."""
    return job.state is TableJobState.DONE and ESTIMATE not in job.options


def level_words(job: TableJob | None) -> LevelWords:
    """Return the wording of a job's levels, with the titles and scales that were stored with its settings."""
    about = {} if job is None else job.about
    return LevelWords(about.get("titles", {}), about.get("grids", {}), wording.current())


def about_text(job: TableJob) -> str:
    """Return the settings of a job in a line."""
    about = job.about
    route = ROUTES.get(str(about.get("method")), ("", "", ""))[0].lower()
    facts = [str(about.get("model", "")), f"palette: {about.get('palette', '')}", route]
    if wording.current().numbers and "steps" in about:
        facts.append(amounts.counted(int(about["steps"]), "step"))
    if "rounds" in about:
        facts.append(f"repeated until the targets hold, up to {about['rounds']} times")
    return " · ".join(fact for fact in facts if fact)


def _cards() -> WorkCards:
    return WorkCards(
        "Models that are being tuned",
        lambda job: job.kind == TUNE and not is_finished(job),
        _draw_card,
        RERUN,
        form.MESSAGE.set,
    )


def _draw_card(job: TableJob) -> None:
    estimated = job.state is TableJobState.DONE  # other jobs that are done have no card
    measuring = ESTIMATE in job.options and job.going_on
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"work_head_{job.name}"):
        st.html(f"{markup.name(job.name)}", width="content")
        draw_state(job, "Ready to start" if estimated else "Measuring" if measuring else "")
    st.html(markup.note(about_text(job)))
    if job.state is TableJobState.RUNNING:
        text = "Measuring a small part of the work" if measuring else _progress_text(job)
        st.progress(job.done / job.total if job.total and not measuring else 0.0, markup.plain(text))
    elif job.state is TableJobState.WAITING:
        st.html(markup.note(place_text(job)))
    elif job.state is TableJobState.FAILED:
        st.text(page_words.of(job.error) or "It ended without saying why.")
    elif not estimated:
        how = "It was stopped" if job.state is TableJobState.STOPPED else "It was interrupted"
        st.html(markup.note(f"{how}. Its work up to the last minute is kept."))
    if estimated and (estimate := job.figures.get("estimate")):
        st.html(markup.note(estimate_sentence(estimate)))
    draw_rounds(job.figures.get("rounds") or [], level_words(job))
    _draw_figures(job)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"work_buttons_{job.name}"):
        _draw_buttons(job)


def draw_rounds(rounds: Sequence[Mapping[str, Any]], words: LevelWords) -> None:
    """Draw what the rounds of a tuning came to, if it has any."""
    for sentence in round_sentences(rounds, words):
        st.html(markup.note(sentence))


def _progress_text(job: TableJob) -> str:
    text = _STAGES.get(job.stage, job.stage)
    if most := job.figures.get("most_rounds"):
        text = f"Round {min(len(job.figures['rounds']) + 1, most)} of {most} at most. {text}"
    if not job.total:
        return text
    text += f": {job.done} of {job.total} {job.unit}"
    if job.seconds_left is not None:
        text += f", {amounts.minutes_seconds(job.seconds_left)} left in this part"
    return text


def _draw_figures(job: TableJob) -> None:
    """Draw the losses, and the last levels on held-out prompts."""
    losses, looks = job.figures.get("loss") or [], job.figures.get("held_out") or []
    if len(losses) > 1:
        st.html(
            markup.note(f"Error after each step; it should come down. Now {amounts.significant(losses[-1][1], 3)}.")
        )
        st.line_chart(
            {"Step": [step for step, _ in losses], "Error": [loss for _, loss in losses]},
            x="Step",
            y="Error",
            height=140,
        )
    if looks:
        words = level_words(job)
        head, rows = level_rows(looks[-1]["levels"], job.about.get("asked", {}), words)
        st.html(
            markup.note(
                f"After {amounts.counted(looks[-1]['step'], 'step')}, on prompts that it does not learn from. "
                + scale_sentence(words)
            )
        )
        st.html(markup.levels_table(head, [(-1, row) for row in rows]))
        st.html(markup.note(distance_sentence(looks[-1]["kl"], looks[-1]["kl_forecast"], words.wording)))


def _draw_buttons(job: TableJob) -> None:
    if not account.tables().may(Action.STOP, job.name, Kind.BUILD):
        return
    cards = _cards()
    if job.going_on:
        cards.draw_button("Stop", "stop", job, ":material/stop_circle:", account.tables().stop)
        return
    if job.state is TableJobState.DONE:
        cards.draw_button("Start tuning", "begin", job, ":material/play_arrow:", _begin, "primary")
    else:
        retry_label = "Try again" if job.state is TableJobState.FAILED else "Resume"
        cards.draw_button(retry_label, "on", job, ":material/play_arrow:", account.tables().resume)
    cards.draw_discard(job)


def _begin(name: str) -> None:
    """Start the tuning after its estimate."""
    account.tables().answer(name, {ESTIMATE: None})
