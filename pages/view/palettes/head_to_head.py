"""Your palette against another one, value by value: whose reply is better, and how often both are worth the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from map_core.core.jobs import Job
from map_core.studies.head_to_head import PairedComparison, compare, prompts_to_compare, table_contender
from map_core.text.head_to_head import comparison_rows, comparison_sentence
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.shell import background, markup

BASE = "The base model"


def draw_head_to_head(named: Sequence[tuple[str, AssessedPalette]]) -> None:
    """Draw the choice of an opponent and what the comparison with it gives.

    Args:
        named: this viewer's palette first, then the pinned ones.
    """
    (_, own), *others = named
    weights = {name: _weights(stand) for name, stand in others} | {BASE: np.zeros(len(own.scene.names))}
    st.header("Head to head")
    opponents = [name for name, found in weights.items() if found is not None]
    against = str(st.selectbox("Your palette against", opponents, key="head_to_head_against"))
    mine, theirs = _weights(own), weights.get(against)
    if mine is None or theirs is None:
        st.html(markup.note("No weights give your palette, so it cannot be compared."))
        return

    def work(job: Job) -> PairedComparison:
        """Compare both on the same prompts."""
        table = prompts_to_compare(own.scene.table)
        return compare(table_contender(table, "yours", mine), table_contender(table, against, theirs))

    key = (own.scene.key, mine.tobytes(), theirs.tobytes(), against)
    background.poll(background.job("head_to_head", key, work), partial(_draw, own.scene))


def _weights(stand: AssessedPalette) -> np.ndarray | None:
    """Return lambda, (value,), of what speaks for a palette; None where nothing does."""
    solution = stand.speaks
    return None if solution is None else np.asarray(solution.weights / stand.scene.oracle.scale)


def _draw(scene: Scene, job: Job) -> None:
    if job.error:
        st.html(markup.note(f"The two could not be compared: {job.error}"))
    if not isinstance(found := job.result, PairedComparison):
        with st.container(height=320, border=False):
            st.html(markup.note("" if job.ended else "Comparing both on the same prompts."))
        return
    st.html(markup.note(comparison_sentence(found, scene.names)))
    st.html(markup.levels_table(*comparison_rows(found, scene.names), wide=True, theme=scene.theme))
