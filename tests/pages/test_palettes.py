"""Tests of the page Library as a script: saving, use, versions, presets, side by side, blends, timeline, files."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.core.jobs import shared_jobs
from map_core.errors import InputError
from map_core.palettes.palette import ALL, Palette, Target
from map_core.store import SETTING, database, palettes
from pages.view.compare.pinned import MAX_PINNED
from pages.view.palettes import import_export
from pages.view.session import palette_cache, palette_state
from pages.view.session import scene as scenes
from tests.pages.app_script import APP, opened, page_text
from tests.tables import VALUES

#: Background jobs whose result a page has drawn.
_seen: set[object] = set()
WARM = Palette(ALL, {name: Target(55.0, free=name != "humor") for name in VALUES})


@pytest.fixture(autouse=True)
def _own_database(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'palettes.sqlite'}")
    yield
    database().close()


@pytest.fixture
def page(app):
    return app.switch_page("palettes.py").run()


def view(page: AppTest, name: str) -> AppTest:
    return settled(page.segmented_control(key="palettes_view").set_value(name).run())


def settled(page: AppTest) -> AppTest:
    """Run the page again once its background work has ended, and return it."""
    while new := [job for job in list(shared_jobs()._jobs.values()) if job not in _seen]:
        for job in new:
            assert job.wait(60)
        _seen.update(new)
        page.run()
    assert not page.exception
    return page


def save(page: AppTest, name: str, note: str = "") -> AppTest:
    page.text_input(key="save_name").set_value(name)
    page.text_area(key="save_note").set_value(note)
    return settled(page.button(key="save").click().run())


def press(page: AppTest, key: str) -> AppTest:
    return settled(page.button(key=key).click().run())


def now(page: AppTest) -> Palette:
    return page.session_state["history"].now


def put(page: AppTest, palette: Palette, what: str) -> None:
    """Add a step to the palette's history, as another page would."""
    step = palette_state.HistoryStep(palette, what, datetime.now(UTC))
    page.session_state["history"] = page.session_state["history"].with_step(step)


def test_empty_states_say_what_to_do(page):
    assert "Nothing is saved yet" in page_text(page)
    assert "save_version" not in [button.key for button in page.button]
    page.file_uploader(key="import").upload("palettes.jsonl", b'{"targets": {"wit": 1}}', "text/plain").run()
    assert any("Nothing was imported. Line 1" in text.value for text in page.text)
    assert palettes.list_palettes(database()) == ()
    view(page, "beside")
    assert "Nothing is pinned" in page_text(page)
    view(page, "blend")
    page.selectbox(key="blend_to").set_value("Your palette").run()
    assert "Choose two different palettes" in page_text(page)
    view(page, "timeline")
    assert "Nothing has changed yet" in page_text(page)


def test_save_use_rename_delete_and_restore(page):
    before = now(page)
    save(page, "Support, *calm*", "Asked for by <b>the board</b>.")
    (saved,) = palettes.list_palettes(database())
    assert (saved.name, saved.note, saved.palette) == ("Support, *calm*", "Asked for by <b>the board</b>.", before)
    assert saved.table_key
    assert page.text_input(key="save_name").value == ""
    assert "Support, *calm*" in page_text(page)
    assert "Asked for by <b>the board</b>." in [text.value for text in page.text]
    assert "1 version" in page_text(page)
    palettes.save(database(), WARM, "Warm")
    settled(page.run())
    press(page, f"saved_use_{saved.id + 1}")
    assert now(page) == WARM
    assert "Switched to Warm" in page_text(page)
    page.text_input(key=f"rename_name_{saved.id}").set_value("Support")
    press(page, f"rename_{saved.id}")
    assert palettes.load(database(), saved.id).name == "Support"
    press(page, f"saved_delete_{saved.id}")
    assert [palette.name for palette in palettes.list_palettes(database())] == ["Warm"]
    assert "Support was deleted" in page_text(page)
    press(page, "undelete")
    assert palettes.load(database(), saved.id).note == "Asked for by <b>the board</b>."


