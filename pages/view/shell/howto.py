"""Short step-by-step instructions for people who use a page for the first time.

Constraint: every line says what to press or what happens then, without figures that a table could change.
"""

from __future__ import annotations

import streamlit as st

from pages.view.shell import markup

_OPEN_TABLE = (
    "Look at it",
    "Press Look at it: from then on every page is about your table. The app's own table is still there, under Tables.",
)
#: A title, and the steps: (what, in a sentence or two) each.
STEPS = {
    "value": (
        "How to make a value of your own",
        (
            (
                "Say it",
                "Press Define a value. Write what has more of it and what has less: a few words per line, or whole "
                "replies as examples.",
            ),
            (
                "Wait for its scores",
                "A small model reads every reply of the table. The first time takes a minute or two, and you can "
                "leave the page meanwhile.",
            ),
            (
                "Judge pairs",
                "Read which replies have the most and the least of it. Then say of some pairs which one has more: "
                "this shows how far you can trust the scores.",
            ),
            (
                "Use it",
                "Press Use it as a target: it has a slider on Set, beside the others, and counts on every page.",
            ),
        ),
    ),
    "file": (
        "How to bring a table of your own",
        (
            (
                "Bring a file",
                "One row per reply, with the prompt, the reply, and a number for each value. An Excel sheet will do.",
            ),
            (
                "Say which column is what",
                "The app guesses where prompts, replies and values are. Correct what it has guessed wrong.",
            ),
            (
                "Make the table",
                "The file is read and checked, and you can leave the page meanwhile. You are told what cannot be read.",
            ),
            _OPEN_TABLE,
        ),
    ),
    "build": (
        "How to have a table made",
        (
            (
                "Give prompts",
                "What people ask your model: pasted, one per line, or as a file. A few dozen are a start; more make "
                "every figure more certain.",
            ),
            (
                "Choose",
                "The model that replies, how many replies to each prompt, and the values that they are scored on.",
            ),
            (
                "Let it run",
                "It continues when you close the page. Stop it when you like and resume it later: nothing is lost.",
            ),
            _OPEN_TABLE,
        ),
    ),
}


def draw_howto(what: str) -> None:
    """Draw the steps of one task in an expander.

    Args:
        what: a name of :data:`STEPS`; nothing is shown for any other.
    """
    if what not in STEPS:
        return
    title, steps = STEPS[what]
    with st.expander(title, icon=":material/help:", key=f"few_lines_{what}"):
        st.html(markup.steps(steps))
