"""What tuned models delivered: the checks of those tuned on this table, and the study that is shipped with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import streamlit as st

from map_core.errors import InputError
from map_core.figures import theme
from map_core.figures import tuning as drawn
from map_core.models.cache import sha256_of
from map_core.palettes.palette import ALL
from map_core.studies import tuning_study
from map_core.studies.tuning_study import TuningStudy
from map_core.text import tuning_evidence as texts
from map_core.text.tuning import (
    LevelWords,
    distance_sentence,
    level_rows,
    overall_sentence,
    scale_sentence,
    value_outcomes,
)
from pages.view.session import scene as scenes
from pages.view.session import tuned_models
from pages.view.session.level_words import level_words
from pages.view.shell import account, markup, server_paths
from pages.view.shell.session_keys import Key

CHOSEN: Key[str] = Key("evidence_tuned_model", "")


def draw_tuned() -> None:
    """Draw the part of the page on tuned models."""
    whole = scenes.load(ALL)
    words = level_words(whole)
    records = tuned_models.of_table(whole.table)
    studies = _studies()
    with st.container(key="evidence_tuned"):
        st.header("What tuned models delivered")
        if records:
            _draw_models(records, words)
        else:
            st.html(
                markup.note(
                    "No model has been tuned on this table yet, so nothing was measured. The page Tune makes one and "
                    "checks it on prompts that it did not learn from."
                )
            )
        st.page_link("tune.py", label="Tune a model", icon=":material/school:")
        if studies:
            _draw_studies(studies, words)
        elif scenes.table_path() == scenes.DEFAULT_TABLE:
            st.html(markup.note("Nothing has been measured over a set of palettes yet."))


def draw_outcomes(check: Mapping[str, Any], words: LevelWords) -> None:
    """Draw the result of a check: overall, and for each value with a target."""
    st.html(markup.lead(overall_sentence(check)))
    for outcome in value_outcomes(check, words):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(markup.note(outcome.title), width="content")
            st.badge(outcome.outcome, color=outcome.colour)  # type: ignore[arg-type]
            st.html(markup.note(outcome.sentence), width="content")


def draw_levels(evidence: Mapping[str, Any], targets: Mapping[str, float], words: LevelWords) -> None:
    """Draw the level of every value, also of those without a target, and the distance.

    Args:
        evidence: a check, or an estimate from weighted replies of the base model.
        targets: by value, in reward units.
        words: how levels are worded.
    """
    head, rows = level_rows(evidence.get("values") or evidence["levels"], targets, words)
    st.html(markup.note(scale_sentence(words)))
    st.html(markup.levels_table(head, [(-1, row) for row in rows]))
    st.html(markup.note(distance_sentence(evidence["kl"], evidence["kl_forecast"], words.wording)))


def _draw_models(records: Mapping[str, dict[str, Any]], words: LevelWords) -> None:
    checked = {name: record for name, record in records.items() if record.get("check")}
    checks = [(name, record.get("check")) for name, record in records.items()]
    st.html(
        markup.note(
            "Each model answered prompts that it did not learn from. The table says how far its replies get from the "
            "base model's level to the palette's forecast on the same prompts."
        )
    )
    head, rows = texts.check_rows(checks, "Tuned model", words)
    st.html(markup.levels_table(head, [(-1, row) for row in rows], wide=True))
    if len(checked) < len(records):
        unchecked = next(name for name in records if name not in checked)
        st.html(markup.note("To check a model that has not been checked yet:"))
        paths = (scenes.table_path(), account.tables().tuned_folder(unchecked))
        table, folder = (shlex.quote(server_paths.shown(path)) for path in paths)
        command = f"python -m map_core verify {table} --model {folder} --candidates 4"
        st.code(command, language=None, wrap_lines=True)
    if not checked:
        return
    name = next(iter(checked))
    if len(checked) > 1:
        if CHOSEN.get() not in checked:
            CHOSEN.pop()
        name = st.selectbox("Tuned model", list(checked), key=CHOSEN.name, format_func=markup.plain) or name
    check = checked[name]["check"]
    draw_outcomes(check, words)
    with st.expander("Levels of all values", key="evidence_tuned_levels"):
        draw_levels(check, checked[name]["palette"].get("asked", {}), words)
    with st.expander("Chosen among several of its replies", key="evidence_tuned_choosing"):
        st.html(
            markup.note(
                "A tuned model comes closer where one of several of its replies is chosen, each counting less the more "
                "the tuned model prefers it. For comparison, the same with replies of the base model."
            )
        )
        head, rows = texts.choosing_rows(check, words)
        st.html(markup.levels_table(head, [(-1, row) for row in rows], wide=True))


def _draw_studies(studies: tuple[TuningStudy, ...], words: LevelWords) -> None:
    st.subheader("Over a set of palettes")
    for study in studies:
        st.html(markup.note(texts.study_sentence(study)))
        st.html(markup.facts(texts.study_facts(study, words)))
    st.plotly_chart(
        drawn.level_against_nats(studies, words),
        key="evidence_tuned_figure",
        config=theme.CONFIG,
        alt=drawn.alt(studies),
    )
    st.html(
        markup.note(
            "Each mark is a palette, with the range of 90 of 100 cases. With the same effort nothing gets much beyond "
            "the dashed line; at the diamond, replies are exactly what the palette asks for."
        )
    )
    for index, study in enumerate(studies):
        with st.expander("Palette by palette", key=f"evidence_tuned_palettes_{index}"):
            checks = [(texts.palette_title(palette["asked"], words), palette["check"]) for palette in study.palettes]
            head, rows = texts.check_rows(checks, "Palette", words)
            st.html(markup.levels_table(head, [(-1, row) for row in rows], wide=True))
            st.html(markup.note("Measured by:"))
            st.code(study.command, language=None, wrap_lines=True)


def _studies() -> tuple[TuningStudy, ...]:
    table = scenes.table_path()
    if table != scenes.DEFAULT_TABLE or not tuning_study.SHIPPED.is_file():
        return ()
    try:
        return _read(tuning_study.SHIPPED.stat().st_mtime, table.stat().st_mtime)
    except InputError:  # not cached: it may be readable in the next moment
        return ()


@st.cache_resource(show_spinner=False, max_entries=2)
def _read(modified: float, table_modified: float) -> tuple[TuningStudy, ...]:
    return tuning_study.read_studies(tuning_study.SHIPPED, sha256_of(scenes.DEFAULT_TABLE))
