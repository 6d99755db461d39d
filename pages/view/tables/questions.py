"""What a file leaves open: asked with what each answer gives, and the import goes on with the answers.

Constraint: a question is the one that the command line refuses with, so both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from map_core.catalog.jobs import TableJob
from map_core.errors import InputError
from pages.view.shell import account, markup
from pages.view.shell.session_keys import Key
from pages.view.tables import markup as table_markup


def draw_questions(process: TableJob, rerun: Key[bool]) -> None:
    """Draw a choice for each question of a piece of work, and the button that goes on.

    Args:
        process: that was ended by questions.
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
    """Draw one question; return the value of the answer that is chosen, None before that."""
    answers = list(question["answers"])
    observation = str(question["found"])
    place = st.radio(
        markup.plain(f"{observation[:1].upper()}{observation[1:]}."),
        range(len(answers)),
        index=None,
        format_func=lambda number: markup.plain(_sentence(str(answers[number]["gives"]))),
        key=key,
    )
    return None if place is None else str(answers[place]["value"])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _answer(name: str, answers: dict[str, str], rerun: Key[bool]) -> None:
    try:
        account.tables().answer(name, answers)
    except InputError as error:
        table_markup.set_message(str(error))
    rerun.set(True)