def test_taken_name_is_a_question(page):
    save(page, "Warm")
    put(page, WARM, "Set humor.")
    save(page, " warm ", "For the board.")
    assert "There is already a saved palette called Warm. Nothing is saved yet." in page_text(page)
    assert len(palettes.list_palettes(database())) == 1
    press(page, "save_over")
    (existing,) = palettes.list_palettes(database())
    assert (existing.name, existing.version, existing.palette, existing.note) == ("Warm", 2, WARM, "For the board.")
    assert "save_over" not in [button.key for button in page.button]
    save(page, "Warm")
    assert r"Save as Warm \(2\)" in [button.label for button in page.button]  # Markdown
    press(page, "save_beside")
    assert [saved.name for saved in palettes.list_palettes(database())] == ["Warm (2)", "Warm"]
    assert "Warm (2) is saved." in page_text(page)


def test_refusal_is_shown_at_the_list(page):
    save(page, "Support")
    save(page, "Board")
    board = palettes.named(database(), "Board")
    page.text_input(key=f"rename_name_{board.id}").set_value("support")
    press(page, f"rename_{board.id}")
    assert "Another palette is called &#x27;support&#x27;" in page_text(page)
    assert palettes.load(database(), board.id).name == "Board"


def test_confirmation_of_use_is_on_its_own_page_only(page):
    palettes.save(database(), WARM, "Warm")
    settled(page.run())
    press(page, f"saved_use_{palettes.named(database(), 'Warm').id}")
    assert [caption.value for caption in page.caption if "Switched to Warm" in caption.value]
    page.switch_page("report.py").run()
    assert [caption.value for caption in page.caption if "Switched to" in caption.value] == []
    page.switch_page("palettes.py").run()
    press(page, "undo")
    assert now(page) != WARM


def test_a_further_change_is_saved_as_a_version(page):
    save(page, "Support")
    (saved,) = palettes.list_palettes(database())
    assert "save_version" not in [button.key for button in page.button]
    page.switch_page("palette.py").run()
    page.slider(key="target_humor").set_value(52).run()
    page.switch_page("palettes.py").run()
    press(page, "save_version")
    assert "Support now has version 2" in page_text(page)
    first, second = palettes.versions(database(), saved.id)
    assert second.palette.targets["humor"].percentile == 52
    assert second.what == "Set humor to p52."
    press(page, f"version_use_{saved.id}_1")
    assert now(page) == first.palette
    assert page.button(key="save_version").label == "Save as version 3 of Support"
    palettes.update(database(), saved.id, WARM)
    settled(page.run())
    press(page, "save_version")
    assert "2, 3" in page_text(page)
    assert [version.number for version in palettes.versions(database(), saved.id)] == [1, 2, 3, 4]


def test_palette_of_another_table_is_listed_and_unusable(page):
    of_other_table = palettes.save(database(), Palette("War", {"wit": Target(70.0)}), "Elsewhere")
    settled(page.run())
    assert "Elsewhere" in page_text(page)
    assert page.button(key=f"saved_use_{of_other_table.id}").disabled
    assert page.button(key=f"saved_pin_{of_other_table.id}").disabled
    assert not page.button(key=f"saved_delete_{of_other_table.id}").disabled


def test_unreachable_database_leaves_the_rest_of_the_page(page, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    good = f"sqlite:///{tmp_path / 'palettes.sqlite'}"
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'file' / 'palettes.sqlite'}")
    page.run()
    assert "Saved palettes cannot be reached now" in page.warning[0].value
    assert any("cannot be created" in text.value for text in page.text)
    view(page, "presets")
    assert page.button(key="preset_use_0")
    view(page, "blend")
    assert page.button(key="blend_use")
    monkeypatch.setenv(SETTING, good)


def test_preset_is_used_and_pinned(page):
    view(page, "presets")
    assert "More helpfulness" in page_text(page)
    assert "Reachable" in page_text(page)
    press(page, "preset_use_0")
    assert now(page).targets["helpfulness"] == Target(70.0)
    assert "palettes_opened" not in page.session_state
    assert [name for name, target in now(page).targets.items() if not target.free] == ["helpfulness"]
    for n in range(MAX_PINNED):
        press(page, f"preset_pin_{n}")
    assert page.button(key="preset_pin_0").disabled
    assert [pinned.name for pinned in page.session_state["pinned"]] == [f"More {name}" for name in VALUES[:3]]


