"""Tests of levels in people's units on the page Values: shares, judges, and what to label next."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.custom_values import replies_key
from map_core.data import table_file, table_format
from map_core.store import database, labels
from tests.pages.app_script import APP, page_text
from tests.tables import make_table


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    table = make_table(prompts=16, candidates=16, seed=5)
    table_format.save(table, tmp_path / "table.parquet")
    rng = np.random.default_rng(0)
    lines = [
        {
            "prompt_id": table.prompt_ids[row // 16],
            "candidate": row % 16,
            "labels": {"humor": int(table.rewards[row, 2] > rng.normal(2, 1)), "positivity": row % 2},
            "judge": judge,
        }
        for row in range(0, 10 * 16, 3)
        for judge in ("anna", "ben")
    ]
    lines = [line | {"labels": {"humor": line["labels"]["humor"]}} if n > 20 else line for n, line in enumerate(lines)]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'kept.sqlite'}")
    yield
    database().close()


def test_values_show_levels_in_peoples_units_and_what_to_label_next():
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["value"] = "humor"
    page = app.run().switch_page("values.py").run()
    assert not page.exception
    assert "people would say yes to" in page_text(page)
    assert "2 people judged 54 replies in common" in page_text(page)
    assert "more labels would bring it to within 3 of 100." in page_text(page)
    page.session_state["values_shown"] = "positivity"
    page.run()
    assert not page.exception
    assert "expected 8 at the least" in page_text(page)


def table_path() -> Path:
    return Path(os.environ["VALUE_PALETTE_TABLE"])


def judging(value: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["value"] = value
    page = app.run().switch_page("values.py").run()
    return page.button(key="values_label_begin").click().run()


def test_replies_are_judged_one_at_a_time_by_two_judges():
    first = judging("helpfulness")
    assert "Helpfulness: would you say yes to this reply?" in page_text(first)
    assert "It comes after replies to 8 more requests" in page_text(first)
    for number in range(64):
        first.button(key=f"values_is_{('yes', 'no')[number % 2]}").click().run()
    assert "64 judged by you" in page_text(first)
    assert "of 100 with your palette, give or take" in page_text(first)
    assert "more would bring it to within" in page_text(first)
    first.button(key="values_is_unsure").click().run()
    assert "65 judged by you" in page_text(first)
    first.button(key="values_label_back").click().run()
    assert "64 judged by you" in page_text(first)
    stored = labels.list_labels(database(), replies_key(table_file.load(table_path())))
    assert len({label.reply for label in stored}) == 64
    assert len({label.judge for label in stored}) == 1
    assert all(0 < (label.chance or 0) <= 1 for label in stored)
    assert not first.exception
    second = judging("helpfulness")  # another browser
    for _ in range(8):
        second.button(key="values_is_yes").click().run()
    second.button(key="values_label_stop").click().run()
    assert "2 people judged 2 replies in common" in page_text(second)
    assert "Of 100 replies, people would say yes to" in page_text(second)


def test_queue_of_another_use_case_is_dropped():
    page = judging("helpfulness")
    waiting = page.session_state["values_waiting"]
    table = table_file.load(table_path())
    of = table.use_cases[table.prompt_ids.index(waiting[0].prompt_id)]
    other_use_case = next(name for name in table.use_case_names if name != of)
    page.switch_page("palette.py").run()
    page.selectbox(key="use_case").set_value(other_use_case).run()
    page.switch_page("values.py").run()
    assert not page.exception
    assert "would you say yes to this reply?" in page_text(page)
    request = page.session_state["values_waiting"][0]
    assert table.use_cases[table.prompt_ids.index(request.prompt_id)] == other_use_case


def test_labels_added_beside_the_table_are_read():
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["value"] = "harmlessness"
    page = app.run().switch_page("values.py").run()
    assert "Nobody has judged replies for harmlessness yet." in page_text(page)
    path = table_path().with_suffix(".labels.jsonl")
    line = {"prompt_id": "p00", "candidate": 0, "labels": {"harmlessness": 1}}
    path.write_text(f"{path.read_text()}\n{json.dumps(line)}")
    page.run()
    assert "The only label of" in page_text(page)
    assert not page.exception
