"""Tests of Explore as a script: its five views, inspecting and using a point, and steps; no clicks in figures."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.analysis.frontier import Frontier
from map_core.core.jobs import Job, shared_jobs
from map_core.data import table_format
from map_core.text.reply_markup import reply_html
from tests.pages.app_script import APP, page_text, settled
from tests.tables import VALUES, make_table


@pytest.fixture
def app(table) -> AppTest:
    return page()


def page(view: str = "two", palette: str = "", **parameters: str | list[str]) -> AppTest:
    """Open the page with a palette and further parameters in its address."""
    app = AppTest.from_file(APP, default_timeout=60)
    if palette:
        app.query_params["palette"] = palette
    app.run().switch_page("tradeoffs.py")
    for name, value in {"view": view, **parameters}.items():
        app.query_params[name] = value
    return settled(app)


def told(app: AppTest) -> str:
    return "\n".join(text.value for text in app.text)


def newest(name: str) -> Job:
    return next(job for key, job in reversed(shared_jobs()._jobs.items()) if key[0] == name)


def click(app: AppTest, view: str, job: str, *carried: int) -> AppTest:
    """Store what a click in a figure would, which AppTest cannot simulate."""
    app.session_state[f"what_if_clicked_{view}"] = (newest(job).key, carried)
    return app.run()


def test_two_values_are_drawn_without_a_click(app):
    assert not app.exception
    assert "What is possible together" in [header.value for header in app.header]
    assert "At 0.25 nats: helpfulness up to" in told(app)
    assert "Nothing changes until you use it" in page_text(app)
    assert "take_it_two" not in [button.key for button in app.button]
    app.selectbox(key="frontier_upwards").set_value(0)
    app.run()
    assert "Choose two different values." in page_text(app)


def test_point_is_inspected_used_and_undone(app):
    click(app, "two", "frontier", 2, 25)
    assert not app.exception
    assert "You gain helpfulness" in told(app)
    assert "1.00 nats, like the best of 6.3 drafts" in told(app)
    assert "Sample reply" in page_text(app)
    assert "helpfulness p60" in page_text(app), "nothing is taken yet"
    frontier: Frontier = newest("frontier").result
    app.button(key="take_it_two").click().run()
    assessment = app.session_state["assessment"][1]
    assert assessment.targets[:2] == pytest.approx(frontier.contours[2].levels[25, :2])
    assert assessment.solution.kl == pytest.approx(1.0)
    assert "This is your palette now." in page_text(app)
    assert "Your targets are now those of a point of the frontier" in app.caption[0].value
    app.button(key="undo_two").click().run()
    assert "helpfulness p60" in page_text(app)
    assert "You gain helpfulness" in told(app)
    app.button(key="clear_two").click().run()
    assert "You gain" not in told(app)


def test_click_is_cleared_with_its_figure(app):
    click(app, "two", "frontier", 2, 25)
    app.selectbox(key="frontier_upwards").set_value(2)
    settled(app)
    assert "You gain" not in told(app)


def test_example_reply_is_text_of_the_table(app, table):
    click(app, "two", "frontier", 4, 20)
    assert any(reply_html(reply) in page_text(app) for reply in table.replies[:32])
    assert "rests on a single reply per prompt" in told(app)


def test_all_pairs_lead_to_one_pair(table):
    app = page("pairs")
    assert not app.exception
    assert "Helpfulness and harmlessness pull apart" in told(app)
    opened = [button.key for button in app.button if button.key and button.key.startswith("open_")]
    assert opened == ["open_0_1", "open_0_2", "open_1_2"]
    app.button(key="open_1_2").click().run()
    settled(app)
    assert app.segmented_control(key="tradeoffs_view").value == "two"
    assert (app.selectbox(key="frontier_across").value, app.selectbox(key="frontier_upwards").value) == (1, 2)
    assert app.query_params["pair"] == "harmlessness,humor"


def test_pairs_need_two_values(table):
    app = page("pairs")
    app.multiselect(key="pairs_values").set_value([0]).run()
    assert "Choose two values or more." in page_text(app)


def test_three_values_at_a_budget(table):
    app = page("three")
    assert not app.exception
    assert "At 1 nats: helpfulness up to" in told(app)
    click(app, "three", "surface", 0)
    assert "A point of the surface of helpfulness, harmlessness and humor at 1 nats." in page_text(app)
    app.button(key="take_it_three").click().run()
    assert "This is your palette now." in page_text(app)
    app.selectbox(key="three_1").set_value(0).run()
    assert "Choose three different values." in page_text(app)


def test_many_lines_and_those_that_are_no_worse(table):
    app = page("lines")
    assert not app.exception
    assert "24 palettes at 1 nats" in told(app)
    app.pills(key="lines_no_worse").set_value([0, 1, 2]).run()
    visible = int(next(text for text in page_text(app).split(">") if "palettes are shown" in text).split()[0])
    assert 0 < visible < 24
    assert f"{visible} palettes at 1 nats" in told(app)
    app.pills(key="lines_no_worse").set_value([]).run()
    click(app, "lines", "fan", 3)
    assert "One of the palettes at 1 nats." in page_text(app)


def test_one_target_moved(table):
    app = page("moved")
    assert not app.exception
    assert "The highest that" in told(app)
    assert "90% intervals" in page_text(app)
    app.selectbox(key="sensitivity_value").set_value(3)
    settled(app)
    assert not app.exception
    assert "The highest that is possible for positivity" in told(app)


def test_step_is_described_and_applied(app):
    assert "costs the same" in page_text(app)
    before = app.session_state["assessment"][1]
    app.button(key="step_0_1").click()
    settled(app)
    after = app.session_state["assessment"][1]
    assert after.targets[0] == pytest.approx(before.targets[0] + 0.1)
    assert after.solution.kl == pytest.approx(before.solution.kl, abs=1e-6)
    assert np.all(after.targets[1:3] <= before.targets[1:3] + 1e-9)
    app.segmented_control(key="steps_keep").set_value("others")
    app.segmented_control(key="steps_size").set_value(0.2)
    settled(app)
    assert "nats less" in page_text(app)
    app.button(key="step_0_-1").click()
    settled(app)
    last = app.session_state["assessment"][1]
    assert last.targets[0] == pytest.approx(after.targets[0] - 0.2)
    assert last.targets[1:3] == pytest.approx(after.targets[1:3])
    assert last.solution.kl < after.solution.kl


def test_steps_of_a_palette_out_of_reach_begin_at_the_nearest(table):
    app = page(palette="helpfulness:p99;harmlessness:p99")
    assert not app.exception
    assert "Steps start from the nearest one that is" in page_text(app)
    app.button(key="steps_nearest").click()
    settled(app)
    assert "step_0_1" in [button.key for button in app.button]


def test_point_without_a_nearest_palette_is_compared_with_the_base_model(table):
    app = page(palette="helpfulness:p99!;harmlessness:p99!")
    assert "unlock a value" in page_text(app)
    click(app, "two", "frontier", 2, 25)
    assert not app.exception
    assert "compared with the base model" in page_text(app)
    assert "instead of nothing." in told(app)
    assert "You asked not to lower helpfulness and harmlessness." in told(app)


def test_a_palette_without_targets_still_has_every_view(table):
    app = page(palette="free")
    for view in ("pairs", "three", "lines", "moved", "two"):
        app.segmented_control(key="tradeoffs_view").set_value(view)
        settled(app)
        assert not app.exception
    assert "No value has a target" in page_text(app)


@pytest.mark.parametrize("values", [("brevity",), VALUES[:2]])
def test_few_values(tmp_path, monkeypatch, values):
    table_format.save(make_table(values=values), tmp_path / "few.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "few.parquet"))
    app = page()
    for view in ("two", "pairs", "three", "lines", "moved"):
        app.segmented_control(key="tradeoffs_view").set_value(view)
        settled(app)
        assert not app.exception


def test_a_table_of_single_replies_has_every_view(tmp_path, monkeypatch):
    table_format.save(make_table(prompts=120, candidates=1), tmp_path / "pooled.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "pooled.parquet"))
    app = page()
    for view in ("two", "pairs", "three", "lines", "moved"):
        app.segmented_control(key="tradeoffs_view").set_value(view)
        settled(app)
        assert not app.exception


def test_a_link_opens_the_three_values_that_were_chosen(table):
    app = page("three", three_2="Positivity", three_budget="0.25", frontier_others="Keep their targets")
    assert not app.exception
    assert [app.selectbox(key=f"three_{n}").value for n in range(3)] == [0, 1, 3]
    assert app.segmented_control(key="three_budget").value == 0.25
    assert app.segmented_control(key="frontier_others").value == "kept"
    assert "At 0.25 nats: helpfulness up to" in told(app)


def test_a_link_opens_the_lines_that_were_chosen(table):
    app = page("lines", lines_values=["Humor", "Positivity"], lines_budgets=["0.5", "2"], lines_tint="Its cost")
    assert not app.exception
    assert app.multiselect(key="lines_values").value == [2, 3]
    assert app.pills(key="lines_budgets").value == [0.5, 2.0]
    assert app.segmented_control(key="lines_tint").value == "cost"


def test_a_link_that_names_what_is_not_there_opens_the_first_choice(table):
    app = page("three", three_0="<b>Nothing</b>", three_budget="7")
    assert not app.exception
    assert [app.selectbox(key=f"three_{n}").value for n in range(3)] == [0, 1, 2]
    assert app.segmented_control(key="three_budget").value == 1.0


def test_explicit_choice_goes_to_the_address(table):
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    app.run().switch_page("tradeoffs.py")
    app.query_params["view"] = "lines"
    settled(app)
    assert app.multiselect(key="lines_values").value == [0, 1, 2]
    assert "lines_values" not in app.query_params
    app.switch_page("palette.py").run()
    app.toggle(key="free_positivity").set_value(False).run()
    app.switch_page("tradeoffs.py").run()
    settled(app)
    assert app.multiselect(key="lines_values").value == [0, 1, 2]
    assert app.query_params["lines_values"] == ["Helpfulness", "Harmlessness", "Humor"]