def test_pinned_palette_is_pinned_on_listen(page):
    press(view(page, "presets"), "preset_pin_1")
    page.switch_page("compare.py").run()
    assert not page.exception
    assert "More harmlessness" in page_text(page)
    assert page.button(key="unpin_0")


def replies_shown(page) -> list[str]:
    """Return the texts of replies on the page, which are plain words here."""
    markups = [html.proto.body for html in page.main.get("html")]
    replies = [
        re.fullmatch(r'<div class="vp-reply"><p>(.*)</p></div>', markup.strip(), re.DOTALL) for markup in markups
    ]
    return [match[1] for match in replies if match]


def test_side_by_side_shows_levels_cost_and_a_reply_of_the_table(page, table):
    press(view(page, "presets"), "preset_pin_0")
    view(page, "beside")
    text = page_text(page)
    assert "Your palette" in text
    assert "More helpfulness" in text
    assert text.count("nats") >= 2
    prompt = page.selectbox(key="beside_prompt_")
    assert len(prompt.options) == len(table.prompts)
    replies = replies_shown(page)
    assert len(replies) == 2
    assert all(reply in table.replies[:32] for reply in replies)
    prompt.set_value(3).run()
    replies = replies_shown(page)
    assert len(replies) == 2
    assert all(reply in table.replies[96:128] for reply in replies)
    press(page, "beside_pin")
    assert [pinned.name for pinned in page.session_state["pinned"]] == ["More helpfulness", "Palette 1"]
    press(page, "beside_unpin_1")
    assert [pinned.name for pinned in page.session_state["pinned"]] == ["Palette 1"]


def test_head_to_head_with_the_base_model_and_with_a_pinned_palette(page):
    press(view(page, "presets"), "preset_pin_0")
    view(page, "beside")
    against = page.selectbox(key="head_to_head_against")
    assert against.options == ["More helpfulness", "The base model"]
    settled(against.set_value("The base model").run())
    text = page_text(page)
    assert "prompts that both answer, your palette is" in text
    assert "Yours is better" in text


def test_the_reply_of_a_palette_is_the_likeliest_under_its_weights(page, table):
    extreme = Palette(ALL, {name: Target(90.0 if name == "humor" else 50.0, free=name != "humor") for name in VALUES})
    put(page, extreme, "Set.")
    view(page, "beside")
    funniest = table.replies[int(table.rewards[:32, 2].argmax())]
    assert funniest in replies_shown(page)


def test_palette_out_of_reach_is_marked_side_by_side(page):
    mad = Palette(ALL, {name: Target(99.0) for name in VALUES})
    palettes.save(database(), mad, "All of it")
    settled(page.run())
    assert "Not possible together" in page_text(page)
    press(page, "saved_use_1")
    view(page, "beside")
    assert "These levels are not possible together." in page_text(page)
    assert "Likeliest reply of the nearest palette" in page_text(page)


def badges(page: AppTest) -> int:
    """Return the number of verdicts on the page."""
    return page_text(page).count("-badge[")


def test_verdicts_stay_when_assessments_are_evicted(page):
    own = badges(page)
    view(page, "presets")
    assert badges(page) > own
    assessed = badges(page)
    scenes._scene.clear()
    page.run()
    assert not page.exception
    assert badges(page) == assessed


def test_failed_verdicts_are_retried_on_a_click(unopened, page, monkeypatch):
    own, tries = badges(page), []

    def failing(*arguments):
        tries.append(arguments)
        raise InputError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(palette_cache, "assessed_palette", failing)
        view(page, "presets")
        assert "Some palettes could not be checked: no memory" in page_text(page)
        assert badges(page) == own
        settled(page.run())
        assert len(tries) == 1, "not at each run of the page"
    press(page, "presets_check_again")
    assert "could not be checked" not in page_text(page)
    assert badges(page) > own
    assert "presets_check_again" not in [button.key for button in page.button]


