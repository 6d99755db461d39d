"""Tests of the page *Values* as a script: defining, scoring, judging, use as a target, and cards."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.core.jobs import JobStatus
from map_core.custom_values import agreement, jobs, replies_key, score_cache
from map_core.custom_values.active import clear_cache
from map_core.data import table_format
from map_core.palettes.palette import ALL, Palette, Target
from map_core.scoring import (
    DEFAULT_EMBEDDER,
    Definition,
    ScoringModels,
    Specification,
    cards,
    make_scorer,
    read_values_file,
    values_file,
)
from map_core.scoring.head_weights import HeadComparison, HeadEvidence, HeadWeights
from map_core.scoring.pairwise import PairAnswer, choose_pairs
from map_core.store import SETTING, custom_values, database, palettes
from pages.view.session.scene import value_cards
from pages.view.values.training import comparison_sentence, interval_sentence
from tests.pages.app_script import APP, page_text
from tests.tables import make_table

NURSE = Definition(
    "calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",), colour="#8E5AA8"
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    made_table = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(made_table, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'kept.sqlite'}")
    clear_cache()
    yield table_format.load(tmp_path / "table.parquet")
    clear_cache()


def opened(**parameters) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    for key, value in parameters.items():
        app.session_state[key] = value
    app.run()
    app.switch_page("values.py").run()
    assert not app.exception
    return app


def defining(title: str, more: str, less: str) -> AppTest:
    """Fill in and submit the form; return the page."""
    app = opened()
    app.button(key="values_new").click().run()
    app.text_input(key="values_title").input(title)
    app.text_area(key="values_more").input(more)
    app.text_area(key="values_less").input(less)
    return app.button(key="values_define_submit").click().run()


def scored(table, seed: int = 0, definition: Definition = NURSE) -> np.ndarray:
    """Store scores of the value as the scoring process would, and return them."""
    column = np.random.default_rng(seed).normal(size=len(table.rewards))
    path = score_cache.score_path(replies_key(table), definition)
    path.parent.mkdir(parents=True, exist_ok=True)
    score_cache.write_scores(path, column, {})
    return column


def judge(table, column: np.ndarray, id: int, right: int, of: int) -> None:
    for number, one in enumerate(choose_pairs(table, column, of)):
        higher = column[one.first] > column[one.second]
        answer = PairAnswer.FIRST if higher == (number < right) else PairAnswer.SECOND
        custom_values.judge(database(), id, 1, replies_key(table), agreement.replies_of(table, one), answer)


def test_each_value_of_the_table_has_a_card(table):
    app = opened()
    assert "Helpfulness" in page_text(app)
    assert "No labels say how well it agrees with readers." in page_text(app)
    assert "Half of all replies lie between" in page_text(app)
    app.button_group(key="values_shown").set_value("humor").run()
    assert "What it sounds like, from low to high" in page_text(app)
    assert not app.exception


def test_defining_a_value_starts_its_scoring(table, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda *arguments: started.append(arguments))
    app = defining("Calm nurse", more="sounds like a calm nurse\nspeaks softly", less="sounds like a salesman")
    assert not app.exception
    (defined,) = custom_values.list_values(database())
    assert defined.definition.more == ("sounds like a calm nurse", "speaks softly")
    assert defined.definition.colour is not None
    assert started[0][1:] == (replies_key(table), defined.definition, defined.id)
    assert "are not scored on it yet" in page_text(app)


def _wait_until_cancelled(job, *arguments):
    """Replace the scoring process: wait until the job is cancelled."""
    while True:
        job.check()
        time.sleep(0.01)


def test_stopping_a_scoring_affects_only_ones_own_value(table, monkeypatch):
    """Another value with equal words shares the work."""
    monkeypatch.setattr(jobs, "_score", _wait_until_cancelled)
    key = replies_key(table)
    app = defining("Calm nurse", more="sounds like a calm nurse", less="sounds like a salesman")
    (mine,) = custom_values.list_values(database())
    second_job = jobs.start(Path(), key, replace(mine.definition, name="nurse_2", title="Another"), value=mine.id + 1)
    assert jobs.find_job(key, mine.definition, mine.id) is second_job
    assert "Scoring" in app.get("progress")[0].proto.text
    app.button(key="values_stop").click().run()
    assert not app.exception
    assert not app.get("progress")
    assert "Stopped. What was scored is kept." in page_text(app)
    assert not second_job.wait(0.1)
    app.button(key="values_score").click().run()
    assert app.get("progress")
    jobs.stop(key, mine.definition, mine.id + 1)
    assert not second_job.wait(0.1)
    app.button(key="values_stop").click().run()
    assert second_job.wait(10)
    assert second_job.status is JobStatus.CANCELLED
    assert not jobs.was_stopped(key, mine.definition, mine.id + 2)
    assert jobs.find_job(key, mine.definition, mine.id + 2) is None


def test_deleting_a_value_ends_the_scoring_and_training_of_all_its_versions(table, monkeypatch):
    monkeypatch.setattr(jobs, "_score", _wait_until_cancelled)
    monkeypatch.setattr(jobs, "_run_process", _wait_until_cancelled)
    key = replies_key(table)
    app = defining("Calm nurse", more="sounds like a calm nurse", less="sounds like a salesman")
    (mine,) = custom_values.list_values(database())
    second_job = jobs.start(Path(), key, replace(mine.definition, name="nurse_2", title="Another"), value=mine.id + 1)
    newer = replace(mine.definition, more=("speaks softly",))
    custom_values.revise(database(), mine.id, newer)
    begun = [
        jobs.start(Path(), key, newer, value=mine.id),
        jobs.start(Path(), "another table", mine.definition, value=mine.id),
        jobs.start_training(Path(), key, newer, [(0, 1)], value=mine.id),
    ]
    assert jobs.find_job(key, mine.definition, mine.id) is second_job
    app.run()
    app.button(key="values_delete_sure").click().run()
    assert not app.exception
    assert custom_values.list_values(database()) == ()
    assert jobs.find_job(key, mine.definition, mine.id) is None
    assert not second_job.wait(0.1), "another value's goes on"
    jobs.stop_all(mine.id + 1)
    for job in (second_job, *begun):
        assert job.wait(10)
        assert job.status is JobStatus.CANCELLED


def test_invalid_definition_is_reported_and_the_form_keeps_its_text(table):
    app = defining("Calm nurse", more="sounds like a nurse", less="sounds like a nurse")
    assert "stands on both sides" in page_text(app)
    assert app.text_area(key="values_more").value == "sounds like a nurse"
    assert custom_values.list_values(database()) == ()
    app.button(key="values_define_cancel").click().run()
    assert "Helpfulness" in page_text(app)


def test_name_of_a_table_value_is_refused(table, monkeypatch):
    monkeypatch.setattr(jobs, "start", lambda *arguments: None)
    defining("Humor", more="jokes", less="dry")
    assert custom_values.list_values(database())[0].definition.name == "humor_2"


def test_pairs_are_judged_one_after_another_and_taken_back(table):
    defined = custom_values.define(database(), NURSE)
    column = scored(table)
    app = opened()
    app.button(key="values_judge_begin").click().run()
    assert "Which of these two is more: Calm nurse?" in page_text(app)
    assert "1 of 15" in page_text(app)
    assert "standard deviations" not in page_text(app)  # the judge sees no scores
    app.button(key="values_is_first").click().run()
    assert "2 of 15" in page_text(app)
    app.button(key="values_is_neither").click().run()
    app.button(key="values_back").click().run()
    assert "2 of 15" in page_text(app)
    while "values_judging" in app.session_state:
        app.button(key="values_is_second").click().run()
    judgements = agreement.kept_judgements(database(), table, defined.id, 1)
    assert len(judgements) == 15
    assert len({frozenset((judgement.first, judgement.second)) for judgement in judgements}) == 15
    assert "of 15 judged pairs" in page_text(app)
    assert agreement.basis_sentence(agreement.scorer_agreement(table, column, judgements)) in page_text(app)


def test_a_judged_value_gets_a_slider_with_its_word(table):
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 12, 15)
    app = opened()
    assert "<b>Rough</b>" in page_text(app)
    assert "Puts 12 of 15 judged pairs" in page_text(app)
    app.button(key="values_use").click().run()
    assert custom_values.load(database(), defined.id).in_use == 1
    app.switch_page("palette.py").run()
    assert not app.exception
    slider = app.slider(key="target_calm_nurse")
    assert "Rough: puts 12 of 15" in re.sub(r"\\(.)", r"\1", slider.help)  # as Markdown renders it
    app.toggle(key="free_calm_nurse").set_value(False).run()
    slider = app.slider(key="target_calm_nurse")
    slider.set_value(slider.max).run()
    assert "calm_nurse:p" in app.query_params["palette"]
    assert not app.exception


def test_every_page_works_with_a_custom_value_in_the_palette(table):
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 15, 15)
    custom_values.use(database(), defined.id, 1)
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = "helpfulness:p55;calm_nurse:p55"
    app.run()
    for page in ("tradeoffs", "compare", "palettes", "groups", "sequence", "baselines", "report", "how", "limits"):
        app.switch_page(f"{page}.py").run()
        assert not app.exception, page
        assert "calm_nurse:p55" in app.query_params["palette"], page


def test_unreliable_value_needs_a_confirmation(table):
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 7, 15)
    app = opened()
    assert "Not to be used" in page_text(app)
    app.button(key="values_use").click().run()
    assert custom_values.load(database(), defined.id).in_use == 0
    app.button(key="values_use_sure").click().run()
    assert custom_values.load(database(), defined.id).in_use == 1
    # Marked beside its slider, and only on the desk of whoever confirmed it.
    app.switch_page("palette.py").run()
    label = app.slider(key="target_calm_nurse").label.replace("\\", "")  # as Markdown renders it
    assert label.startswith("Calm nurse (not to be used)")
    app.toggle(key="free_calm_nurse").set_value(False).run()
    for page in ("tradeoffs", "compare", "palettes", "report"):
        app.switch_page(f"{page}.py").run()
        assert "calm nurse (not to be used)" in page_text(app), page
    second_app = AppTest.from_file(APP, default_timeout=60)
    second_app.session_state["plain_desk"] = True
    assert "target_calm_nurse" not in [slider.key for slider in second_app.run().slider]
    # A link with a target on it shows it.
    linked = AppTest.from_file(APP, default_timeout=60)
    linked.session_state["plain_desk"] = True
    linked.query_params["palette"] = "calm_nurse:p55"
    assert "target_calm_nurse" in [slider.key for slider in linked.run().slider]


def test_without_judgements_there_is_no_slider(table):
    custom_values.define(database(), NURSE)
    scored(table)
    app = opened()
    assert "Has the most of it" in page_text(app)
    assert app.button(key="values_use").disabled


def test_target_is_removed_with_its_value(table):
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 15, 15)
    custom_values.use(database(), defined.id, 1)
    clear_cache()
    app = opened()
    app.switch_page("palette.py").run()
    app.slider(key="target_humor").set_value(60).run()
    app.toggle(key="free_calm_nurse").set_value(False).run()
    before = app.query_params["palette"]
    assert "calm_nurse" in before
    app.switch_page("values.py").run()
    app.button(key="values_delete_sure").click().run()
    assert custom_values.list_values(database()) == ()
    app.switch_page("palette.py").run()
    assert not app.exception
    after = app.query_params["palette"]
    assert "calm_nurse" not in after
    assert [item for item in before.split(";") if "calm_nurse" not in item] == after.split(";")


def test_saved_palette_without_target_on_a_deleted_value_still_fits(table):
    targets = {name: Target(55.0, free=name != "humor") for name in (*table.values, "calm_nurse")}
    palettes.save(database(), Palette(ALL, targets), "Without the nurse")
    palettes.save(database(), Palette(ALL, {**targets, "calm_nurse": Target(60.0)}), "With the nurse")
    app = opened()
    app.switch_page("palettes.py").run()
    buttons = {button.key: button.disabled for button in app.button if button.key.startswith("saved_use_")}
    assert buttons == {"saved_use_1": False, "saved_use_2": True}
    app.button(key="saved_use_1").click().run()
    assert not app.exception


def test_link_with_a_missing_value_is_reported(table):
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = "calm_nurse:p70"
    app.run()
    assert "names 'calm_nurse'" in page_text(app)
    assert "on the page Values" in page_text(app)


def test_changed_words_make_a_version_without_judgements(table, monkeypatch):
    monkeypatch.setattr(jobs, "start", lambda *arguments: None)
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 15, 15)
    custom_values.use(database(), defined.id, 1)
    clear_cache()
    app = opened()
    app.button(key="values_change").click().run()
    assert app.text_area(key="values_more").value == "sounds like a calm nurse"
    app.text_area(key="values_more").input("speaks softly, as a nurse does")
    app.button(key="values_define_submit").click().run()
    changed = custom_values.load(database(), defined.id)
    assert (changed.version, changed.in_use) == (2, 1)
    assert changed.used == NURSE
    assert "are not scored on it yet" in page_text(app)


def test_definition_can_be_exported_for_the_command_line(tmp_path):
    file = tmp_path / "calm_nurse.json"
    file.write_text(values_file([NURSE]), encoding="utf-8")
    head = read_values_file(file)["calm_nurse"]
    assert make_scorer(head, ScoringModels()).version == make_scorer(Specification.of(NURSE), ScoringModels()).version


#: A possible result of training on 30 pairs.
HEAD = HeadWeights(
    (0.5,) * 1152,
    0.0,
    1.0,
    DEFAULT_EMBEDDER,
    HeadEvidence("pairs", 30, HeadComparison(0.9, 0.74, 0.97, 30, 16, 0.6, 0.04, 0.56)),
)


def test_value_is_trained_and_used_from_twenty_pairs_on(table, monkeypatch):
    """Its grade is cross-validated, and says so; the previous version keeps its slider meanwhile."""
    trainings, scoring = [], []

    def train(path, key, definition, pairs, value):
        trainings.append(pairs)
        return jobs._submit(jobs._training_key(key, definition, pairs), value, lambda job: HEAD)

    monkeypatch.setattr(jobs, "start_training", train)
    monkeypatch.setattr(jobs, "start", lambda path, key, definition, value: scoring.append(definition))
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 18, 30)
    custom_values.use(database(), defined.id, 1)
    app = opened()
    app.button(key="values_train").click().run()
    assert len(trainings[0]) == 30
    jobs.training_job(replies_key(table), NURSE, trainings[0], defined.id).wait(10)
    app.run()
    assert "It orders 27 of 30 of your pairs as you do, the description 18. Better: yes." in page_text(app)
    assert custom_values.load(database(), defined.id).version == 1  # nothing changed yet
    app.button(key="values_train_use").click().run()
    trained = custom_values.load(database(), defined.id)
    assert (trained.version, trained.in_use) == (2, 1)
    assert trained.definition.head == HEAD
    assert scoring == [trained.definition]
    scored(table, seed=1, definition=trained.definition)
    app.run()
    assert "Puts 27 of 30 judged pairs" in page_text(app)
    assert "They are those that it was trained on, each put in order without its prompt" in page_text(app)
    assert "<b>Reliable</b>" in page_text(app)
    assert "This version is trained on all 30 decided pairs." in page_text(app)
    app.button(key="values_use").click().run()
    assert custom_values.load(database(), defined.id).in_use == 2
    assert not app.exception


def test_number_of_missing_pairs_is_shown(table):
    defined = custom_values.define(database(), NURSE)
    judge(table, scored(table), defined.id, 12, 15)
    app = opened()
    assert "From 20 decided pairs on, this value can be trained on your judgements; there are 15." in page_text(app)
    assert not [button for button in app.button if button.key == "values_train"]


def test_unproven_improvement_is_not_called_better():
    close = HeadComparison(0.725, 0.55, 0.85, 40, 30, 0.7, -0.09, 0.14)
    assert comparison_sentence(close) == (
        "It orders 29 of 40 of your pairs as you do, the description 28. Better: not shown yet."
    )
    assert interval_sentence(close).startswith("Of 100 pairs of other prompts, −9 to +14 more would be ordered")


def test_markup_in_a_definition_is_text(table):
    odd = Definition("odd", "<b>Bold</b> **x**", ("<img src=x onerror=alert(1)>",), ("$x$",))
    custom_values.define(database(), odd)
    scored(table, definition=odd)
    app = opened(values_shown="odd")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page_text(app)
    assert "<img" not in page_text(app)


def test_unchanged_scorer_has_its_current_description():
    card = cards()["helpfulness"]

    def source(**entry: str) -> str:
        recorded = {"name": "helpfulness", "source": "as it was said then", **entry}
        return value_cards({"scorers": [recorded]})["helpfulness"]["source"]

    assert source(version=f"{card.version}/all-minilm-l6-v2") == card.source
    assert source(version="1") == source(version=card.version, family="head") == source() == "as it was said then"
