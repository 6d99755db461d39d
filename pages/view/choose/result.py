"""What the choices say: which values count, the levels that this gives, and the button that sets them as targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st

from map_core.palettes.palette import Palette
from map_core.preference import MAX_CHOICES, FoundPalette
from map_core.text import choosing
from pages.view.choose import question, state
from pages.view.choose.state import ChoosingRound
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup


def draw_result(
    scene: Scene, current_round: ChoosingRound, label: str, take: Callable[[FoundPalette], None], stays: str = ""
) -> None:
    """Draw what the choices say.

    Args:
        scene: the table.
        current_round: the choices.
        label: of the button that takes the targets.
        take: called with the inferred palette when it is pressed.
        stays: a sentence on what it leaves as it is; "" for none.
    """
    inferred = state.inferred_palette(scene, current_round.choices)
    with st.container(key="choose_result"):
        st.html(markup.question(choosing.headline(inferred, scene.names), f"{len(current_round.choices)} choices"))
        st.html(markup.note(" ".join(choosing.details(inferred, scene.names))))
        rows = choosing.value_rows(inferred, scene.units())
        st.html(markup.levels_table(choosing.COLUMNS, rows, wide=True, theme=scene.theme))
        st.html(
            markup.note(
                "Levels are out of 100 of the model's own replies. Could be: going by your choices, the level "
                f"lies in this range nine times in ten. {stays}"
            )
        )
        with st.container(horizontal=True, vertical_alignment="center", key="choose_ways"):
            if st.button(
                label,
                key="choose_take",
                type="primary",
                icon=":material/tune:",
                disabled=not inferred.has_targets,
                help=None if inferred.has_targets else "Your choices favour no value yet: answer a few more pairs.",
            ):
                take(inferred)
            if len(current_round.choices) < MAX_CHOICES:
                st.button(
                    f"{state.MORE} more pairs",
                    key="choose_more",
                    icon=":material/add:",
                    on_click=state.ask_for_more,
                    args=(len(current_round.choices),),
                )
            question.draw_take_back(scene, len(current_round.choices))
            st.button(
                "Start again",
                key="choose_again",
                type="tertiary",
                icon=":material/restart_alt:",
                on_click=state.start_again,
                args=(scene,),
            )


def with_inferred_targets(scene: Scene, palette: Palette, inferred: FoundPalette) -> Palette:
    """Return a palette with the inferred targets, every other value free."""
    changed = palette_state.with_levels(scene, palette, inferred.targets)
    free = {scene.table.values[j] for j in np.flatnonzero(np.isnan(inferred.targets))}
    targets = {name: replace(target, free=name in free, keep=False) for name, target in changed.targets.items()}
    return replace(changed, targets=targets)
