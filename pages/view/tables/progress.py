"""The jobs that make tables: the progress of each, with buttons to stop, resume and discard it.

Constraint: the state is read from the disk, so it is also right after the app was killed.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from map_core.access import Action, Kind
from map_core.catalog import jobs
from map_core.catalog.jobs import TableJob, TableJobState
from map_core.core import amounts
from map_core.scoring import cards
from map_core.text.build_estimate import estimate_sentence
from pages.view.session import scene as scenes
from pages.view.shell import account, markup, page_words, tabs
from pages.view.shell.session_keys import Key
from pages.view.shell.work_cards import WorkCards, draw_state, place_text
from pages.view.tables import catalog, import_form
from pages.view.tables import markup as table_markup
from pages.view.tables.questions import draw_questions

RERUN: Key[bool] = Key("tables_work_again", False)

_KINDS = {"build": "Build", "import": "Import", "extend": "Additions"}
_STAGES = {
    "starting": "Starting",
    "reading": "Reading the file",
    "sampling": "The model writes replies",
    "scoring": "Replies are scored",
    "writing": "Writing the table",
}


def draw_progress() -> None:
    """Draw a card for each job, again and again while one of them runs."""
    _cards().draw()


def _cards() -> WorkCards:
    return WorkCards(
        "Tables that are being made",
        lambda job: job.kind not in (jobs.TUNE, jobs.MIX),
        _draw_card,
        RERUN,
        table_markup.set_message,
    )


def _draw_card(process: TableJob) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"work_head_{process.name}"):
        st.html(table_markup.title(process.name), width="content")
        asks = process.state is TableJobState.FAILED and bool(process.questions)
        if asks:
            st.badge("Asks", icon=":material/help:", color="orange")
        else:
            draw_state(process)
    st.html(markup.note(f"{_KINDS.get(process.kind, process.kind)}: {_about(process)}"))
    if process.state is TableJobState.RUNNING:
        st.progress(process.done / process.total if process.total else 0.0, markup.plain(_progress_text(process)))
        if process.estimate is not None:
            st.html(markup.note(estimate_sentence(process.estimate)))
    elif process.state is TableJobState.WAITING:
        st.html(markup.note(place_text(process)))
    elif process.state is TableJobState.INTERRUPTED:
        st.html(
            markup.note(
                f"It was interrupted {_stopped_at(process)}: the machine or its process ended before it was done. What "
                "was made is kept."
            )
        )
    elif process.state is TableJobState.STOPPED:
        st.html(markup.note(f"It was stopped {_stopped_at(process)}. What was made is kept."))
    elif process.state is TableJobState.FAILED and process.questions:
        draw_questions(process, RERUN)
    elif process.state is TableJobState.FAILED:
        st.text(page_words.of(process.error) or "It ended without saying why.")
    for note in process.notes:
        st.html(markup.note(page_words.of(note)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"work_buttons_{process.name}"):
        _draw_buttons(process)


def _draw_buttons(process: TableJob) -> None:
    if not account.tables().may(Action.STOP, process.name, Kind.BUILD):
        return
    cards = _cards()
    if process.going_on:
        cards.draw_button("Stop", "stop", process, ":material/stop_circle:", account.tables().stop)
        return
    if process.state is TableJobState.DONE:
        cards.draw_button("Look at it", "look", process, ":material/visibility:", _look_at)
        cards.draw_button("Clear this line", "clear", process, ":material/done:", account.tables().discard)
        return
    if not process.questions:
        cards.draw_button(
            "Try again" if process.state is TableJobState.FAILED else "Resume",
            "on",
            process,
            ":material/play_arrow:",
            account.tables().resume,
        )
    if process.kind == "import":
        cards.draw_button("Choose columns again", "columns", process, ":material/table_chart:", _columns_again)
    cards.draw_discard(process)


def _look_at(name: str) -> None:
    account.tables().discard(name)
    catalog.show_table(name)


def _columns_again(name: str) -> None:
    """Move the file back to the uploads, so that its columns can be chosen again."""
    about = jobs.status(name).about
    file = jobs.job_folder(name) / str(about.get("input", ""))
    if file.is_file():
        import_form.hold_upload(file, Path(str(about.get("file", file.name))).name)
        tabs.VIEW.of("tables").set("file")
    account.tables().discard(name)


def _about(process: TableJob) -> str:
    """Return the settings of a job in a line."""
    about = process.about
    if process.kind == "import":
        return str(about.get("file", ""))
    described = {name: card.as_dict() for name, card in cards().items()}
    facts = [
        amounts.counted(int(about["prompts"]), "prompt", grouped=True) if "prompts" in about else "",
        f"{about['candidates']} replies each" if "candidates" in about else "",
        ", ".join(scenes.value_name(value, described.get(value, {})) for value in map(str, about.get("values", ()))),
        str(about.get("model", "")),
        f"from {about['table']}" if "table" in about else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _progress_text(process: TableJob) -> str:
    """Return the progress of a job, its rate and the time left."""
    text = _STAGES.get(process.stage, process.stage)
    if process.unit == "%":
        return f"{text}: {process.done} %"
    if not process.total:
        return text
    text += f": {process.done} of {amounts.counted(process.total, 'prompt', grouped=True)}"
    text += f", {amounts.fixed(process.rate, 1)} a minute" if process.rate else ""
    if process.seconds_left is not None:
        text += f", {amounts.minutes_seconds(process.seconds_left)} left in this step"
    return text


def _stopped_at(process: TableJob) -> str:
    """Return the progress at which a job ended, as the middle of a sentence."""
    if not process.total or not process.done:
        return "at its beginning"
    stage = _STAGES.get(process.stage, process.stage)
    stage = stage[:1].lower() + stage[1:]
    return f"at {process.done} of {process.total}{'' if process.unit == '%' else ' prompts'} of one step ({stage})"