def test_a_lock_that_changes_the_nearest_palette_changes_the_blend(page):
    free = {name: Target(50.0, free=True) for name in VALUES}
    palettes.save(database(), Palette(ALL, {**free, VALUES[2]: Target(55.0)}), "Other")
    blends = []
    for locked in (False, True):
        high = {VALUES[0]: Target(97.0, locked=locked), VALUES[1]: Target(97.0)}
        put(page, Palette(ALL, {**free, **high}), "Changed.")
        view(page.run(), "blend")
        page.selectbox(key="blend_to").set_value("Other (saved)").run()
        settled(page)
        job = next(job for job in reversed(shared_jobs()._jobs.values()) if job.key[0] == "blend")
        blends.append(job.result)
    unlocked, locked = blends
    np.testing.assert_array_equal(unlocked.targets[0], locked.targets[0])
    assert not np.allclose(unlocked.targets[10], locked.targets[10], equal_nan=True)


def test_blend_is_used_with_exact_levels(page):
    save(page, "Mine")
    press(view(page, "presets"), "preset_use_2")
    view(page, "blend")
    assert page.selectbox(key="blend_from").value == "Your palette"
    page.selectbox(key="blend_to").set_value("Mine (saved)").run()
    page.slider(key="blend_share").set_value(40).run()
    settled(page)
    assert "60% Your palette, 40% Mine" in page_text(page)
    press(page, "blend_use")
    palette = now(page)
    assert palette.targets["humor"].level is not None
    assert "Switched to a blend: 60% Your palette, 40% Mine." in page.session_state["history"].steps[-1].what
    page.slider(key="blend_share").set_value(100).run()
    press(page, "blend_use")
    assert now(page) == palettes.list_palettes(database())[0].palette


def test_timeline_explains_steps_and_moves_between_them(page):
    press(view(page, "presets"), "preset_use_0")
    press(page, "preset_use_2")
    view(page, "timeline")
    text = page_text(page)
    assert "1. Started." in text
    assert "2. Switched to the preset More helpfulness." in text
    assert "You gain helpfulness" in text
    assert "You lose" in text
    assert "It costs" in text
    assert page.button(key="timeline_redo").disabled
    latest = now(page)
    press(page, "timeline_undo")
    assert "Step 2 of 3" in page_text(page)
    press(page, "timeline_redo")
    assert now(page) == latest
    press(page, "step_go_0")
    assert "Step 1 of 3" in page_text(page)
    assert len(page.session_state["history"].steps) == 3
    assert page.button(key="timeline_undo").disabled


def test_a_long_timeline_shows_its_end_first(page):
    for n in range(20):
        percentile = 50.0 + n % 2
        put(page, now(page).with_target("humor", Target(percentile)), f"Step {n}.")
    view(page, "timeline")
    assert "21. Step 19." in page_text(page)
    assert "2. Step 0." not in page_text(page)
    page.toggle(key="timeline_all").set_value(True).run()
    assert "2. Step 0." in page_text(page)


def test_the_link_opens_the_same_palette(page):
    press(view(page, "presets"), "preset_use_0")
    view(page, "saved")
    address = page.code[0].value
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert urlsplit(address).path == "/"
    fresh = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        fresh.query_params[name] = value
    fresh.run()
    assert fresh.session_state["history"].now.to_query() == now(page).to_query()


def test_saved_palettes_are_exported_and_imported(page):
    save(page, "Mine")
    exported = import_export.saved_jsonl(list(palettes.list_palettes(database())))
    assert [json.loads(line)["name"] for line in exported.splitlines()] == ["Mine"]
    page.file_uploader(key="import").upload("palettes.jsonl", exported.encode(), "text/plain").run()
    settled(page)
    names = sorted(saved.name for saved in palettes.list_palettes(database()))
    assert names == ["Mine", "Mine (2)"]


def test_using_a_palette_switches_to_its_use_case(table):
    page = opened().switch_page("palettes.py").run()
    stories = Palette("Stories", {name: Target(55.0, free=name != "humor") for name in VALUES})
    saved = palettes.save(database(), stories, "Stories")
    settled(page.run())
    press(page, f"saved_use_{saved.id}")
    assert page.selectbox(key="use_case").value == "Stories"
    view(page, "timeline")
    assert "2. Switched to Stories." in page_text(page)
