"""Who writes the candidates on Listen: the base model, or one that was tuned on a palette and needs fewer of them.

Constraint: whose a tuned model is and who sees it is decided in the catalog; no model library is loaded here.
"""

from __future__ import annotations

import streamlit as st

from pages.view.session import tuned_models
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.session_keys import Key

#: The name of the tuned model that writes; "" for the base model.
WRITER: Key[str] = Key("writer", "")
#: Candidates to begin with where a tuned model writes: one of them is the base model's.
TUNED_CANDIDATES = 5
BASE_MODEL = "The base model"


def chosen(scene: Scene) -> str:
    """Return the tuned model that writes, where this visitor may use it for this table; "" for the base model."""
    name = str(WRITER.get() or "")
    return name if name and name in offered(scene) else ""


def offered(scene: Scene) -> tuple[str, ...]:
    """Return the tuned models that this visitor sees and that were made of this table's model, the newest first."""
    return tuple(tuned_models.of_model(scene.table))


def draw_writer(scene: Scene, candidates: Key[int], usual: int) -> None:
    """Draw the choice, where there is one.

    Args:
        scene: the table.
        candidates: how many candidates are drawn, which the choice sets.
        usual: of the base model.
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
                "One candidate is the base model's, the others are the tuned model's, of which fewer are needed. Each "
                "counts by what your palette asks for, and for less the more the tuned model prefers it over the base "
                "model. So the reply is that of your palette, also where the model was tuned to another one."
            )
        )


def _on_chosen(candidates: Key[int], usual: int) -> None:
    candidates.set(TUNED_CANDIDATES if WRITER.get() else usual)
