"""One pair of replies, and which of them you would rather send.

Constraint: replies are shown as text, whole where the table has them whole, and without any score.
"""

from __future__ import annotations

import streamlit as st

from map_core.data.shown_replies import shown_reply
from map_core.preference import MIN_CHOICES
from map_core.scoring.pairwise import PairAnswer
from pages.view.choose import state
from pages.view.choose.state import ChoosingRound
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.replies import draw_reply

_LABELS = {
    PairAnswer.FIRST: "Rather this one",
    PairAnswer.SECOND: "Rather this one",
    PairAnswer.NEITHER: "No difference",
}
_SHORTCUTS = {PairAnswer.FIRST: "Left", PairAnswer.SECOND: "Right", PairAnswer.NEITHER: "Down"}


def draw_question(scene: Scene, current_round: ChoosingRound) -> None:
    """Draw a pair with its answers, the progress, and the buttons that take a choice back or show the result."""
    assert current_round.pair is not None
    done = len(current_round.choices)
    with st.container(key="choose_question"):
        st.html(markup.question("Which of these two would you rather send?", f"{done + 1} of {current_round.goal}"))
        st.progress(done / current_round.goal)
        with st.container(key="choose_prompt", gap=None):
            st.html(markup.note("Both answer this:"))
            st.text(scene.table.prompts[scene.table.prompt_of(current_round.pair[0])])
        with st.container(horizontal=True, key="choose_pair"):
            for number, (answer, row) in enumerate(
                zip((PairAnswer.FIRST, PairAnswer.SECOND), current_round.pair, strict=True)
            ):
                with st.container(key=f"choose_side_{number}"):
                    with st.container(border=True, key=f"choose_reply_{number}"):
                        draw_reply(shown_reply(scene.table, row))
                    _draw_answer(scene, current_round.pair, answer)
        _draw_answer(scene, current_round.pair, PairAnswer.NEITHER)
        with st.container(horizontal=True, vertical_alignment="center", key="choose_ways"):
            draw_take_back(scene, done)
            if done >= MIN_CHOICES:
                st.button(
                    "See what my choices say",
                    key="choose_stop",
                    type="tertiary",
                    icon=":material/visibility:",
                    on_click=state.stop,
                )
        st.html(markup.note("You can also use the arrow keys: left and right choose, down means no difference."))


def draw_take_back(scene: Scene, done: int) -> None:
    """Draw the button that takes back the last choice; nothing before the first one."""
    if done:
        st.button(
            "Undo the last answer",
            key="choose_back",
            type="tertiary",
            icon=":material/undo:",
            shortcut="Backspace",
            on_click=state.take_back,
            args=(scene,),
        )


def _draw_answer(scene: Scene, pair: tuple[int, int], answer: PairAnswer) -> None:
    st.button(
        _LABELS[answer],
        key=f"choose_{answer.value}",
        shortcut=_SHORTCUTS[answer],
        width="stretch",
        on_click=state.answer,
        args=(scene, pair, answer),
    )
