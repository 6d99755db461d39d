"""The model that writes the candidates on Listen: the base model, or a tuned one, which needs fewer of them.

Constraint: the catalog decides who owns and who sees a tuned model; no model library is loaded here.
"""

from __future__ import annotations

import streamlit as st

from pages.view.session import tuned_models
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.session_keys import Key

#: The name of the tuned model that writes; "" for the base model.
WRITER: Key[str] = Key("writer", "")
#: The usual number of candidates where a tuned model writes: one of them is the base model's.
TUNED_CANDIDATES = 5
BASE_MODEL = "The base model"


def chosen(scene: Scene) -> str:
    """Return the tuned model that writes, where this visitor may use it for this table; "" for the base model."""
    name = str(WRITER.get() or "")
    return name if name and name in offered(scene) else ""


def offered(scene: Scene) -> tuple[str, ...]:
    """Return the tuned models that this visitor sees and whose base is this table's model, the newest first."""
    return tuple(tuned_models.of_model(scene.table))


def draw_writer(scene: Scene, candidates: Key[int], usual: int) -> None:
    """Draw the choice, where there is one.

    Args:
        scene: the table.
        candidates: the number of candidates, which the choice sets.
        usual: that number for the base model.
    """
    names = offered(scene)
    if not names:
        return
    if WRITER.get() not in names:
        WRITER.pop()
    st.selectbox(
        "Who writes the candidates",
        ["", *names],
        format_func=lambda name: markup.plain(f"{name}, a tuned model") if name else BASE_MODEL,
        key=WRITER.name,
        persist_state="session",
        on_change=_on_chosen,
        args=(candidates, usual),
    )
    if WRITER.get():
        st.html(
            markup.note(
                "One candidate comes from the base model, the others from the tuned model, which needs fewer of them. "
                "Each is weighed by what your palette asks for, and counts less the more the tuned model prefers it "
                "over the base model. So the reply follows your palette, even if the model was tuned to another one."
            )
        )


def _on_chosen(candidates: Key[int], usual: int) -> None:
    candidates.set(TUNED_CANDIDATES if WRITER.get() else usual)
