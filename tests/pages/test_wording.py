"""Tests of the switch *Show numbers*: by default no page has figures of the method."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

from map_core.palettes.palette import ALL
from map_core.scoring import cards
from map_core.store import database, meetings, table_key
from pages.view.session import scene as scenes
from pages.view.shell import wording
from tests.pages.app_script import APP, answer, settled

#: Terms for engineers only.
FIGURES = re.compile(
    r"\bnats?\b|\bKL\b|\blambda\b|λ|standard deviation|\b[Bb]est[ -]of[ -](\d|N\b)|\bAUC\b|\blog Z\b|\bp\d{1,3}\b"
    r"|\bp%\{|percentile|[Ee]ffective sample|\bESS\b|rank correlation|log[- ](prob|odds|likelihood)|perplexity"
    r"|\blogits?\b|standard error|\bvariance\b|\bquantile|\bbootstrap|probability mass|\bentropy\b|\bposterior\b",
    re.IGNORECASE,
)
#: Fields that are not displayed.
UNREAD = {
    "bdata",
    "jsContent",
    "cssContent",
    "id",
    "formId",
    "url",
    "css",
    "js",
    "key",
    "deltaMsgId",
    "fileUrl",
    "page",
    "mediaId",
    "language",
    "unit",
}
#: A palette in an address, which keeps its form.
ADDRESS = re.compile(r"(/?\w*\?palette=)?\w+:\S*")
#: In markup: style rules, and examples of a file format, which keep their form.
UNSEEN = re.compile(r"<style>.*?</style>|&quot;p\d+&quot;", re.DOTALL)
#: Each page and its states: (file, entries of the session, parameters of the address).
PAGES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("palette", {}, {}),
    ("palette", {"plain_desk": True}, {"palette": "helpfulness:p99;harmlessness:p99"}),
    ("values", {}, {}),
    *(("tradeoffs", {}, {"view": view}) for view in ("two", "pairs", "three", "lines", "moved")),
    ("palettes", {}, {}),
    ("groups", {}, {}),
    ("sequence", {}, {}),
    ("baselines", {}, {}),
    ("compare", {}, {}),
    ("tables", {}, {}),
    ("tables", {}, {"view": "good"}),
    ("tune", {}, {}),
    ("delivery", {}, {}),
    ("report", {}, {}),
    ("report", {}, {"palette": "helpfulness:p99;harmlessness:p99"}),
    ("how", {}, {}),
    ("limits", {}, {}),
]


def texts(node: Any) -> Iterator[str]:
    """Return every displayed text of a message, including those in JSON."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name not in UNREAD:
                yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str) and not ADDRESS.fullmatch(node):
        if node[:1] in "{[":
            try:
                yield from texts(json.loads(node))
            except ValueError:
                yield node
        else:
            yield node


def read(app: AppTest) -> list[str]:
    """Return all text of a page: texts, labels, help, figures, and the data of components."""
    problems = []
    for element in app.main:
        proto = getattr(element, "proto", None)
        if proto is not None:
            # An example of a file format keeps its p70.
            problems += [UNSEEN.sub("", text) for text in texts(MessageToDict(proto))]
    return problems


def opened(page: str, session: dict[str, Any], address: dict[str, str]) -> AppTest:
    """Open a page and wait for its background work."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in address.items():
        app.query_params[name] = value
    for name, value in session.items():
        app.session_state[name] = value
    app.run()
    if page != "palette":
        app.switch_page(f"{page}.py")
        for name, value in address.items():
            app.query_params[name] = value
    return settled(app)


@pytest.mark.plain
@pytest.mark.parametrize(("page", "session", "address"), PAGES)
def test_a_page_has_no_figures_of_the_method(page, session, address, table):
    app = opened(page, session, address)
    assert not app.exception
    page_texts = read(app)
    assert len(" ".join(page_texts)) > 200
    assert sorted({text for text in page_texts if FIGURES.search(text)}) == []


@pytest.mark.parametrize("card", cards().values(), ids=lambda card: card.name)
def test_cards_describe_values_in_plain_words(card):
    assert not FIGURES.search(f"{card.measures} {card.misses}")


@pytest.mark.plain
def test_the_switch_holds_on_every_page(table):
    app = opened("palette", {}, {})
    assert answer(app)["cost"].endswith("effort")
    app.toggle(key=wording.SWITCH.name).set_value(True).run()
    assert answer(app)["cost"].startswith("Like picking the best of")
    app.switch_page("baselines.py").run()
    assert app.toggle(key=wording.SWITCH.name).value is True
    app.toggle(key=wording.SWITCH.name).set_value(False).run()
    app.switch_page("palette.py").run()
    assert answer(app)["cost"].endswith("effort")


@pytest.mark.plain
@pytest.mark.parametrize(("stored", "on"), [("on", True), ("off", False), ("", False), ("<b>", False)])
def test_a_choice_is_kept_in_the_browser(stored, on, table, monkeypatch):
    monkeypatch.setattr(type(st.context), "cookies", property(lambda _: {wording.COOKIE: stored}))
    app = opened("palette", {}, {})
    assert app.toggle(key=wording.SWITCH.name).value is on


def test_operators_setting_is_the_default_only(table, monkeypatch):
    monkeypatch.setenv(wording.SETTING, "on")
    app = opened("palette", {}, {})
    assert app.toggle(key=wording.SWITCH.name).value is True
    app.toggle(key=wording.SWITCH.name).set_value(False).run()
    assert answer(app)["cost"].endswith("effort")


@pytest.mark.plain
@pytest.mark.parametrize("name", ["2", "Large"])
def test_a_link_names_a_budget_in_either_wording(name, table):
    app = opened("tradeoffs", {}, {"view": "three", "three_budget": name, "frontier_others": "Free"})
    assert not app.exception
    chosen = {control.key: control.value for control in app.button_group}
    assert chosen["three_budget"] == 2.0
    assert chosen["frontier_others"] == "free"


@pytest.mark.parametrize("page", ["palette", "tradeoffs", "tables", "limits", "documents", "report"])
def test_model_line_is_on_every_page(page, table):
    app = opened(page, {}, {})
    assert not app.exception
    (line,) = [text for text in read(app) if 'class="vp-speaks"' in text]
    assert "the app&#x27;s own table" in line
    assert "what it is good for is not known" in line


@pytest.mark.plain
def test_groups_have_no_figures_of_the_method(table):
    app = opened("groups", {}, {})
    app.button(key="example").click().run()
    settled(app)
    assert not app.exception
    page_texts = read(app)
    assert any("of the way" in text for text in page_texts)
    assert sorted({text for text in page_texts if FIGURES.search(text)}) == []


@pytest.mark.plain
@pytest.mark.parametrize("view", ["presets", "beside", "blend", "timeline"])
def test_the_library_has_no_figures_of_the_method(view, table):
    app = opened("palettes", {}, {"view": view})
    assert not app.exception
    assert sorted({text for text in read(app) if FIGURES.search(text)}) == []


@pytest.mark.plain
def test_the_phone_of_a_meeting_has_no_figures_of_the_method(table):
    meeting = meetings.open_meeting(database(), "What do we want?", ALL, table_key(scenes.load(ALL).table))
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["meeting"] = meeting.code
    app.run().switch_page("join.py")
    app.query_params["meeting"] = meeting.code
    app.run()
    app.toggle(key="ask_helpfulness").set_value(True).run()
    assert not app.exception
    page_texts = read(app)
    assert any("Better than" in text for text in page_texts)
    assert sorted({text for text in page_texts if FIGURES.search(text)}) == []
