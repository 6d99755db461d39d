"""Tests of the page Tables as a script: choosing a table, importing a file, a build, and the quality of a table."""

from __future__ import annotations

import html
import json
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.catalog import jobs, processes
from map_core.catalog.jobs import TableJobState
from map_core.core.jobs import shared_jobs
from map_core.data import table_format
from map_core.models import files
from map_core.models.files import ModelFiles
from map_core.scoring import Definition
from map_core.store import custom_values, database
from pages.view.tables import build_form
from tests.pages.app_script import APP, page_text
from tests.tables import make_table


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))
    monkeypatch.delenv("VALUE_PALETTE_INBOX", raising=False)


@pytest.fixture
def page(app):
    return app.switch_page("tables.py").run()


def view(page: AppTest, name: str) -> AppTest:
    return page.segmented_control(key="tables_view").set_value(name).run()


def press(page: AppTest, key: str) -> AppTest:
    return page.button(key=key).click().run()


def until_ended(page: AppTest, name: str) -> AppTest:
    deadline = time.monotonic() + 60
    while jobs.status(name).state is TableJobState.RUNNING:
        assert time.monotonic() < deadline, f"{name} is still being made"
        time.sleep(0.05)
    return page.run()


def scored(rows: int = 24) -> bytes:
    rng = random.Random(2)
    lines = ["question,answer,humor,tact,audience"]
    lines += [f'"Q{n // 6}?","=A{n} <b>x</b>",{rng.gauss(0, 1):.3f},{rng.gauss(0, 1):.3f},nurses' for n in range(rows)]
    return "\n".join(lines).encode()


def test_imported_file_becomes_the_table_of_every_page(page, tmp_path):
    assert "No other table is here yet" in page_text(page)
    view(page, "file")
    page.file_uploader(key="tables_file_0").upload("My: scores.csv", scored(), "text/csv").run()
    assert not page.exception
    # The app has released the upload: the uploader is a new one, and the file is on disk.
    assert len(list((catalog.folder() / ".uploads").iterdir())) == 1
    assert page.session_state["tables_file_round"] == 1
    assert page.text_input(key="upload_name").value == "My scores"
    assert page.multiselect(key="upload_values").value == ["humor", "tact"]
    page.selectbox(key="upload_use_case").set_value(5).run()
    press(page, "upload_make")
    until_ended(page, "My scores")
    assert "'question' holds the prompts" in html.unescape(page_text(page))
    assert not list((catalog.folder() / ".uploads").iterdir())
    press(page, "work_look_My scores")
    assert page.session_state["table"] == "My scores"
    assert page.query_params["view"] in ("kept", ["kept"])
    assert "Every page now shows “My scores”" in " ".join(text.value for text in page.text)
    assert processes.list_jobs() == ()
    page.switch_page("tradeoffs.py").run()
    assert page.query_params["table"] in ("My scores", ["My scores"])
    assert set(page.session_state["history"].now.targets) == {"humor", "tact"}
    assert page.selectbox(key="use_case").options == ["All use cases", "nurses"]


def test_link_opens_its_table_and_names_stay_in_the_folder(app, tmp_path):
    table_format.save(make_table(prompts=6, candidates=4, values=("wit", "tact")), catalog.path_of("Ours"))
    linked = AppTest.from_file(APP, default_timeout=60)
    linked.query_params["table"] = "Ours"
    linked.run()
    assert set(linked.session_state["history"].now.targets) == {"wit", "tact"}
    for name, words in (
        ("Gone", "There is no table of this name. It was deleted"),
        ("../../etc/passwd", "expected 1 to 60 letters"),
    ):
        odd = AppTest.from_file(APP, default_timeout=60)
        odd.query_params["table"] = name
        odd.run()
        assert words in " ".join(text.value for text in odd.text)
        press(odd, "first_table")
        assert odd.session_state["table"] == ""
        assert "helpfulness" in odd.session_state["history"].now.targets


def test_errors_of_a_file_are_shown_and_columns_can_be_chosen_again(page):
    view(page, "file")
    page.file_uploader(key="tables_file_0").upload("a.csv", scored(8) + b"\nq,a,funny,1,x", "text/csv").run()
    press(page, "upload_make")
    until_ended(page, "a")
    assert "row 10, column 'humor' is 'funny', not a number" in " ".join(text.value for text in page.text)
    press(page, "work_columns_a")
    assert processes.list_jobs() == ()
    page.multiselect(key="upload_values").set_value(["tact"]).run()
    press(page, "upload_make")
    until_ended(page, "a")
    assert table_format.load(catalog.path_of("a")).values == ("tact",)
    view(page, "file")
    page.file_uploader(key="tables_file_1").upload("b.csv", b"prompt,reply\nd\xe9j\xe0,x", "text/csv").run()
    assert any("b.csv is not text in UTF-8" in text.value for text in page.text)
    press(page, "upload_other")
    assert not list((catalog.folder() / ".uploads").iterdir())


