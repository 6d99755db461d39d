"""The page *Values* as a script: define in words, score, judge, use as a target, and the card of each value."""

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
    made = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(made, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'kept.sqlite'}")
    clear_cache()
    yield table_format.load(tmp_path / "table.parquet")
    clear_cache()


def opened(**told) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    for key, value in told.items():
        app.session_state[key] = value
    app.run()
    app.switch_page("values.py").run()
    assert not app.exception
    return app


def defining(title: str, more: str, less: str) -> AppTest:
    """The page after its form was filled in and sent."""
    app = opened()
    app.button(key="values_new").click().run()
    app.text_input(key="values_title").input(title)
    app.text_area(key="values_more").input(more)
    app.text_area(key="values_less").input(less)
    return app.button(key="values_define_submit").click().run()


def scored(table, seed: int = 0, definition: Definition = NURSE) -> np.ndarray:
    """Scores of the value, put where the scoring process would put them."""
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


def test_a_value_is_defined_in_words_and_its_scoring_begins(table, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda *told: started.append(told))
    app = defining("Calm nurse", more="sounds like a calm nurse\nspeaks softly", less="sounds like a salesman")
    assert not app.exception
    (made,) = custom_values.list_values(database())
    assert made.definition.more == ("sounds like a calm nurse", "speaks softly")
    assert made.definition.colour is not None
    assert started[0][1:] == (replies_key(table), made.definition, made.id)
    assert "are not scored on it yet" in page_text(app)


def _wait_until_cancelled(job, *arguments):
    """Stands for the scoring process."""
    while True:
        job.check()
        time.sleep(0.01)


def test_who_stops_a_scoring_stops_it_for_their_value_alone(table, monkeypatch):
    """Another value with equal words shares the work."""
    monkeypatch.setattr(jobs, "_score", _wait_until_cancelled)
    key = replies_key(table)
    app = defining("Calm nurse", more="sounds like a calm nurse", less="sounds like a salesman")
    (mine,) = custom_values.list_values(database())
    theirs = jobs.start(Path(), key, replace(mine.definition, name="nurse_2", title="Another"), value=mine.id + 1)
    assert jobs.find_job(key, mine.definition, mine.id) is theirs
    assert "Scoring" in app.get("progress")[0].proto.text
    app.button(key="values_stop").click().run()
    assert not app.exception
    assert not app.get("progress")
    assert "Stopped. What was scored is kept." in page_text(app)
    assert not theirs.wait(0.1)
    app.button(key="values_score").click().run()
    assert app.get("progress")
    jobs.stop(key, mine.definition, mine.id + 1)
    assert not theirs.wait(0.1)
    app.button(key="values_stop").click().run()
    assert theirs.wait(10)
    assert theirs.status is JobStatus.CANCELLED
    assert not jobs.was_stopped(key, mine.definition, mine.id + 2)
    assert jobs.find_job(key, mine.definition, mine.id + 2) is None


def test_deleting_a_value_ends_the_scoring_and_training_of_all_its_versions(table, monkeypatch):
    monkeypatch.setattr(jobs, "_score", _wait_until_cancelled)
    monkeypatch.setattr(jobs, "_run_process", _wait_until_cancelled)
    key = replies_key(table)
    app = defining("Calm nurse", more="sounds like a calm nurse", less="sounds like a salesman")
    (mine,) = custom_values.list_values(database())
    theirs = jobs.start(Path(), key, replace(mine.definition, name="nurse_2", title="Another"), value=mine.id + 1)
    newer = replace(mine.definition, more=("speaks softly",))
    custom_values.revise(database(), mine.id, newer)
    begun = [
        jobs.start(Path(), key, newer, value=mine.id),
        jobs.start(Path(), "another table", mine.definition, value=mine.id),
        jobs.start_training(Path(), key, newer, [(0, 1)], value=mine.id),
    ]
    assert jobs.find_job(key, mine.definition, mine.id) is theirs
    app.run()
    app.button(key="values_delete_sure").click().run()
    assert not app.exception
    assert custom_values.list_values(database()) == ()
    assert jobs.find_job(key, mine.definition, mine.id) is None
    assert not theirs.wait(0.1), "another value's goes on"
    jobs.stop_all(mine.id + 1)
    for job in (theirs, *begun):
        assert job.wait(10)
        assert job.status is JobStatus.CANCELLED


