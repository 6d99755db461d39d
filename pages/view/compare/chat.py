"""A chat of several turns: the earlier ones are kept here and sent with each prompt as the model's own past.

Constraint: what was written is shown as text; of a reply its Markdown is drawn.
"""

from __future__ import annotations

import streamlit as st

from map_core.core.types import Turn
from map_core.service.generation import Generation
from pages.view.compare import generator
from pages.view.session.scene import Scene
from pages.view.shell.replies import draw_reply
from pages.view.shell.session_keys import Key

PROMPT: Key[str] = Key("prompt", "")
TURNS: Key[tuple[Turn, ...]] = Key("chat", ())


def earlier_turns(generation: Generation | None) -> tuple[Turn, ...]:
    """Return the turns before the prompt; those of the generation that a reload has found again."""
    if not TURNS.is_set():
        TURNS.set(generation.request.history if generation else ())
    return TURNS.get()


def continue_with(scene: Scene, generation: Generation, reply: str) -> None:
    """Take a reply as the assistant's turn, and ask for the next prompt."""
    TURNS.set((*generation.request.history, Turn(generation.request.prompt, reply)))
    PROMPT.set("")
    generator.forget(scene)


def start_new(scene: Scene) -> None:
    """Start a chat without earlier turns."""
    TURNS.set(())
    generator.forget(scene)


def draw_transcript(scene: Scene, generation: Generation | None) -> None:
    """Draw the earlier turns above the prompt, and a way out of them."""
    turns = earlier_turns(generation)
    if not turns:
        return
    with st.container(key="chat"):
        for turn in turns:
            with st.chat_message("user", avatar=":material/person:"):
                st.text(turn.prompt)
            with st.chat_message("assistant", avatar=":material/chat_bubble:"):
                draw_reply(turn.reply)
        st.button(
            "Start a new chat",
            key="new_chat",
            type="tertiary",
            icon=":material/restart_alt:",
            on_click=start_new,
            args=(scene,),
        )
