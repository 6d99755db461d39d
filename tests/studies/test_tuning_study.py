"""Tests of the file of studies of tuned models: one study per route, all of one table."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from map_core.errors import InputError
from map_core.studies.tuning_study import keep_study, read_studies
from tests.text.test_tuning_evidence import make_study


def test_a_study_replaces_that_of_its_route_and_keeps_the_others(tmp_path: Path):
    path = tmp_path / "study.json"
    assert read_studies(path, "aa") == ()
    keep_study(make_study(), path, "aa")
    keep_study(replace(make_study(), method="distill"), path, "aa")
    newer = replace(make_study(), date="2026-12-01")
    keep_study(newer, path, "aa")
    studies = read_studies(path, "aa")
    assert [make_study.method for make_study in studies] == ["distill", "pairs"]
    assert asdict(studies[1]) == asdict(newer)


def test_a_study_of_another_table_is_ignored_and_replaced(tmp_path: Path):
    path = tmp_path / "study.json"
    keep_study(make_study(), path, "aa")
    assert read_studies(path, "bb") == ()
    keep_study(make_study(), path, "bb")
    assert read_studies(path, "aa") == ()


def test_malformed_studies_are_refused(tmp_path: Path):
    path = tmp_path / "study.json"
    for text in ("{", "[]", '{"format": 1, "table": "aa", "studies": [{}]}'):
        path.write_text(text)
        with pytest.raises(InputError, match="bench_tuning --study"):
            read_studies(path, "aa")
