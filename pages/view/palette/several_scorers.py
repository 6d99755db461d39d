"""The form on Set that sets one target for several scorers of the same value.

Constraint: the scorers are further values of the table; each control makes one step of the history.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from map_core.palettes.beside import Beside, split_scorers
from map_core.text import protections, sentences
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup
from pages.view.shell.session_keys import Key

VALUE: Key[str] = Key("scorers_value", "")
SCORERS: Key[list[str]] = Key("scorers_chosen", [])


def draw_scorers(scene: Scene, targeted: tuple[str, ...]) -> None:
    """Draw the targets that hold for several scorers, and the form that adds one.

    Args:
        scene: of the table.
        targeted: as :attr:`map_core.palettes.beside.Beside.every_scorer` has it.
    """
    values = scene.table.values[: scene.plain]
    if len(values) < 2:
        return
    for number, text in enumerate(targeted):
        with st.container(horizontal=True, vertical_alignment="center", key=f"scorers_{number}"):
            st.text(_sentence(scene, text), width="stretch")
            st.button("Remove", key=f"scorers_remove_{number}", type="tertiary", on_click=_remove, args=(scene, text))
    popover = st.popover("Several scorers of one value", icon=":material/group:", key="scorers_add", on_change="rerun")
    if not popover.open:
        return
    with popover, st.form("scorers_form", border=False):
        st.html(
            markup.note(
                "A scorer may be wrong. Where other values of this table measure the same thing, the target can be "
                "set for each of them: all rise by the same amount, each on its own scale."
            )
        )
        st.selectbox("What is asked of", values, format_func=lambda value: _name(scene, value), key=VALUE.name)
        st.multiselect(
            "holds for these too",
            values,
            format_func=lambda value: _name(scene, value),
            key=SCORERS.name,
            placeholder="Choose values",
        )
        st.form_submit_button("Add", type="primary", key="scorers_take", on_click=_take, args=(scene,))


def _name(scene: Scene, value: str) -> str:
    return sentences.capitalised(_plain(scene, value))


def _plain(scene: Scene, value: str) -> str:
    return scene.names[scene.table.index(value)] if value in scene.table.values else value


def _sentence(scene: Scene, text: str) -> str:
    (sentence,) = protections.beside_sentences(Beside(every_scorer=(text,)), lambda value: _plain(scene, value))
    return sentence


def _take(scene: Scene) -> None:
    """Set the target for the chosen scorers, in place of the earlier choice for that value."""
    value, chosen = VALUE.get(), [name for name in SCORERS.get() or [] if name != VALUE.get()]
    SCORERS.pop()
    if not chosen:
        return
    palette = palette_state.history().now
    others = tuple(text for text in palette.beside.every_scorer if split_scorers(text)[0] != value)
    text = f"{value}={','.join(chosen)}"
    beside = replace(palette.beside, every_scorer=(*others, text))
    palette_state.apply(replace(palette, beside=beside), _sentence(scene, text))


def _remove(scene: Scene, text: str) -> None:
    palette = palette_state.history().now
    kept = tuple(other for other in palette.beside.every_scorer if other != text)
    beside = replace(palette.beside, every_scorer=kept)
    palette_state.apply(replace(palette, beside=beside), f"Not asked for any more: {_sentence(scene, text)}")
