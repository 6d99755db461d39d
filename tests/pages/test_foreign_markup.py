"""Tests that names in a table stay text: no page passes them to a browser as Markdown, which would load images.

Every page is drawn with a table whose names are Markdown images on another server, and each message to the
browser is searched for it. Constraint: only fields that Streamlit shows as they are, markup of this app's own (which is
escaped, as tests of each page say) and data of components may hold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

from map_core.data import table_format
from map_core.palettes.palette import ALL, Palette, Target
from map_core.store import SETTING, database, meetings, palettes, table_key
from pages.view.session import scene as scenes
from tests.pages.app_script import APP, settled
from tests.pages.test_wording import PAGES
from tests.tables import VALUES, make_table

PICTURE = "![x](http://evil.example/a.png) <img src='http://evil.example/b.png'>"
#: The image in unescaped Markdown.
READ = re.compile(r"(?<!\\)!\[x\\?\]\(")
#: Kinds of messages without Markdown, and fields of the others that are shown verbatim.
NO_MARKDOWN = {
    "Html",
    "Text",
    "TextArea",
    "TextInput",
    "Arrow",
    "BidiComponent",
    "PlotlyChart",
    "Code",
    "DownloadButton",
}
AS_IT_IS = {
    ("Selectbox", "options"),
    ("MultiSelect", "options"),
    ("Selectbox", "rawValue"),
    ("MultiSelect", "rawValues"),
}


@pytest.fixture(scope="module", autouse=True)
def _a_table_of_somebody(tmp_path_factory):
    folder = tmp_path_factory.mktemp("somebody")
    table = make_table(prompts=16, candidates=32, seed=5)
    cards = [{"name": name, "title": f"{PICTURE} {name}", "measures": PICTURE, "misses": PICTURE} for name in VALUES]
    named = replace(
        table,
        use_cases=tuple(f"{PICTURE} {case}" for case in table.use_cases),
        prompts=tuple(f"{PICTURE} {prompt}" for prompt in table.prompts),
        replies=tuple(f"{PICTURE} {reply}" for reply in table.replies),
        labels={PICTURE: tuple(f"{PICTURE} {n % 2}" for n in range(16))},
        metadata={**table.metadata, "scorers": cards},
    )
    table_format.save(named, folder / "table.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALUE_PALETTE_TABLE", str(folder / "table.parquet"))
        patch.setenv(SETTING, f"sqlite:///{folder / 'palettes.sqlite'}")
        palettes.save(database(), Palette(targets={"humor": Target(60.0)}), PICTURE, note=PICTURE)
        yield


def fields(message: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return every text of a message with its field."""
    if isinstance(message, dict):
        for name, part in message.items():
            yield from fields(part, (*path, name))
    elif isinstance(message, list):
        for part in message:
            yield from fields(part, path)
    elif isinstance(message, str):
        yield path, message


def read_as_markdown(app: AppTest) -> list[str]:
    """Return the fields in which the image would be loaded."""
    markdown = []
    for element in (*app.main, *app.sidebar):
        proto = getattr(element, "proto", None)
        kind = "" if proto is None else proto.DESCRIPTOR.name
        if kind in NO_MARKDOWN or not kind:
            continue
        for path, text in fields(MessageToDict(proto)):
            if READ.search(text) and (kind, path[0]) not in AS_IT_IS:
                markdown.append(f"{kind}.{'.'.join(path)}: {text[:80]}")
    return markdown


def opened(page: str, session: dict[str, Any], address: dict[str, str]) -> AppTest:
    """Open a page and wait for its background work."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in session.items():
        app.session_state[name] = value
    app.query_params.update(address)
    app.run()
    if page != "palette":
        app.switch_page(f"{page}.py")
        app.query_params.update(address)
    return settled(app)


@pytest.mark.parametrize(
    ("page", "session", "address"),
    [*PAGES, *(("palettes", {}, {"view": view}) for view in ("presets", "beside", "blend", "timeline"))],
)
def test_no_page_loads_an_image_named_by_a_table(page, session, address):
    app = opened(page, session, address)
    assert not app.exception
    assert read_as_markdown(app) == []


def test_no_phone_of_a_meeting_loads_it():
    meeting = meetings.open_meeting(database(), PICTURE, ALL, table_key(scenes.load(ALL).table))
    for page in ("join", "groups"):
        app = opened(page, {}, {"meeting": meeting.code})
        if page == "join":
            app.toggle(key="ask_humor").set_value(True).run()
            assert len(app.slider) == 1
        assert not app.exception
        assert read_as_markdown(app) == []


def test_detector_finds_the_image():
    app = AppTest.from_string(
        f"import streamlit as st; st.toggle('On', help={PICTURE!r}); st.pills('Of', [{PICTURE!r}])"
    )
    assert len(read_as_markdown(app.run())) == 2