def test_what_cannot_be_kept_is_said_and_nothing_typed_is_lost(table):
    app = defining("Calm nurse", more="sounds like a nurse", less="sounds like a nurse")
    assert "stands on both sides" in page_text(app)
    assert app.text_area(key="values_more").value == "sounds like a nurse"
    assert custom_values.list_values(database()) == ()
    app.button(key="values_define_cancel").click().run()
    assert "Helpfulness" in page_text(app)


def test_a_name_of_the_table_is_not_taken_twice(table, monkeypatch):
    monkeypatch.setattr(jobs, "start", lambda *told: None)
    defining("Humor", more="jokes", less="dry")
    assert custom_values.list_values(database())[0].definition.name == "humor_2"


def test_pairs_are_judged_one_after_another_and_taken_back(table):
    made = custom_values.define(database(), NURSE)
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
    judgements = agreement.kept_judgements(database(), table, made.id, 1)
    assert len(judgements) == 15
    assert len({frozenset((judgement.first, judgement.second)) for judgement in judgements}) == 15
    assert "of 15 judged pairs" in page_text(app)
    assert agreement.basis_sentence(agreement.scorer_agreement(table, column, judgements)) in page_text(app)


def test_a_judged_value_gets_a_slider_with_its_word(table):
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 12, 15)
    app = opened()
    assert "<b>Rough</b>" in page_text(app)
    assert "Puts 12 of 15 judged pairs" in page_text(app)
    app.button(key="values_use").click().run()
    assert custom_values.load(database(), made.id).in_use == 1
    app.switch_page("palette.py").run()
    assert not app.exception
    slider = app.slider(key="target_calm_nurse")
    assert "Rough: puts 12 of 15" in re.sub(r"\\(.)", r"\1", slider.help)  # as Markdown shows it
    app.toggle(key="free_calm_nurse").set_value(False).run()
    slider = app.slider(key="target_calm_nurse")
    slider.set_value(slider.max).run()
    assert "calm_nurse:p" in app.query_params["palette"]
    assert not app.exception


def test_every_page_stands_with_a_value_of_ones_own_in_the_palette(table):
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 15, 15)
    custom_values.use(database(), made.id, 1)
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = "helpfulness:p55;calm_nurse:p55"
    app.run()
    for page in ("tradeoffs", "compare", "palettes", "groups", "sequence", "baselines", "report", "how", "limits"):
        app.switch_page(f"{page}.py").run()
        assert not app.exception, page
        assert "calm_nurse:p55" in app.query_params["palette"], page


def test_what_is_not_to_be_used_needs_one_more_word(table):
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 7, 15)
    app = opened()
    assert "Not to be used" in page_text(app)
    app.button(key="values_use").click().run()
    assert custom_values.load(database(), made.id).in_use == 0
    app.button(key="values_use_sure").click().run()
    assert custom_values.load(database(), made.id).in_use == 1
    # Marked wherever its slider stands, and on the desk of whoever asked for it alone.
    app.switch_page("palette.py").run()
    label = app.slider(key="target_calm_nurse").label.replace("\\", "")  # what Markdown shows
    assert label.startswith("Calm nurse (not to be used)")
    app.toggle(key="free_calm_nurse").set_value(False).run()
    for page in ("tradeoffs", "compare", "palettes", "report"):
        app.switch_page(f"{page}.py").run()
        assert "calm nurse (not to be used)" in page_text(app), page
    other = AppTest.from_file(APP, default_timeout=60)
    other.session_state["plain_desk"] = True
    assert "target_calm_nurse" not in [slider.key for slider in other.run().slider]
    # A link that asks for it has it.
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


def test_a_target_goes_with_its_value_and_the_rest_stays(table):
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 15, 15)
    custom_values.use(database(), made.id, 1)
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


