"""Labels of a value of the table: the share of yes, how sure it is, and which replies to label next."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import streamlit as st

from map_core.access import Kind
from map_core.analysis.generation_weights import effective_solution
from map_core.calibration import ValueLabels, judge_agreement, next_labels, people_levels, value_labels
from map_core.calibration.labels import labels_of_prompts
from map_core.core.types import Form
from map_core.data.shown_replies import shown_reply
from map_core.errors import InputError
from map_core.palettes.palette import Palette
from map_core.scoring.validation import Label
from map_core.store.labels import Said
from map_core.text import people as texts
from pages.view.session import palette_state, people_labels
from pages.view.session.scene import Scene
from pages.view.shell import account, markup
from pages.view.values import judge_replies
from pages.view.values.state import ValuesView


def draw_people(view: ValuesView, name: str) -> None:
    """Draw what the labels say of one value, with buttons to judge replies and to download labels."""
    scene, palette = palette_state.current_counted()
    if name not in scene.table.values or not scene.table.replies or scene.oracle.form is Form.POOLED:
        return
    given = labels_of_prompts(scene.table, people_labels.given())
    of_value = [label for label in given if name in label.labels]
    st.subheader("What people say", anchor=False)
    _draw_labels(view, name, scene, palette, of_value)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="values_people"):
        if account.may_create(Kind.VOTE):
            st.button(
                "Judge replies",
                key="values_label_begin",
                icon=":material/thumbs_up_down:",
                on_click=judge_replies.begin,
                args=(name,),
                help="One reply at a time: yes, no, or not sure. Those come first whose answers narrow the figure "
                "most.",
            )
        _draw_files(scene, palette, name, of_value)


def _draw_labels(view: ValuesView, name: str, scene: Scene, palette: Palette, of_value: list[Label]) -> None:
    """Draw what the labels of one value say, or that there are too few."""
    if not of_value:
        st.html(markup.note(texts.unlabelled_sentence([scene.names[scene.table.index(name)]])))
        return
    solution = effective_solution(palette_state.current_assessment(scene, palette))
    weights = 0 * scene.oracle.base if solution is None else solution.weights
    levels, problems = people_levels(scene.table, scene.oracle, of_value, weights, only=name)
    if name in problems:
        st.html(markup.note(problems[name]))
        return
    title = view.title(name)
    sentences = [*texts.value_sentences(title[:1].lower() + title[1:], *levels[name])]
    with suppress(InputError):  # one judge, or none that is named
        sentences.append(texts.judges_sentence(judge_agreement(of_value, name)))
    st.html(markup.note(" ".join(sentences)))


def _draw_files(scene: Scene, palette: Palette, name: str, of_value: list[Label]) -> None:
    """Draw the downloads of the labels given on this page, and of replies to label elsewhere."""
    given_here = [people_labels.as_label(label) for label in people_labels.kept() if label.said is not Said.UNSURE]
    if given_here:
        # Judges stay anonymous: numbers distinguish them.
        numbers = {judge: f"judge {k}" for k, judge in enumerate(dict.fromkeys(label.judge for label in given_here), 1)}
        given_here = [replace(label, judge=numbers[label.judge]) for label in given_here]
        st.download_button(
            "Judgements (file)",
            "\n".join(json.dumps(asdict(label), ensure_ascii=False) for label in given_here) + "\n",
            "labels.jsonl",
            "application/jsonl",
            icon=":material/download:",
            type="tertiary",
            key="values_labels_file",
            on_click="ignore",
            help="Those given on this page, for all values, for python -m map_core people --labels. Commands find them "
            "by themselves if they lie beside the table's file.",
        )
    if not of_value:
        return

    def to_label() -> str:
        """Return the replies to label next, JSON lines; the texts of hidden prompts are left out."""
        table, shown = scene.table, dict(zip(scene.table.prompt_ids, scene.table.shown.tolist(), strict=True))
        lines = []
        solution = effective_solution(palette_state.current_assessment(scene, palette))
        weights = 0 * scene.oracle.base if solution is None else solution.weights
        try:
            labels: ValueLabels | str = value_labels(table, of_value, name)
        except InputError:  # all alike
            labels = name
        judged = {label.prompt_id for label in of_value}
        among = np.array([prompt_id not in judged for prompt_id in table.prompt_ids])
        for label in next_labels(table, scene.oracle, labels, weights, among=among):
            prompt = table.prompt_ids.index(label.prompt_id)
            row = table.row_of(prompt, label.candidate)
            reply = {"reply": shown_reply(table, row)} if row is not None and table.replies else {}
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
