"""Tests of a vote link: unnamed pairs, one answer each, stored with the votes on the same palette."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from map_core.palettes.palette import Palette
from map_core.store import database, table_key, votes
from pages.view.compare import vote_link
from pages.view.session import live_answer
from pages.view.session import scene as scenes
from tests.pages.app_script import APP, page_text

PALETTE = "humor:p70;helpfulness:p60"


pytestmark = pytest.mark.usefixtures("place")


def vote_page(palette: str) -> AppTest:
    """Open the page as its link does."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["palette"] = palette
    return app.run().switch_page("vote.py").run()


def test_a_colleague_answers_each_pair_once(monkeypatch):
    monkeypatch.setattr(vote_link, "PAIRS", 3)
    page = vote_page(PALETTE)
    assert not page.exception
    assert "Pair 1 of 3" in page_text(page)
    assert "aligned model" not in page_text(page).lower()
    for n, side in enumerate(("A", "B", "neither")):
        page.button(key=f"vote_{side}_{n}").click().run()
        assert not page.exception
    assert "Thank you. That was all." in page_text(page)
    assert not [button for button in page.button if str(button.key).startswith("vote_")]
    table = scenes.load(scenes.ALL).table
    palette = page.session_state["history"].now
    stored = votes.list_votes(database(), votes.palette_key(palette, table_key(table)))
    assert palette.targets["humor"].percentile == 70
    assert len(stored) == 3
    assert votes.count_votes(stored).tie == 1


def test_order_of_replies_depends_on_the_voter_only():
    scene = scenes.load()
    palette = Palette.from_query({"palette": PALETTE}, scene.table.values)
    live = live_answer.current_answer(scene, palette)
    question_lists = [vote_link.questions(live, voter) for voter in ("one", "one", "two", "three", "four")]
    assert question_lists[0] == question_lists[1]
    assert len({tuple(question.pair.aligned for question in questions) for questions in question_lists}) > 1
    assert all(question.pair is not None for question in question_lists[0])


def test_palette_without_effect_has_no_pairs():
    page = vote_page("humor:p1")
    assert not page.exception
    assert "nothing to vote on" in page_text(page)
