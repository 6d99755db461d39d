"""Tests of the pages Sequence and Baselines as scripts, and of the sortable list in a real Chromium."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.analysis.order_effects import compare_orders
from map_core.analysis.sequential import sequential_path
from map_core.catalog import VisitorCatalog
from map_core.catalog.jobs import MIX
from map_core.cli.baselines import baselines as baselines_options
from map_core.data import table_format
from map_core.figures import sequence as drawn
from map_core.figures import sequence_text as told
from map_core.models.tuned import RECORD, tuned_folder
from map_core.tuning.folder import RATIOS, keep_ratios, read_ratios
from map_core.tuning.mixtures import SingleTuned, soup_path
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from pages.view.shell import markup
from pages.view.studies import order_list
from tests.app_server import SECONDS
from tests.pages.app_script import APP, page_text, settled
from tests.tables import VALUES

OUT_OF_REACH = "helpfulness:p99;harmlessness:p99"


def opened(page: str, palette: str = "", **session: object) -> AppTest:
    """Open a page and wait for its background work."""
    app = AppTest.from_file(APP, default_timeout=60)
    if palette:
        app.query_params["palette"] = palette
    for key, value in session.items():
        app.session_state[key] = value
    app.run()
    return settled(app.switch_page(f"{page}.py"))


def words(app: AppTest, key: str) -> list[str]:
    """Return the sentences in an expander of a page."""
    return [element.value for element in app.main if element.type == "text"]


def test_sequence_states_what_each_step_loses(table):
    app = opened("sequence")
    assert not app.exception
    scene = scenes.load()
    targets = palette_state.standardised(scene, palette_state.initial_palette(scene))
    path = sequential_path(scene.oracle, targets, (0, 1, 2))
    data = drawn.SequenceFigureData(path, None, scene.units())
    assert markup.plain(told.largest_loss_sentence(data)) in [element.value for element in app.header]
    assert words(app, "sequence_words") == told.summary(data)
    assert app.slider(key="sequence_rounds").value == 1


def test_more_rounds_and_another_order(table):
    app = opened("sequence", sequence_order=["humor", "positivity", "helpfulness"])
    assert words(app, "sequence_words")[0].startswith("1. Aligning humor ")
    # Positivity is free; harmlessness was not in the order and comes last.
    assert words(app, "sequence_words")[2].startswith("3. Aligning harmlessness ")
    app.slider(key="sequence_rounds").set_value(3)
    app = settled(app)
    assert not app.exception
    assert len(words(app, "sequence_words")) == 9
    assert "After 3 rounds" in page_text(app)
    app.toggle(key="sequence_grows").set_value(True)
    app = settled(app)
    assert not app.exception


def test_best_order_can_be_used(table):
    app = opened("sequence")
    scene = scenes.load()
    comparison = compare_orders(scene.oracle, palette_state.standardised(scene, palette_state.initial_palette(scene)))
    other = comparison.best if comparison.paths[comparison.best].order != (0, 1, 2) else comparison.worst
    app.button(key=f"sequence_use_{other}").click()
    app = settled(app)
    first = VALUES[comparison.paths[other].order[0]]
    assert words(app, "sequence_words")[0].startswith(f"1. Aligning {first} ")
    assert app.button(key=f"sequence_use_{other}").disabled


def test_sequence_needs_two_targets_and_baselines_one(table):
    app = opened("sequence", "humor:p60")
    assert not app.exception
    assert "at least two targets" in page_text(app)
    assert "sequence_rounds" not in [slider.key for slider in app.slider]
    assert "Without a target" in page_text(opened("baselines", "free"))


@pytest.mark.parametrize("page", ["sequence", "baselines"])
def test_palette_out_of_reach_offers_the_nearest(table, page):
    app = opened(page, OUT_OF_REACH)
    assert not app.exception
    assert "pull against each other here" in page_text(app)
    app.button(key="nearest").click()
    app = settled(app)
    assert not app.exception
    assert "nearest" not in [button.key for button in app.button]
    app.button(key="undo").click().run()
    assert "pull against each other here" in page_text(app)


def test_sequence_of_a_palette_out_of_reach_shows_its_steps(table):
    app = opened("sequence", "helpfulness:p85;harmlessness:p85")
    assert "no number of rounds meets all targets" in page_text(app)
    assert "Does the order matter?" not in [element.value for element in app.header]
    alone = opened("sequence", OUT_OF_REACH)
    assert not alone.exception
    assert "alone cannot reach its target" in page_text(alone)


def test_baselines_use_the_requested_number_of_draws(table):
    app = opened("baselines")
    assert not app.exception
    assert app.header[0].value.startswith("Of 400 random weights, ")
    assert app.header[0].value.endswith("meet all 3 targets.")
    assert "the palette is the cheapest way" in "\n".join(words(app, "baselines_words"))
    before = page_text(app)
    app.number_input(key="baselines_seed").set_value(7)
    app = settled(app)
    assert page_text(app) != before
    app.segmented_control(key="baselines_count").set_value(100)
    app.segmented_control(key="baselines_times").set_value(2.0)
    app = settled(app)
    assert not app.exception
    assert app.header[0].value.startswith("Of 100 random weights, ")
    assert "at 2 times the cost" in "\n".join(words(app, "baselines_words"))


def test_two_values_or_value_by_value(table):
    app = opened("baselines")
    app.selectbox(key="baselines_upwards").set_value(0)
    assert "Choose two different values." in page_text(settled(app))
    app.segmented_control(key="baselines_view").set_value("strips")
    app = settled(app)
    assert not app.exception
    assert "baselines_across" not in [box.key for box in app.selectbox]


def test_a_base_model_that_meets_the_targets_needs_no_weights(table):
    app = opened("baselines", "humor:p5")
    assert not app.exception
    assert "The base model meets these targets already" in page_text(app)


def test_an_order_from_a_browser_is_checked(table, monkeypatch):
    message: dict[str, object] = {}
    monkeypatch.setattr("streamlit.session_state", message)
    scene = scenes.load()
    calls: list = []
    monkeypatch.setattr(order_list, "_mount", lambda key, data, on_order_change: calls.append((data, on_order_change)))
    order_list.draw_order_list(scene, (2, 0), ["a", "b"])
    data, moved = calls[0]
    assert [row["name"] for row in data["rows"]] == ["Humor", "Helpfulness"]
    for wrong in (None, [], [0], [0, 0], [0, 2, 3], ["0", "2"], "02", {"0": 2}, 7):
        message["order"] = {"order": wrong}
        moved()
        assert "sequence_order" not in message
    message["order"] = {"order": [0, 2]}
    moved()
    assert message["sequence_order"] == ["helpfulness", "humor"]
    assert order_list.current_order(scene, [0, 1, 2]) == (0, 2, 1)


@pytest.mark.browser
def test_the_order_by_mouse_by_finger_and_by_keyboard(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    context.set_default_timeout(30 * SECONDS)
    page = context.new_page()
    page.goto(f"{address}/sequence")
    rows, names = page.locator(".st-key-order .row"), page.locator(".st-key-order .name")
    words = page.locator(".st-key-sequence_words")
    expect(names).to_have_text(["Helpfulness", "Harmlessness", "Humor"], timeout=60 * SECONDS)
    words.locator("summary").click()
    steps = words.locator("[data-testid=stText]")
    expect(steps.first).to_contain_text("Aligning helpfulness")

    # By mouse: the first row is dragged below the last.
    rows.first.scroll_into_view_if_needed()
    first, last = rows.nth(0).bounding_box(), rows.nth(2).bounding_box()
    x, y = first["x"] + 120, first["y"] + first["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, last["y"] + last["height"] * 0.8, steps=12)
    page.mouse.up()
    expect(names).to_have_text(["Harmlessness", "Humor", "Helpfulness"])
    expect(steps.first).to_contain_text("Aligning harmlessness")
    expect(page.locator(".st-key-order .live")).to_have_text("Helpfulness put down, place 3 of 3.")

    # By finger on the grip: the page does not scroll, the row moves.
    grip = rows.nth(0).locator(".grip").bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    finger = context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 9):
        point = {"x": x, "y": y + step * first["height"] / 8}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(names).to_have_text(["Humor", "Harmlessness", "Helpfulness"])
    expect(steps.first).to_contain_text("Aligning humor")

    # By keyboard: lifted, moved and put back; then lifted, moved and put down.
    rows.nth(2).locator(".grip").focus()
    for key in ("Space", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    expect(names).to_have_text(["Helpfulness", "Humor", "Harmlessness"])
    page.keyboard.press("Escape")
    expect(names).to_have_text(["Humor", "Harmlessness", "Helpfulness"])
    for key in ("Space", "ArrowUp", "Space"):
        page.keyboard.press(key)
    expect(names).to_have_text(["Humor", "Helpfulness", "Harmlessness"])
    expect(steps.nth(1)).to_contain_text("Aligning helpfulness")
    expect(page.locator(".st-key-order .live")).to_have_text("Helpfulness put down, place 2 of 3.")
    expect(rows.nth(1).locator(".grip")).to_be_focused()

    # By a button, which keeps the focus at the end of the list.
    rows.nth(1).locator(".down").click()
    expect(names).to_have_text(["Humor", "Harmlessness", "Helpfulness"])
    expect(rows.nth(2).locator(".down")).to_be_focused()
    context.close()


@pytest.fixture
def single_models(table, tmp_path, monkeypatch):
    """Write models tuned to helpfulness and to humor alone, with their log-ratios on held-out replies."""
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))
    metadata = {"model": {"name": "tiny", "sha256": "aa"}}
    table_format.save(replace(table, metadata=metadata), tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    held_out = table.prompt_ids[::4]

    def make(name: str, value: str) -> None:
        folder = tuned_folder(name)
        folder.mkdir(parents=True)
        record = {"format": 1, "weights": {value: 1.0}, "values": list(table.values), "held_out": held_out, **metadata}
        (folder / RECORD).write_text(json.dumps(record))
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        rows = {prompt_id: table.rewards[table.rows(table.prompt_ids.index(prompt_id))] for prompt_id in held_out}
        keep_ratios(folder / RATIOS, {model_name: of[:, table.index(value)] for model_name, of in rows.items()})

    return make


def test_tuned_models_are_mixed_where_each_value_has_one(single_models):
    palette = "helpfulness:p60;humor:p60"
    app = opened("baselines", palette)
    assert "For helpfulness and humor there is none yet" in page_text(app)
    single_models("Helps", "helpfulness")
    assert "Helpfulness has one. For humor there is none yet" in page_text(opened("baselines", palette))
    single_models("Funny", "humor")
    app = opened("baselines", palette)
    assert not app.exception
    words = page_text(app)
    # They are exact tilts of one value each, so their mixture reaches the targets.
    assert "100%" in words.partition("Tuned models, mixed")[2].partition("</tr>")[0]
    assert "4 prompts" in words
    (command,) = [code.value for code in app.code]
    assert command.endswith("--tuned=Helps --tuned=Funny")
    # The saved result of the command is shown.
    read = {model_name: ratios * 0.4 for model_name, ratios in read_ratios(tuned_folder("Helps") / RATIOS).items()}
    models = [SingleTuned(name, "", tuned_folder(name), frozenset(), {}) for name in ("Helps", "Funny")]
    for share in range(1, 100):
        keep_ratios(soup_path(models, {"Helps": share / 100, "Funny": round(1 - share / 100, 2)}), read)
    app = opened("baselines", palette)
    assert "Tuned models, averaged" in page_text(app)
    assert not app.code


def test_average_is_computed_by_a_child_process(single_models, monkeypatch):
    started = []
    monkeypatch.setattr(
        VisitorCatalog, "start", lambda self, *start_arguments, **options: started.append(start_arguments)
    )
    for name, value in (("Helps", "helpfulness"), ("Funny", "humor")):
        single_models(name, value)
    app = opened("baselines", "helpfulness:p60;humor:p60")
    app.button(key="mixtures_go").click()
    app = settled(app)
    assert not app.exception
    ((name, kind, arguments, about),) = started
    assert kind == MIX
    assert arguments[0] == "baselines"
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= {
        name for option in baselines_options.params for name in option.opts
    }
    assert about == {"models": ["Helps", "Funny"]}


def test_a_palette_of_one_value_has_nothing_to_mix(single_models):
    assert "nothing to mix" in page_text(opened("baselines", "humor:p60"))
