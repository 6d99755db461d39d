"""What people say of a value, on the page Values: the share of yes, the judges, and what to label next."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.data import table_format
from map_core.store import database
from tests.pages.test_main_path import APP, said
from tests.tables import make_table


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    made = make_table(prompts=16, candidates=16, seed=5)
    table_format.save(made, tmp_path / "table.parquet")
    rng = np.random.default_rng(0)
    lines = [
        {
            "prompt_id": made.prompt_ids[row // 16],
            "candidate": row % 16,
            "labels": {"humor": int(made.rewards[row, 2] > rng.normal(2, 1)), "positivity": row % 2},
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


def test_values_say_what_people_would_say_and_what_to_label_next():
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["value"] = "humor"
    page = app.run().switch_page("values.py").run()
    assert not page.exception
    assert "people would say yes to" in said(page)
    assert "2 people judged 54 replies in common" in said(page)
    assert "more labels would bring it to within 3 of 100." in said(page)
    page.session_state["values_shown"] = "positivity"
    page.run()
    assert not page.exception
    assert "expected 8 at the least" in said(page)
