"""Tests of the ownership of a generation: everybody with its address watches it, only its viewer controls it."""

from __future__ import annotations

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from map_core.access import Role, Visitor
from map_core.service.snapshot import Phase
from pages.view.compare import batch
from pages.view.groups import meeting_agreement
from pages.view.shell import visitor_header
from tests.pages.app_script import APP, page_text
from tests.pages.compare_script import Desk, begun, texts, write


@pytest.fixture
def watching(compare: AppTest, desk: Desk):
    """Open an address of the first viewer's page Listen as a second viewer."""

    def open_address(**parameters: str) -> AppTest:
        second_app = AppTest.from_file(APP, default_timeout=60)
        second_app.session_state["plain_desk"] = True
        second_app.run()
        for name, value in parameters.items():
            second_app.query_params[name] = value
        return second_app.switch_page("compare.py").run()

    return open_address


def test_a_second_viewer_watches_and_cannot_stop(compare: AppTest, desk: Desk, watching):
    generation = begun(compare, desk)
    write(generation, "so far")
    second_app = watching(generation=generation.id)
    assert not second_app.exception
    assert any("so far" in text for text in texts(second_app)), "the address shows what is being written"
    assert second_app.button(key="stop").disabled
    assert not compare.run().button(key="stop").disabled
    before = dict(generation.weights)
    second_app.slider(key="target_humor").set_value(second_app.slider(key="target_humor").value + 10).run()
    assert dict(generation.weights) == before


def test_a_second_viewers_own_request_and_chat_leave_the_first_ones_running(compare: AppTest, desk: Desk, watching):
    first = begun(compare, desk)
    second_app = watching(generation=first.id)
    second_app.button(key="generate").click().run()
    assert len(desk.made) == 2
    assert not first.ended
    second = desk.made[1]
    assert second.viewer
    assert second.viewer != first.viewer
    second_app.button(key="stop").click().run()
    assert second.snapshot().phase is Phase.CANCELLED
    assert not first.ended
    compare.run().button(key="stop").click().run()
    assert first.snapshot().phase is Phase.CANCELLED


def test_a_second_viewer_watches_many_prompts_and_cannot_stop_them(compare: AppTest, desk: Desk, watching):
    compare.button_group(key="how_many").set_value("many").run()
    compare.number_input(key="many_count").set_value(2)
    compare.number_input(key="candidates_k").set_value(4)
    compare.button(key="many_start").click().run()
    work = next(reversed(batch._batches().values()))
    second_app = watching(many=work.id)
    assert not second_app.exception
    assert "of 2 prompts are answered" in page_text(second_app)
    assert second_app.button(key="many_stop").disabled
    second_app.button(key="many_start").click().run()
    assert len(batch._batches()) >= 2
    assert not work.ended, "a batch of another viewer goes on when one's own begins"
    compare.run().button(key="many_stop").click().run()
    assert work.wait(10)
    for prompt_batch in batch._batches().values():
        prompt_batch.stop()
        assert prompt_batch.wait(10)


def test_clearing_streamlits_caches_ends_no_work(compare: AppTest, desk: Desk):
    compare.button_group(key="how_many").set_value("many").run()
    compare.number_input(key="many_count").set_value(2)
    compare.number_input(key="candidates_k").set_value(4)
    compare.button(key="many_start").click().run()
    work = next(reversed(batch._batches().values()))
    shared = meeting_agreement.shared_agreement("of this test", ())
    st.cache_resource.clear()
    st.cache_data.clear()
    assert batch._batches()[work.id] is work
    assert meeting_agreement.shared_agreement("of this test", ()) is shared
    compare.run()
    assert "of 2 prompts are answered" in page_text(compare)
    compare.button(key="many_stop").click().run()
    assert work.wait(10)


def test_the_same_person_in_another_tab_stops_their_own_work(compare: AppTest, desk: Desk, watching, monkeypatch):
    ann, ben = Visitor("id|ann", "Ann", Role.MEMBER), Visitor("id|ben", "Ben", Role.MEMBER)
    monkeypatch.setattr(visitor_header, "read", lambda headers: ann)
    compare.session_state["whose"] = ann.id
    generation = begun(compare, desk)
    assert generation.viewer == ann.id, "limits and turns are the person's, in whatever tab"
    write(generation, "so far")
    own_tab = watching(generation=generation.id)
    assert not own_tab.button(key="stop").disabled
    monkeypatch.setattr(visitor_header, "read", lambda headers: ben)
    second_app = watching(generation=generation.id)
    assert second_app.button(key="stop").disabled
    monkeypatch.setattr(visitor_header, "read", lambda headers: ann)
    own_tab.button(key="stop").click().run()
    assert generation.snapshot().phase is Phase.CANCELLED
