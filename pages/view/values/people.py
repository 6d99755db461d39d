"""What people say of a value of the table: the share of yes, how sure it is, and which replies to label next."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.calibration import judge_agreement, next_labels, people_levels, value_labels
from map_core.calibration.labels import labels_of_prompts
from map_core.data.shown_replies import shown_reply
from map_core.errors import InputError
from map_core.text import people as texts
from pages.view.session import palette_state, scorer_cards
from pages.view.shell import markup
from pages.view.values.state import ValuesView


def draw_people(seen: ValuesView, name: str) -> None:
    """Draw what the labels say of one value; nothing without labels of it."""
    scene, palette = palette_state.current_counted()
    given = labels_of_prompts(scene.table, scorer_cards.scorer_quality().given)
    of_value = [label for label in given if name in label.labels]
    if not of_value:
        return
    solution = effective_solution(palette_state.current_assessment(scene, palette))
    weights = 0 * scene.oracle.base if solution is None else solution.weights
    levels, problems = people_levels(scene.table, scene.oracle, of_value, weights, only=name)
    if name in problems:
        st.html(markup.note(problems[name]))
        return
    st.subheader("In the eyes of people", anchor=False)
    title = seen.title(name)
    sentences = [*texts.value_sentences(title[:1].lower() + title[1:], *levels[name])]
    with suppress(InputError):  # one judge, or none that is named
        sentences.append(texts.judges_sentence(judge_agreement(of_value, name)))
    st.html(markup.note(" ".join(sentences)))

    def to_label() -> str:
        """Return the replies to label next, JSON lines; the texts of hidden prompts are left out."""
        table, shown = scene.table, dict(zip(scene.table.prompt_ids, scene.table.shown.tolist(), strict=True))
        lines = []
        for label in next_labels(table, scene.oracle, value_labels(table, of_value, name), weights):
            prompt = table.prompt_ids.index(label.prompt_id)
            reply = {"reply": shown_reply(table, int(table.offsets[prompt]) + label.candidate)} if table.replies else {}
            texts_of = {"prompt": table.prompts[prompt]} | reply if shown[label.prompt_id] else {}
            lines.append(json.dumps(asdict(label) | {"labels": {name: None}} | texts_of, ensure_ascii=False))
        return "\n".join(lines)

    st.download_button(
        "Replies to label next",
        to_label,
        f"{name}.to_label.jsonl",
        "application/jsonl",
        icon=":material/edit_note:",
        type="tertiary",
        key="values_label_next",
        on_click="ignore",
        help="Those whose labels narrow the range most. Put 1 or 0 in place of null and add the lines to the labels "
        "file beside the table.",
    )
