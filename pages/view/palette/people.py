"""Measured by people: how many of 100 replies people would say yes to, with the base model and with the palette.

Constraint: levels are computed once the expander is open, from the labels of the open table and use case.
"""

from __future__ import annotations

import streamlit as st

from map_core.calibration import label_reach, people_levels, promised_values
from map_core.core.types import Verdict
from map_core.text import people as texts
from pages.view.session import people_labels, scorer_cards
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup


def draw_people(live: LiveAnswer) -> None:
    """Draw the expander and warnings of too few labels; nothing for a table without labels."""
    scene, given = live.scene, people_labels.given()
    _, problem = scorer_cards.labels_of_file()
    if not given and not problem:
        return
    promised = promised_values(scene.table, live.assessment.targets)
    reaches = {} if live.levels is None else label_reach(scene.table, scene.oracle, given, live.weights, promised)
    for j, value in enumerate(scene.table.values):
        if value in reaches and (warning := texts.few_labels_sentence(reaches[value], scene.names[j])):
            st.html(markup.note(warning))
            st.page_link(
                "values.py", label="Judge some replies", icon=":material/edit_note:", query_params={"value": value}
            )
    expander = st.expander("Measured by people", key="people_box", on_change="rerun")
    if not expander.open:
        return
    with expander:
        levels, problems = people_levels(scene.table, scene.oracle, given, live.weights)
        if not levels:
            st.html(markup.note(problem or next(iter(problems.values()), "No label is of a prompt of this use case.")))
            return
        st.html(markup.note(texts.explanation()))
        rows = texts.level_rows(levels, scene.table.values, scene.names)
        head = list(texts.COLUMNS)
        if live.assessment.verdict is Verdict.OUT_OF_REACH:
            head[2] = "With the nearest palette"
        st.html(markup.levels_table(head, rows, wide=True, theme=scene.theme))
        unlabelled = [scene.names[scene.table.index(value)] for value, reach in reaches.items() if not reach.labels]
        if unlabelled:
            st.html(markup.note(texts.unlabelled_sentence(unlabelled)))
        st.page_link("values.py", label="Judge replies", icon=":material/label:")