def test_held_out_prompts_of_a_file_stay_held_out(page):
    rows = [f"Q{n // 2}?,reply {n},{n / 7:.2f},{'test' if n // 2 == 1 else 'train'}" for n in range(8)]
    view(page, "file")
    content = "\n".join(["prompt,reply,wit,split", *rows]).encode()
    page.file_uploader(key="tables_file_0").upload("a.csv", content, "text/csv").run()
    assert page.selectbox(key="upload_held_out").value == 4, "the column is guessed by its name and its words"
    press(page, "upload_make")
    until_ended(page, "a")
    assert "'split' holds 1 of 4 prompts out: they only check what is promised." in html.unescape(page_text(page))
    assert table_format.load(catalog.path_of("a")).held_out.tolist() == [False, True, False, False]


def test_lookalike_prompts_are_a_question_with_both_counts(page):
    rows = [{"prompt": text, "reply": f"r{n}", "wit": n} for n, text in enumerate(("How?", "How?\u00a0", "Why?"))]
    view(page, "file")
    content = "\n".join(map(json.dumps, rows)).encode()
    page.file_uploader(key="tables_file_0").upload("a.jsonl", content, "application/json").run()
    press(page, "upload_make")
    until_ended(page, "a")
    key = "work_question_a_--lookalikes"
    assert page.button(key="work_answer_a").disabled
    choice = page.radio(key=key)
    assert "2 prompts look like another one" in choice.label
    assert [option.replace("\\", "") for option in choice.options] == [
        "2 prompts in all where they are merged",
        "3 prompts where they are kept apart",
    ]
    choice.set_value(0).run()
    press(page, "work_answer_a")
    until_ended(page, "a")
    assert not page.exception
    assert table_format.load(catalog.path_of("a")).candidates.tolist() == [2, 1]


def test_the_mapping_of_nested_fields_is_shown_before_and_after(page):
    rows = [{"prompt": "How?", "responses": ["a", "b"], "rewards": [1.5, 0.5]}]
    view(page, "file")
    page.file_uploader(key="tables_file_0").upload("a.jsonl", json.dumps(rows[0]).encode(), "application/json").run()
    mapping = "Each entry of 'responses' is a row: 'prompt' is the prompt and 'responses[]' the reply"
    assert mapping in html.unescape(page_text(page))
    assert page.multiselect(key="upload_values").value == ["rewards"]
    press(page, "upload_make")
    until_ended(page, "a")
    assert mapping in html.unescape(page_text(page))
    assert table_format.load(catalog.path_of("a")).replies == ("a", "b")


def test_server_files_come_only_from_the_inbox(page, tmp_path, monkeypatch):
    view(page, "file")
    assert "tables_inbox" not in [box.key for box in page.selectbox]
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "large.csv").write_bytes(scored())
    (tmp_path / "inbox" / "secret.key").write_text("no")
    monkeypatch.setenv("VALUE_PALETTE_INBOX", str(tmp_path / "inbox"))
    page.run()
    assert page.selectbox(key="tables_inbox").options == ["large.csv"]
    page.selectbox(key="tables_inbox").set_value("large.csv").run()
    press(page, "tables_inbox_take")
    press(page, "upload_make")
    until_ended(page, "large")
    assert [box.name for box in catalog.list_tables()] == ["large"]
    assert (tmp_path / "inbox" / "large.csv").read_bytes() == scored()


def test_deleting_the_current_table_returns_to_the_first(page):
    table_format.save(make_table(prompts=6, candidates=4, values=("wit", "tact")), catalog.path_of("Ours"))
    page.run()
    press(page, "table_look_Ours")
    assert page.session_state["table"] == "Ours"
    press(page, "table_gone_Ours")
    assert page.session_state["table"] == ""
    assert catalog.list_tables() == ()
    assert any("“Ours” was deleted." in text.value for text in page.text)


