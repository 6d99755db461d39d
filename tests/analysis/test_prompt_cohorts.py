"""Tests of the cohorts of a prompt: known for prompts of the table, else by similarity if that is unambiguous."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis.prompt_cohorts import likely_entry, prompt_cohorts
from map_core.data.derived_columns import Cohort
from tests.tables import USE_CASES, make_table

TABLE = replace(make_table(prompts=12, candidates=4), labels={"language": ("de", "en") * 6})


def embed(texts: list[str]) -> np.ndarray:
    """Embed a text on the axis of its use case, and "both" between the first two axes."""
    rows = []
    for text in texts:
        row = np.zeros(len(USE_CASES))
        if text in TABLE.prompts:
            row[USE_CASES.index(TABLE.use_cases[TABLE.prompts.index(text)])] = 1.0
        else:
            row[:2] = (1.0, 0.0) if text == "like the first" else (0.7, 0.7)
        rows.append(row)
    return np.array(rows)


def test_prompt_of_the_table_has_the_cohorts_of_the_table():
    match = prompt_cohorts(TABLE, f" {TABLE.prompts[3]} ")
    assert match.known
    assert match.cohorts == (Cohort("use_case", TABLE.use_cases[3]), Cohort("language", "en"))
    assert match.unsure == ()


def test_ambiguous_prompt_has_no_cohorts():
    duplicated = replace(TABLE, prompts=(TABLE.prompts[11], *TABLE.prompts[1:]))
    match = prompt_cohorts(duplicated, TABLE.prompts[11])
    assert match.known
    assert match.unsure == ("use_case", "language")


def test_similarity_names_a_use_case_unless_it_is_ambiguous():
    match = prompt_cohorts(TABLE, "like the first", embed)
    assert match.cohorts == (Cohort("use_case", USE_CASES[0]),)
    assert match.unsure == ("language",)
    assert prompt_cohorts(TABLE, "both", embed).cohorts == ()


def test_without_embeddings_no_cohort_is_named():
    assert prompt_cohorts(TABLE, "like the first").unsure == ("use_case", "language")


def test_classifier_names_an_entry_only_above_its_margin():
    # By hand, with a negligible ridge: the scores are the coordinates.
    vectors = np.repeat(np.eye(2), 50, axis=0)
    entries = ["a"] * 50 + ["b"] * 50
    assert likely_entry(vectors, entries, np.array([0.7, 0.3])) == "a"
    assert likely_entry(vectors, entries, np.array([0.6, 0.4])) is None


@pytest.mark.parametrize("entries", [["only"] * 3])
def test_single_entry_is_always_named(entries: list[str]):
    assert likely_entry(np.eye(3), entries, np.ones(3)) == "only"