def test_a_saved_palette_fits_where_nothing_is_asked_of_the_value_that_is_gone(table):
    targets = {name: Target(55.0, free=name != "humor") for name in (*table.values, "calm_nurse")}
    palettes.save(database(), Palette(ALL, targets), "Without the nurse")
    palettes.save(database(), Palette(ALL, {**targets, "calm_nurse": Target(60.0)}), "With the nurse")
    app = opened()
    app.switch_page("palettes.py").run()
    buttons = {button.key: button.disabled for button in app.button if button.key.startswith("saved_use_")}
    assert buttons == {"saved_use_1": False, "saved_use_2": True}
    app.button(key="saved_use_1").click().run()
    assert not app.exception


def test_a_link_that_names_a_value_that_is_not_there_says_so(table):
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = "calm_nurse:p70"
    app.run()
    assert "names 'calm_nurse'" in page_text(app)
    assert "on the page Values" in page_text(app)


def test_other_words_make_a_version_that_is_judged_anew(table, monkeypatch):
    monkeypatch.setattr(jobs, "start", lambda *told: None)
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 15, 15)
    custom_values.use(database(), made.id, 1)
    clear_cache()
    app = opened()
    app.button(key="values_change").click().run()
    assert app.text_area(key="values_more").value == "sounds like a calm nurse"
    app.text_area(key="values_more").input("speaks softly, as a nurse does")
    app.button(key="values_define_submit").click().run()
    changed = custom_values.load(database(), made.id)
    assert (changed.version, changed.in_use) == (2, 1)
    assert changed.used == NURSE
    assert "are not scored on it yet" in page_text(app)


def test_a_definition_can_be_taken_to_the_command_line(tmp_path):
    file = tmp_path / "calm_nurse.json"
    file.write_text(values_file([NURSE]), encoding="utf-8")
    head = read_values_file(file)["calm_nurse"]
    assert make_scorer(head, ScoringModels()).version == make_scorer(Specification.of(NURSE), ScoringModels()).version


#: What training on 30 pairs might give.
HEAD = HeadWeights(
    (0.5,) * 1152,
    0.0,
    1.0,
    DEFAULT_EMBEDDER,
    HeadEvidence("pairs", 30, HeadComparison(0.9, 0.74, 0.97, 30, 16, 0.6, 0.04, 0.56)),
)


def test_from_twenty_pairs_on_a_value_is_trained_and_the_trained_version_is_used(table, monkeypatch):
    """Its word rests on the cross-validated figure, and it says so; the version before keeps its slider meanwhile."""
    asked, scoring = [], []

    def train(path, key, definition, pairs, value):
        asked.append(pairs)
        return jobs._submit(jobs._training_key(key, definition, pairs), value, lambda job: HEAD)

    monkeypatch.setattr(jobs, "start_training", train)
    monkeypatch.setattr(jobs, "start", lambda path, key, definition, value: scoring.append(definition))
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 18, 30)
    custom_values.use(database(), made.id, 1)
    app = opened()
    app.button(key="values_train").click().run()
    assert len(asked[0]) == 30
    jobs.training_job(replies_key(table), NURSE, asked[0], made.id).wait(10)
    app.run()
    assert "It orders 27 of 30 of your pairs as you do, the description 18. Better: yes." in page_text(app)
    assert custom_values.load(database(), made.id).version == 1  # nothing changed yet
    app.button(key="values_train_use").click().run()
    trained = custom_values.load(database(), made.id)
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
    assert custom_values.load(database(), made.id).in_use == 2
    assert not app.exception


def test_before_twenty_pairs_it_says_how_many_are_missing(table):
    made = custom_values.define(database(), NURSE)
    judge(table, scored(table), made.id, 12, 15)
    app = opened()
    assert "From 20 decided pairs on, this value can be trained on your judgements; there are 15." in page_text(app)
    assert not [one for one in app.button if one.key == "values_train"]


def test_what_is_not_shown_yet_is_not_called_better():
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


def test_a_scorer_is_described_in_the_words_of_now_where_it_is_the_same():
    ours = cards()["helpfulness"]

    def source(**entry: str) -> str:
        recorded = {"name": "helpfulness", "source": "as it was said then", **entry}
        return value_cards({"scorers": [recorded]})["helpfulness"]["source"]

    assert source(version=f"{ours.version}/all-minilm-l6-v2") == ours.source
    assert source(version="1") == source(version=ours.version, family="head") == source() == "as it was said then"