def test_build_starts_with_the_chosen_options(page, monkeypatch):
    monkeypatch.setattr(files, "installed", lambda: [ModelFiles("tiny", Path("tiny"), "0" * 64, "here")])
    begun = []
    monkeypatch.setattr(
        processes, "start", lambda *start_arguments, **options: begun.append((start_arguments, options))
    )
    view(page, "build")
    assert page.button(key="build_go").disabled
    page.text_area(key="build_pasted").set_value("How?\nHow?").run()
    assert any("Your text has the same prompt" in text.value and "--" not in text.value for text in page.text)
    page.checkbox(key="build_repeats").check().run()
    assert "1 prompt." in page_text(page)
    page.checkbox(key="build_repeats").uncheck()
    page.text_area(key="build_pasted").set_value("How?\n <b>Why?</b> ").run()
    page.multiselect(key="build_values").set_value(["diversity", "plain_language"]).run()
    press(page, "build_go")
    (start_arguments, _), *others = begun
    assert not others
    name, kind, arguments, about, inputs = start_arguments
    assert (name, kind) == ("My prompts", "build")
    assert {"--model=tiny", "--values=diversity,plain_language", "--candidates=16"} <= set(arguments)
    assert about == {"prompts": 2, "candidates": 16, "values": ["diversity", "plain_language"], "model": "tiny"}
    assert [json.loads(line)["prompt"] for line in inputs["prompts.jsonl"].splitlines()] == ["How?", "<b>Why?</b>"]


def test_build_scores_custom_values(page, monkeypatch):
    monkeypatch.setattr(files, "installed", lambda: [ModelFiles("tiny", Path("tiny"), "0" * 64, "here")])
    begun = []
    monkeypatch.setattr(processes, "start", lambda *start_arguments, **options: begun.append(start_arguments))
    definition = Definition("calm_nurse", "Calm *nurse*", more=("a calm nurse",), less=("a salesman",))
    value = custom_values.define(database(), definition)
    view(page, "build")
    assert build_form.own_definitions() == (), "not in use yet"
    custom_values.use(database(), value.id, 1)
    page.text_area(key="build_pasted").set_value("How?").run()
    page.multiselect(key="build_values").set_value(["diversity", "calm_nurse"]).run()
    press(page, "build_go")
    ((_, _, arguments, _, inputs),) = begun
    assert "--values=diversity,calm_nurse" in arguments
    path = Path(arguments[arguments.index("--values-file") + 1].replace("{folder}/", ""))
    assert json.loads(inputs[path.name]) == {"calm_nurse": {"family": "contrast", **definition.as_dict()}}


def test_more_replies_are_drawn_into_a_new_table(tmp_path, monkeypatch):
    table = make_table(prompts=16, candidates=8, seed=5)
    contrast = {"name": "harmlessness", "family": "contrast", "settings": {"more": ["safe"], "less": ["unsafe"]}}
    drawn = {"engine": {"engine": "torch"}, "model": {"name": "tiny"}, "scorers": [contrast]}
    metadata = dict(table.metadata) | drawn
    table_format.save(replace(table, metadata=metadata), tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    begun = []
    monkeypatch.setattr(processes, "start", lambda *start_arguments, **options: begun.append(start_arguments))
    page = opened_with(palette="humor:p99")
    view(page.switch_page("tables.py").run(), "good")
    run_until_idle(page)
    assert "More replies to each prompt would help most" in page_text(page)
    press(page, "good_candidates")
    ((name, kind, arguments, about, inputs),) = begun
    wanted = int(about["candidates"])
    assert (name, kind, inputs) == (f"The first table - {wanted} each", "extend", {})
    assert wanted > 8
    assert {f"--extend={tmp_path / 'table.parquet'}", f"--candidates={wanted}"} <= set(arguments)
    assert page.session_state["tables_view"] == "kept"


def test_where_new_replies_cannot_be_scored_no_more_are_drawn(tmp_path, monkeypatch):
    table = make_table(prompts=16, candidates=8, seed=5, values=("humor", "tact"))
    judge = {"name": "tact", "family": "judge", "settings": {"model": "m@http://elsewhere.example/v1"}}
    drawn = {"engine": {"engine": "torch"}, "model": {"name": "tiny"}, "scorers": [judge]}
    table_format.save(replace(table, metadata=dict(table.metadata) | drawn), tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    page = opened_with(palette="humor:p99")
    view(page.switch_page("tables.py").run(), "good")
    run_until_idle(page)
    assert "More replies to each prompt would help most" in page_text(page)
    assert "New replies cannot be scored on tact here, so no more can be drawn." in page_text(page)
    assert not [button for button in page.button if button.key == "good_candidates"]


def opened_with(**address: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update(address)
    return app.run()


def run_until_idle(page: AppTest) -> AppTest:
    """Run the page again once its background work has ended, and return it."""
    for _ in range(3):
        for job in list(shared_jobs()._jobs.values()):
            assert job.wait(60)
        page.run()
    assert not page.exception
    return page


def test_how_good_states_what_would_help(page):
    run_until_idle(view(page, "good"))
    assert "would help most" in page_text(page)
    assert "predicted" in page_text(page)
    assert "does not say how its replies were drawn" in page_text(page)
    assert "Prompts by use case" in page_text(page)
