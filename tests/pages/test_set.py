"""Tests of the page Set as a script: actions and the resulting text; see also tests/browser/test_app.py."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from streamlit.testing.v1 import AppTest

from map_core.data import table_format
from tests.pages.app_script import APP, answer, opened, page_text, settled
from tests.tables import VALUES, make_table


def test_first_palette_is_reachable(app):
    assert not app.exception
    assert [slider.key for slider in app.slider] == [f"target_{name}" for name in VALUES]
    assert [app.toggle(key=f"free_{name}").value for name in VALUES] == [False, False, False, True]
    assert [app.slider(key=f"target_{name}").disabled for name in VALUES] == [False, False, False, True]
    assert answer(app)["headline"] == "Reachable"
    assert "vp-reachable" in page_text(app)
    assert answer(app)["form"] == "Forecast for replies that are each chosen from 32 that the model writes."


def test_palette_out_of_reach_offers_repairs(app):
    app.slider(key="target_helpfulness").set_value(app.slider(key="target_helpfulness").max).run()
    app.slider(key="target_harmlessness").set_value(app.slider(key="target_harmlessness").max).run()
    content = answer(app)
    assert content["verdict"] == "out_of_reach"
    assert "pull against each other here" in content["sentence"]
    assert content["again"] > 0  # the repairs are still being computed
    settled(app)
    content = answer(app)
    assert 1 <= len(content["ways"]) <= 3
    assert content["ways"][-1]["label"] == "Share the change evenly"
    assert "are not possible together" in content["why"]
    assert content["undo"].startswith("Undo: Set harmlessness to")


def test_locked_value_is_not_lowered(app):
    for name, percentile in zip(VALUES[:2], (80, 90), strict=True):
        app.slider(key=f"target_{name}").set_value(percentile)
    app.toggle(key="locked_helpfulness").set_value(True).run()
    settled(app)
    content = answer(app)
    assert content["verdict"] == "out_of_reach"
    assert content["ways"]
    assert all("helpfulness" not in way["meaning"] for way in content["ways"])


def test_confidence_is_added_later(unopened, app):
    assert "Calculating" in answer(app)["sure_verdict"]
    settled(app)
    assert "with a probability of" in answer(app)["sure_verdict"]
    assert answer(app)["again"] == 0


def test_free_value_has_no_target(app):
    for name in VALUES[:3]:
        app.toggle(key=f"free_{name}").set_value(True)
    app.run()
    assert "No value has a target" in answer(app)["sentence"]
    app.toggle(key="free_humor").set_value(False).run()
    assert app.slider(key="target_humor").value == 60


def test_a_use_case_keeps_the_percentiles(app):
    app.slider(key="target_humor").set_value(72).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    assert not app.exception
    assert app.slider(key="target_humor").value == 72
    assert app.selectbox(key="use_case").value == "Stories"


def test_start_again(app):
    app.slider(key="target_humor").set_value(90).run()
    app.button(key="start_again").click().run()
    assert app.slider(key="target_humor").value == 60


def test_targets_survive_a_visit_to_another_page(app):
    app.slider(key="target_humor").set_value(75).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    app.switch_page("tradeoffs.py").run()
    assert not app.exception
    assert "humor p75" in page_text(app)
    assert app.selectbox(key="use_case").value == "Stories"
    app.switch_page("palette.py").run()
    assert app.slider(key="target_humor").value == 75


def test_table_of_one_value(tmp_path, monkeypatch):
    table_format.save(make_table(values=("brevity",)), tmp_path / "one.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "one.parquet"))
    app = opened()
    assert [slider.key for slider in app.slider] == ["target_brevity"]
    app.switch_page("tradeoffs.py")
    settled(app)
    assert not app.exception
    assert "one value, so there is nothing to trade" in page_text(app)


def test_pooled_table_is_noted(tmp_path, monkeypatch):
    table_format.save(make_table(prompts=120, candidates=1), tmp_path / "pooled.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "pooled.parquet"))
    app = opened()
    assert not app.exception
    assert answer(app)["form"].startswith("Pooled form")


def test_unknown_sampling_of_a_table_is_noted(tmp_path, monkeypatch):
    table = make_table()
    sampling = {"temperature": 0.8, "top_k": "unknown", "top_p": 1.0, "max_new_tokens": 64, "min_p": "unknown"}
    table_format.save(replace(table, metadata={**table.metadata, "sampling": sampling}), tmp_path / "gateway.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "gateway.parquet"))
    app = opened()
    assert not app.exception
    assert "does not accept top_k, min_p, so it may leave out unlikely words" in page_text(app)


def test_targets_beyond_averages_are_counted_stated_and_kept(table):
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    app.query_params["palette"] = "humor:p60;humor>=p20:0.95;humor@No<b>where:p50"
    app.run()
    assert not app.exception
    assert "At least 95 of 100 replies no worse on humor than the base model's weakest fifth." in page_text(app)
    assert "Not counted here: No prompt has 'No&lt;b&gt;where'" in page_text(app).replace("&#x27;", "'"), "escaped"
    assert "humor>=p20:0.95;humor@No<b>where:p50" in "".join(app.query_params["palette"])
    app.button(key="protection_remove_0").click().run()
    assert not app.exception
    assert "humor>=p20" not in "".join(app.query_params["palette"])


def test_missing_table_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "nowhere.parquet"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "There is no table to look at"
    assert "nowhere.parquet" in app.text[0].value


def test_third_party_file_has_notes(tmp_path, monkeypatch):
    frame = pd.DataFrame(
        {
            "prompt": [f"<b>{n}</b>" for n in range(4) for _ in range(4)],
            "reply": [f"r{k}" for k in range(16)],
            "humor": [0.1 * k for k in range(16)],
            "tokens": range(16),
        }
    )
    frame.to_parquet(tmp_path / "scored.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "scored.parquet"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert not app.exception
    assert "Left out: tokens." in page_text(app)
