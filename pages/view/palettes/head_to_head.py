"""Head to head: the viewer's palette against another one, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st

from map_core.core.jobs import Job
from map_core.core.softmax import softmax
from map_core.studies.head_to_head import Contender, PairedComparison, compare, prompts_to_compare, table_contender
from map_core.text.head_to_head import comparison_rows, comparison_sentence
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.shell import background, markup

BASE = "The base model"


def draw_head_to_head(named: Sequence[tuple[str, AssessedPalette]]) -> None:
    """Draw the choice of an opponent and the comparison with it.

    Args:
        named: this viewer's palette first, then the pinned ones.
    """
    (_, own), *others = named
    opponents = {name: palette for name, palette in others if palette.effective_solution is not None} | {BASE: None}
    st.header("Head to head")
    against = str(st.selectbox("Your palette against", list(opponents), key="head_to_head_against"))
    opponent = opponents.get(against)
    if own.effective_solution is None:
        st.html(markup.note("No weights reach your palette, so it cannot be compared."))
        return

    def work(job: Job) -> PairedComparison:
        """Compare both on the same prompts."""
        return compare(_contender(own.scene, "yours", own), _contender(own.scene, against, opponent))

    key = (own.scene.key, repr(own.palette), against, None if opponent is None else repr(opponent.palette))
    background.poll(background.job("head_to_head", key, work), partial(_draw, own.scene))


def _contender(scene: Scene, name: str, assessed: AssessedPalette | None) -> Contender:
    """Return the replies of a scene with the probabilities that a palette gives them; None for the base model."""
    table, size = prompts_to_compare(scene.table), len(scene.names)
    base = table_contender(table, name, np.zeros(size))
    solution = None if assessed is None else assessed.effective_solution
    if assessed is None or solution is None:
        return base
    if assessed.scene.key != scene.key:  # columns of another use case's prompts say nothing of this one's
        return table_contender(table, name, solution.weights[:size] / assessed.scene.oracle.scale)
    whole, weights = assessed.counted.table, solution.weights / assessed.counted.oracle.scale
    positions = {prompt: position for position, prompt in enumerate(whole.prompt_ids)}
    shares = (softmax(whole.rewards[whole.rows(positions[prompt])] @ weights) for prompt in base.prompts)
    return replace(base, probabilities=tuple(share.probabilities for share in shares))


def _draw(scene: Scene, job: Job) -> None:
    failed, running = "The two could not be compared", "Comparing both on the same prompts."
    comparison: PairedComparison | None = background.draw_state(job, failed, running, height=320)
    if comparison is None:
        return
    st.html(markup.note(comparison_sentence(comparison, scene.names)))
    st.html(markup.levels_table(*comparison_rows(comparison, scene.names), wide=True, theme=scene.theme))
