"""Tests of the page *Evidence* as a script: the shipped study, a study of the open table, and none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.data import table_format
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.models.cache import sha256_of
from map_core.models.tuned import RECORD, tuned_folder
from map_core.report.evidence import SHIPPED
from map_core.studies import tuning_study
from map_core.studies.delivery import run_study
from map_core.studies.delivery import study as studies
from map_core.text.tuning import overall_sentence
from map_core.text.tuning_evidence import study_sentence
from map_core.tuning.check import LOG_RATIOS, check_tuned
from tests.pages.app_script import APP, page_text
from tests.tables import make_table
from tests.text.test_tuning_evidence import make_study


@pytest.fixture
def place(unopened, tmp_path):
    return tmp_path


def page() -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60).run()
    return app.switch_page("delivery.py").run()


def test_shipped_study_of_another_table_is_marked(place):
    app = page()
    assert not app.exception
    assert "on another table" in app.warning[0].value
    assert app.code[0].value.endswith("table.delivery.json")
    assert "of 128 prompts" in page_text(app)
    assert "The paper" in page_text(app)
    assert "this table holds out 0" in page_text(app)


def test_the_shipped_study_is_of_the_embedded_table(monkeypatch):
    monkeypatch.delenv("VALUE_PALETTE_TABLE", raising=False)
    app = page()
    assert not app.exception
    assert not app.warning
    make_study = studies.load(SHIPPED)
    assert len(app.selectbox(key="evidence_number").options) == len(make_study.graded.asked)
    first = app.selectbox(key="evidence_number").value
    targets = np.isfinite(make_study.graded.asked).sum(axis=1)
    assert make_study.graded.mostly_reachable[first]
    assert targets[first] == targets[make_study.graded.mostly_reachable].max(), (
        "the palette with the most targets comes first"
    )
    assert (make_study.graded.candidates, make_study.graded.prompts, len(make_study.random.asked)) == (16, 128, 50)
    # The figures of the README.
    assert make_study.graded.way(make_study.graded.realised) > 0.95
    assert make_study.graded.way(make_study.graded.realised, capped=True) > 0.95
    assert 0.85 <= np.nanmean(make_study.graded.inside) <= 0.95
    assert make_study.random.improved.mean() >= 0.9


def test_demands_beyond_averages_are_promised_too(place):
    table = make_table(prompts=48, candidates=16, seed=5)
    table_format.save(replace(table, held_out=np.arange(48) % 3 == 0), place / "table.parquet")
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = "humor:p60;humor>=p20@*:0.85"
    app.run()
    words = page_text(app.switch_page("delivery.py").run())
    for _ in range(40):
        if "Testing the palette" not in words:
            break
        words = page_text(app.run())
    assert not app.exception
    assert "16 new prompts" in words
    assert "replies chosen among 16 " in words
    for use_case in sorted(set(table.use_cases)):
        assert f"Humor above the base model's weakest fifth, in {use_case}" in words.replace("&#x27;", "'")


def test_promises_of_a_server_are_shown(place):
    standing = {"described": {"verdict": "kept", "requests": 41}}
    since = "2026-11-29T10:00:00+00:00"
    promises = {"warm": {"since": since, "not_counted": 67, "over_base": standing, "levels": None}}
    (place / "table.promises.json").write_text(json.dumps(promises))
    words = page_text(page())
    assert "Is it kept in use?" in words
    assert "not watched" in words
    assert "41" in words
    assert "67" in words
    assert "are not counted" in words
    (place / "table.promises.json").write_text("[1]")
    app = page()
    assert not app.exception
    assert "Is it kept in use?" not in page_text(app)


def test_a_study_beside_the_open_table_is_shown(place, monkeypatch):
    table, fresh = table_format.load(place / "table.parquet"), make_table(prompts=16, candidates=8, seed=6)
    make_study = run_study(table, fresh, halvings=1, random=2)
    studies.save(make_study, place / "table.delivery.json")

    def no_descriptors(path: Path) -> None:
        raise InputError(f"{path} holds no study of delivery (Too many open files).")

    with monkeypatch.context() as short:
        short.setattr(studies, "load", no_descriptors)
        assert not page().exception
    app = page()  # retried: a transient failure is not cached
    assert not app.exception
    assert not app.warning
    assert "of 16 prompts" in page_text(app)
    assert len(app.selectbox(key="evidence_number").options) == len(make_study.graded.asked)
    app.selectbox(key="evidence_number").set_value(4).run()
    assert not app.exception


def test_without_a_study_the_page_explains_how_to_make_one(place, monkeypatch):
    monkeypatch.setattr("map_core.report.evidence.SHIPPED", place / "none.json")
    app = page()
    assert not app.exception
    assert "verify --study" in app.code[0].value


@pytest.fixture
def tuned(place, monkeypatch):
    """Write a table with held-out prompts and a tuned model that was checked."""
    monkeypatch.setenv(catalog.SETTING, str(place / "kept"))
    metadata = {"model": {"name": "tiny", "sha256": "aa"}}
    table = replace(make_table(prompts=16, candidates=8, seed=5), metadata=metadata)
    table_format.save(table, place / "table.parquet")
    held_out = table.take([0, 4, 8, 12])
    fresh = replace(held_out, rewards=held_out.rewards + 0.1, metadata={LOG_RATIOS: [0.2] * len(held_out.rewards)})
    weights = {table.values[0]: 1.0}
    record = {
        **{"format": 1, "method": "pairs", "palette": {"asked": {table.values[0]: 0.4}}, "weights": weights},
        **{"values": list(table.values), "held_out": list(held_out.prompt_ids), **metadata},
    }
    record["check"] = check_tuned(record, held_out, fresh).as_dict()
    for name, model in (("Kind", "aa"), ("Elsewhere", "bb"), ("New", "aa")):
        (tuned_folder(name)).mkdir(parents=True)
        checked_record = {**record, "model": {"name": "tiny", "sha256": model}}
        if name == "New":
            del checked_record["check"]
        (tuned_folder(name) / RECORD).write_text(json.dumps(checked_record))
    return record


def test_tuned_models_of_the_table_are_shown_with_what_they_delivered(tuned):
    app = page()
    assert not app.exception
    words = page_text(app)
    assert "What tuned models delivered" in [header.value for header in app.header]
    assert "Kind" in words
    assert "Elsewhere" not in words
    assert "not checked yet" in words
    assert overall_sentence(tuned["check"]) in words
    assert any(
        "--model" in code.value and code.value.split("--model ")[1].startswith(str(tuned_folder("New")))
        for code in app.code
    )
    assert "Effective sample size" in words  # tests show numbers


def test_page_without_tuned_models(place, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(place / "kept"))
    words = page_text(page())
    assert "nothing was measured" in words
    assert "Over a set of palettes" not in words


def test_the_study_of_the_embedded_table_is_a_figure_and_a_table(place, monkeypatch):
    monkeypatch.delenv("VALUE_PALETTE_TABLE", raising=False)
    monkeypatch.setenv(catalog.SETTING, str(place / "kept"))
    monkeypatch.setattr(tuning_study, "SHIPPED", place / "tuning_study.json")
    assert "Nothing has been measured over a set of palettes yet" in page_text(page())
    tuning_study.keep_study(make_study(), place / "tuning_study.json", sha256_of(DEFAULT_TABLE))

    def no_descriptors(*arguments: object) -> None:
        raise InputError("The study cannot be read (Too many open files).")

    with monkeypatch.context() as short:
        short.setattr(tuning_study, "read_studies", no_descriptors)
        assert study_sentence(make_study()) not in page_text(page())
    app = page()  # retried: a transient failure is not cached
    assert not app.exception
    assert study_sentence(make_study()) in page_text(app)
    assert make_study().command in [code.value for code in app.code]
