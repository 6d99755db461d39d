"""A chat of several turns: the earlier ones are kept here and sent along with each prompt.

Constraint: prompts are shown as text; of a reply its Markdown is drawn.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from map_core.core.cut_replies import with_mark
from map_core.core.types import Turn
from map_core.service.generation import Generation
from map_core.service.snapshot import Candidate
from pages.view.compare import generator
from pages.view.session.scene import Scene
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.replies import draw_reply


def _dump_turns(turns: tuple[Turn, ...]) -> list[Any]:
    return [generator.GENERATION.get(), [[turn.prompt, turn.reply, turn.cut] for turn in turns]]


def _read_turns(dumped: Any) -> tuple[Turn, ...]:
    return tuple(Turn(str(prompt), str(reply), bool(cut)) for prompt, reply, cut in _content_of_shown(dumped))


def _content_of_shown(dumped: Any) -> Any:
    """Return the content that was dumped for the generation that is shown now.

    Raises:
        ValueError: it was dumped for another one.
    """
    generation, content = dumped
    if generator.GENERATION.is_set() and generator.GENERATION.get() != generation:
        raise ValueError(f"dumped for generation {generation!r}")
    return content


PROMPT: KeptKey[str] = KeptKey(
    "prompt",
    "",
    lambda text: [generator.GENERATION.get(), text],
    lambda dumped: str(_content_of_shown(dumped)),
    draft=True,
)
TURNS: KeptKey[tuple[Turn, ...]] = KeptKey("chat", (), _dump_turns, _read_turns, draft=True)


def earlier_turns(generation: Generation | None) -> tuple[Turn, ...]:
    """Return the turns before the prompt; after a reload, those of the generation on the page."""
    return TURNS.get_or_set(generation.request.history if generation else ())


def continue_with(scene: Scene, generation: Generation, reply: Candidate) -> None:
    """Add a reply to the chat as the assistant's turn, and ask for the next prompt."""
    TURNS.set((*generation.request.history, Turn(generation.request.prompt, reply.text, reply.cut)))
    PROMPT.set("")
    generator.forget(scene)


def start_new(scene: Scene) -> None:
    """Start a chat without earlier turns."""
    TURNS.set(())
    generator.forget(scene)


def draw_transcript(scene: Scene, generation: Generation | None) -> None:
    """Draw the earlier turns above the prompt, and the button that starts a new chat."""
    turns = earlier_turns(generation)
    if not turns:
        return
    with st.container(key="chat"):
        for turn in turns:
            with st.chat_message("user", avatar=":material/person:"):
                st.text(turn.prompt)
            with st.chat_message("assistant", avatar=":material/chat_bubble:"):
                draw_reply(with_mark(turn.reply, turn.cut))
        st.button(
            "Start a new chat",
            key="new_chat",
            type="tertiary",
            icon=":material/restart_alt:",
            on_click=start_new,
            args=(scene,),
        )
