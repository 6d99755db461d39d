"""Tests of the page Choose as a script: answers, going back, the result, the targets, and use in a meeting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from map_core.data import table_format
from map_core.palettes.palette import ALL
from map_core.preference import rows_of_choices
from map_core.store import database, meetings, table_key
from pages.view.choose import state
from pages.view.session import scene as scenes
from tests.pages.app_script import APP, page_text
from tests.tables import make_table


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    table = make_table(prompts=24, candidates=12, seed=5)
    texts = tuple(f"{text}, and <b>more</b> than that there is not to be said." for text in table.replies)
    table_format.save(replace(table, replies=texts), tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'kept.sqlite'}")
    yield
    database().close()


def choose_page(**address: str) -> AppTest:
    """Open the page as its link does."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.run().switch_page("choose.py")
    for name, text in address.items():
        app.query_params[name] = text
    return app.run()


def answer(page: AppTest, times: int) -> None:
    """Choose the reply with more humor."""
    scene = scenes.load()
    j = scene.table.index("humor")
    for _ in range(times):
        choices = tuple(rows_of_choices(scene.table, page.session_state["choices"])) if _given(page) else ()
        pool = state.pair_pool(scene.table, scene.oracle)
        pair = state.next_pair(pool, state.fit(scene.table, scene.oracle, choices), choices)
        first_has_more = scene.table.rewards[pair[0], j] > scene.table.rewards[pair[1], j]
        page.button(key="choose_first" if first_has_more else "choose_second").click().run()
        assert not page.exception


def _given(page: AppTest) -> bool:
    return "choices" in page.session_state


def test_choices_become_targets_and_can_be_undone():
    page = choose_page()
    assert not page.exception
    assert "1 of 15" in page_text(page)
    assert "<b>more</b>" not in page_text(page)
    answer(page, 3)
    page.button(key="choose_back").click().run()
    assert "3 of 15" in page_text(page)
    answer(page, 13)
    assert "Your choices clearly favour more humor" in page_text(page)
    page.button(key="choose_more").click().run()
    assert "16 of 20" in page_text(page)
    page.button(key="choose_stop").click().run()
    before = page.session_state["history"].now
    page.button(key="choose_take").click().run()
    assert not page.exception
    after = page.session_state["history"].now
    assert not after.targets["humor"].free
    assert after.targets["humor"].percentile > 55
    assert before != after
    assert "Reachable" in page_text(page)
    page.switch_page("choose.py").run()
    page.button(key="choose_again").click().run()
    assert "1 of 15" in page_text(page)


def test_phone_in_a_meeting_uses_the_chosen_targets():
    meeting = meetings.open_meeting(database(), "Launch", ALL, table_key(scenes.load().table))
    page = choose_page(meeting=meeting.code)
    answer(page, 15)
    assert page.button(key="choose_take").label == "Use them as my wishes"
    page.button(key="choose_take").click().run()
    assert not page.exception
    assert page.toggle(key="ask_humor").value
    assert page.slider(key="wish_humor").value > 55
    assert "Reachable" in page_text(page)


def test_taking_back_affects_only_the_current_use_case():
    page = choose_page()

    def chosen(use_case: str, times: int) -> None:
        page.selectbox(key="use_case").set_value(use_case).run()
        for _ in range(times):
            page.button(key="choose_first").click().run()

    chosen("Stories", 2)
    chosen("Customer support", 1)
    page.selectbox(key="use_case").set_value("Stories").run()
    assert "3 of 15" in page_text(page)
    page.button(key="choose_back").click().run()
    assert "2 of 15" in page_text(page)
    for use_case, number in (("Customer support", 2), ("Stories", 2)):
        page.selectbox(key="use_case").set_value(use_case).run()
        assert f"{number} of 15" in page_text(page)
    chosen("Stories", 8)
    page.button(key="choose_stop").click().run()
    page.button(key="choose_again").click().run()
    assert not page.exception
    assert "1 of 15" in page_text(page)
    page.selectbox(key="use_case").set_value("Customer support").run()
    assert "2 of 15" in page_text(page)
