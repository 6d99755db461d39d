"""The top of every page: its title and purpose, the use case, and the current palette in a line."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from map_core.core.types import Verdict
from map_core.feasibility import Assessment
from map_core.text import sentences
from map_core.text.uncounted_targets import uncounted_targets
from pages.view.session import level_words, palette_state, speaker_line
from pages.view.session.scene import Scene
from pages.view.shell import glossary, markup
from pages.view.shell import wording as wordings

_COLOURS = {Verdict.REACHABLE: "green", Verdict.ON_PAPER: "orange", Verdict.OUT_OF_REACH: "red"}
_ICONS = {
    Verdict.REACHABLE: ":material/check_circle:",
    Verdict.ON_PAPER: ":material/warning:",
    Verdict.OUT_OF_REACH: ":material/cancel:",
}


def draw_header(title: str, note: str, start_again: bool = False, use_case: bool = True, heading: str = "") -> None:
    """Draw the top of a page: its title and purpose, the choice of the use case, and the page's glossary.

    Args:
        title: of the page in the navigation.
        note: the purpose of the page in a sentence or two; "" for none.
        start_again: draw the button that starts again.
        use_case: draw the choice of the use case.
        heading: on the page, where it differs from the title.
    """
    left, right = st.columns([1, 1.25], gap="large", vertical_alignment="bottom")
    with left:
        st.title(heading or title)
        if note:
            st.html(markup.note(note))
    with right, st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="right", key="toolbar"):
        if use_case:
            palette_state.draw_use_case_picker()
        if start_again:
            st.button(
                "Start again", icon=":material/restart_alt:", on_click=palette_state.start_again, key="start_again"
            )
        glossary.draw_page_terms(title)
        wordings.draw_switch()
    speaker_line.draw_speaker_line()


def draw_verdict_badge(verdict: Verdict) -> None:
    """Draw the verdict as a small mark, with its name and an icon."""
    st.badge(sentences.HEADLINES[verdict], icon=_ICONS[verdict], color=_COLOURS[verdict])  # type: ignore[arg-type]


def draw_palette_line(
    scene: Scene, assessment: Assessment, weights: Mapping[str, float] | None = None, candidates: int = 0
) -> None:
    """Draw the verdict and the targets of this viewer's palette, and the weights where they are given."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="palette_line"):
        draw_verdict_badge(assessment.verdict)
        wording = wordings.current()
        percentiles = np.array([scene.percentile(j, float(assessment.targets[j])) for j in range(scene.plain)])
        targets = level_words.target_chips(scene, palette_state.history().now, percentiles)
        st.html(
            markup.chips(targets, scene.theme) if targets else markup.note("no value has a target"), width="content"
        )
        if weights and wording.numbers:
            text = sentences.listed(
                [f"{scene.weight_title(name)} {sentences.number(w)}" for name, w in weights.items()]
            )
            st.html(markup.note(f"Weights for {candidates} candidates: {text}"), width="content")
        st.page_link("palette.py", label="Change", icon=":material/tune:")
    draw_beyond_averages(counted=scene.aim is not None)


def draw_beyond_averages(counted: bool) -> None:
    """Draw what this viewer's palette asks for beyond averages, or that this page does not count it."""
    palette = palette_state.history().now
    if palette.asks_beyond_averages:
        demands = palette_state.asked_beyond_averages(palette)
        st.html(markup.note(" ".join(demands) if counted else uncounted_targets(demands)))
