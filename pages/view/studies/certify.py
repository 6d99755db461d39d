"""Can the palette be promised: its certificate from the prompts that the table holds out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from map_core.analysis.generation_weights import effective_solution
from map_core.calibration import label_reach, promised_values
from map_core.confidence.certificate import Certificate, Outcome
from map_core.confidence.certify import certify_held_out
from map_core.confidence.prompt_samples import MIN_PROMPTS, can_certify
from map_core.core.jobs import Job
from map_core.core.sidecars import PROMISES
from map_core.palettes.palette import Palette
from map_core.text import people, promise
from pages.view.session import palette_state, people_labels
from pages.view.session.scene import Scene
from pages.view.shell import background, glossary, markup
from pages.view.shell import wording as wordings

#: What is promised, by whether it is counted from the base model.
KINDS = {True: "What the palette adds", False: "The level itself"}


@dataclass(frozen=True, eq=False)
class PromiseQuery:
    """What is certified.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
        over_base: gains over the base model, and not levels.
        any_mix: nats; the promise holds under every mix of prompts within this distance.
    """

    scene: Scene
    targets: np.ndarray
    over_base: bool
    any_mix: float


def draw_promise(scene: Scene, targets: np.ndarray, any_mix: float) -> None:
    """Draw what can be promised of the palette, or why nothing is known.

    Args:
        scene: the table, with columns for what the palette asks for beyond averages.
        targets: (value,) in standard deviations above base, NaN for free values.
        any_mix: nats; the targets must hold under every mix of prompts within this distance.
    """
    st.header("Can it be promised?", help=glossary.help_text("promise", "held-out"))
    table = scene.table
    if np.isnan(targets).all():
        st.html(markup.note("Your palette has no target that could be promised. Give a value a target first."))
        return
    if not can_certify(table, scene.oracle.form):
        st.html(markup.note(_why_not(int(np.sum(~table.counted)))))
        return
    over_base = bool(
        st.segmented_control(
            "What is promised",
            list(KINDS),
            format_func=KINDS.__getitem__,
            default=True,
            required=True,
            key="promise_kind",
            persist_state="session",
            help="How much a palette adds is nearly the same from prompt to prompt, so a few prompts can show it. The "
            "level also depends on how good the base model is on a prompt, which takes many more prompts.",
        )
    )
    query = PromiseQuery(scene, targets, over_base, any_mix)

    def work(job: Job) -> Certificate | None:
        """Solve for as many candidates as the forecast is for, and test on the prompts held out."""
        return certify_held_out(table, scene.oracle, targets, over_base=over_base, any_mix=any_mix)

    key = (scene.key, targets.tobytes(), over_base, any_mix)
    background.poll(background.job("promise", key, work), partial(_draw, query))


def draw_reach(scene: Scene, palette: Palette) -> None:
    """Draw the number of judgements behind each level of a palette; nothing for a table without labels."""
    solution = effective_solution(palette_state.current_assessment(scene, palette))
    given = people_labels.given()
    if solution is None or not given:
        return
    values = promised_values(scene.table, palette_state.standardised(scene, palette))
    reaches = label_reach(scene.table, scene.oracle, given, solution.weights, values)
    if not reaches:
        return
    st.header("Do people's judgements reach that far?")
    st.html(markup.note(people.reach_explanation()))
    for j, value in enumerate(scene.table.values):
        if value in reaches and (warning := people.few_labels_sentence(reaches[value], scene.names[j])):
            st.html(markup.note(warning))
    rows = people.reach_rows(reaches, scene.table.values, scene.names)
    st.html(markup.levels_table(people.REACH_COLUMNS, rows, wide=True, theme=scene.theme))


def draw_standing(table: Path) -> None:
    """Draw how the palettes of a server keep their promises; nothing where none is monitored.

    Args:
        table: its file, beside which ``serve --promises`` stores the results.
    """
    file = table.with_suffix(PROMISES)
    try:
        standing = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        table_rows = promise.standing_rows(standing) if standing else None
    except (OSError, ValueError, AttributeError, TypeError):
        table_rows = None
    if table_rows is None:
        return
    st.header("Is it kept in use?")
    st.html(markup.note(promise.STANDING_MEANS))
    st.html(markup.levels_table(*table_rows))


def _why_not(count: int) -> str:
    return (
        f"A promise needs {MIN_PROMPTS} or more prompts that the palette was not set on, with several replies each; "
        f"this table holds out {count}. Prompts are held out as a file is brought in (“Held out for checking”), or by "
        "a column held_out of the prompts that a table is built of."
    )


def _draw(query: PromiseQuery, job: Job) -> None:
    failed, running = "The promise could not be tested", "Testing the palette on the prompts that were held out."
    certificate: Certificate | None = background.draw_state(job, failed, running, height=220)
    if certificate is None:
        return
    units = query.scene.units()
    st.html(markup.lead(f"{promise.certificate_headline(certificate)}."))
    for sentence in promise.certificate_sentences(certificate, wordings.current(), query.scene.names):
        st.html(markup.note(sentence))
    st.html(markup.levels_table(*promise.certificate_rows(certificate, units), theme=query.scene.theme))
    stronger = certificate.outcome is Outcome.CERTIFIED and certificate.factor > 1.0
    # Offered only once: to promise the higher palette would again need a higher one.
    if not stronger or palette_state.offers_undo():
        return
    if st.button(
        "Aim higher by that much",
        key="promise_take",
        help="Your targets become what these stronger weights are forecast to give. The promise stays as it is in the "
        "table above.",
    ):
        _aim_higher(query.scene, certificate)
        st.rerun(scope="app")  # within a fragment, the click alone would only rerun the fragment


def _aim_higher(scene: Scene, certificate: Certificate) -> None:
    palette_state.take_targets(
        scene,
        np.where(np.isnan(certificate.targets), np.nan, certificate.forecast),
        "Aimed higher, so that the promise holds.",
    )
