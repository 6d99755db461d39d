"""What a study shows where it has nothing to compute: too few targets, or targets that are out of reach."""

from __future__ import annotations

import streamlit as st

from map_core.core.types import Verdict
from map_core.feasibility import Assessment
from map_core.text import sentences
from pages.view.session import palette_state
from pages.view.session.scene import Scene
from pages.view.shell import markup, wording


def draw_too_few(message: str) -> None:
    """Draw what is missing, with a link to the page Set."""
    with st.container(border=True, key="too_few"):
        st.html(markup.note(message))
        st.page_link("palette.py", label="Set targets", icon=":material/tune:")


def draw_out_of_reach(scene: Scene, assessment: Assessment, meaning: str) -> None:
    """Draw, where the palette is out of reach, why, what that means here, and a button that uses the nearest palette.

    Args:
        scene: the table.
        assessment: of the palette.
        meaning: what the page still shows, in a sentence.
    """
    if assessment.verdict is not Verdict.OUT_OF_REACH:
        return
    with st.container(border=True, key="out_of_reach"):
        st.html(markup.note(f"{sentences.verdict(assessment, scene.oracle, scene.names, wording.current())} {meaning}"))
        if assessment.nearest is None:
            st.html(markup.note("No palette near this one is possible. Lower a target, or remove one."))
            st.page_link("palette.py", label="Change the targets", icon=":material/tune:")
            return
        st.button(
            "Go to the nearest palette that works",
            key="nearest",
            type="primary",
            icon=":material/my_location:",
            on_click=palette_state.take_targets,
            args=(scene, assessment.nearest.targets, "Switched to the nearest palette that works."),
        )
