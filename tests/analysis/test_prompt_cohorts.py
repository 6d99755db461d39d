"""Whose prompt it is: known of the table's own, named by likeness with a margin, and else nobody's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis.prompt_cohorts import likely_entry, prompt_cohorts
from map_core.data.derived_columns import Cohort
from tests.tables import USE_CASES, make_table

TABLE = replace(make_table(prompts=12, candidates=4), labels={"language": ("de", "en") * 6})


def axes(texts: list[str]) -> np.ndarray:
    """Embed a text on the axis of its use case, and one that says "both" between the first two."""
    rows = []
    for text in texts:
        row = np.zeros(len(USE_CASES))
        if text in TABLE.prompts:
            row[USE_CASES.index(TABLE.use_cases[TABLE.prompts.index(text)])] = 1.0
        else:
            row[:2] = (1.0, 0.0) if text == "like the first" else (0.7, 0.7)
        rows.append(row)
    return np.array(rows)


def test_a_prompt_of_the_table_has_what_the_table_says():
    match = prompt_cohorts(TABLE, f" {TABLE.prompts[3]} ")
    assert match.known
    assert match.cohorts == (Cohort("use_case", TABLE.use_cases[3]), Cohort("language", "en"))
    assert match.unsure == ()


def test_one_that_several_entries_share_has_none_of_them():
    twice = replace(TABLE, prompts=(TABLE.prompts[11], *TABLE.prompts[1:]))
    match = prompt_cohorts(twice, TABLE.prompts[11])
    assert match.known
    assert match.unsure == ("use_case", "language")


def test_likeness_names_a_use_case_and_leaves_open_what_is_not_clear():
    match = prompt_cohorts(TABLE, "like the first", axes)
    assert match.cohorts == (Cohort("use_case", USE_CASES[0]),)
    assert match.unsure == ("language",)
    assert prompt_cohorts(TABLE, "both", axes).cohorts == ()


def test_without_embeddings_nobody_is_named():
    assert prompt_cohorts(TABLE, "like the first").unsure == ("use_case", "language")


def test_the_margin_is_of_a_ridge_classifier():
    # By hand, without the ridge and with one prompt an entry: the scores are the coordinates.
    vectors = np.repeat(np.eye(2), 50, axis=0)
    entries = ["a"] * 50 + ["b"] * 50
    assert likely_entry(vectors, entries, np.array([0.7, 0.3])) == "a"
    assert likely_entry(vectors, entries, np.array([0.6, 0.4])) is None


@pytest.mark.parametrize("entries", [["only"] * 3])
def test_a_single_entry_is_everybodys(entries: list[str]):
    assert likely_entry(np.eye(3), entries, np.ones(3)) == "only"
