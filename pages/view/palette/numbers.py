"""The table of levels, targets and weights in reward units."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core.text import sentences
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup


def draw_numbers(live: LiveAnswer) -> None:
    """Draw the table; with the nearest palette's levels and weights where the palette is out of reach."""
    scene, assessment = live.scene, live.assessment
    nearest = assessment.nearest.solution if assessment.nearest else None
    solution = assessment.solution or nearest
    targets = scene.oracle.rewards_at(assessment.targets)
    rows = []
    for j, name in enumerate(scene.names):
        cells = [sentences.capitalised(name), sentences.number(float(scene.oracle.base[j]))]
        cells.append("no preference" if np.isnan(targets[j]) else sentences.number(float(targets[j])))
        if solution is None:
            cells += ["–", "–"]
        else:
            cells.append(sentences.number(float(scene.oracle.rewards_at(solution.levels)[j])))
            cells.append(sentences.number(float(solution.weights[j] / scene.oracle.scale[j])))
        rows.append((j, cells))
    header = ["Value", "Base", "Target", "Realised" if assessment.solution else "Nearest", "Weight"]
    st.html(markup.levels_table(header, rows, theme=scene.theme))
    if assessment.ess is not None:
        figure, meaning = sentences.ess_text(assessment.ess, scene.oracle.form)
        st.html(markup.note(f"Rests on {figure}, which {meaning}"))
    st.html(markup.note(sentences.form(scene.oracle)))
