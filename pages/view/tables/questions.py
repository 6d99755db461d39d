"""Questions about an imported file, with what each answer leads to; the import continues with the answers.

Constraint: the questions are those of the command line's refusal, so both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from map_core.catalog.jobs import TableJob
from map_core.errors import InputError
from pages.view.shell import account, markup, page_words
from pages.view.shell.session_keys import Key
from pages.view.tables import markup as table_markup


def draw_questions(process: TableJob, rerun: Key[bool]) -> None:
    """Draw a choice for each question of a job, and the button that continues it.

    Args:
        process: the job that ended with questions.
        rerun: set when the whole page has to be drawn again.
    """
    st.html(markup.note("One thing has to be decided first, since it changes what the table says."))
    answers: dict[str, str] = {}
    for question in process.questions:
        chosen = _draw(question, f"work_question_{process.name}_{question['option']}")
        if chosen is not None:
            answers[str(question["option"])] = chosen
    st.button(
        "Continue with this",
        key=f"work_answer_{process.name}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=len(answers) < len(process.questions),
        on_click=_answer,
        args=(process.name, answers, rerun),
    )


def _draw(question: Mapping[str, Any], key: str) -> str | None:
    """Draw one question and return the value of the chosen answer; None before that."""
    answers = list(question["answers"])
    observation = str(question["found"])
    index = st.radio(
        markup.plain(f"{observation[:1].upper()}{observation[1:]}."),
        range(len(answers)),
        index=None,
        format_func=lambda k: markup.plain(_sentence(str(answers[k]["gives"]))),
        key=key,
    )
    return None if index is None else str(answers[index]["value"])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _answer(name: str, answers: dict[str, str], rerun: Key[bool]) -> None:
    try:
        account.tables().answer(name, answers)
    except InputError as error:
        table_markup.set_message(page_words.of(error))
    rerun.set(True)
