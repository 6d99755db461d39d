"""What a table names is text: no page hands it to a browser as Markdown, which would load pictures.

Every page is drawn with a table whose words are a picture on somebody's server, and each message that goes to the
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
#: The picture where nothing keeps Markdown from reading it.
READ = re.compile(r"(?<!\\)!\[x\\?\]\(")
#: Kinds of messages that hold no Markdown, and fields of the others that are shown as they are.
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
    made = make_table(prompts=16, candidates=32, seed=5)
    cards = [{"name": name, "title": f"{PICTURE} {name}", "measures": PICTURE, "misses": PICTURE} for name in VALUES]
    named = replace(
        made,
        use_cases=tuple(f"{PICTURE} {case}" for case in made.use_cases),
        prompts=tuple(f"{PICTURE} {prompt}" for prompt in made.prompts),
        replies=tuple(f"{PICTURE} {reply}" for reply in made.replies),
        labels={PICTURE: tuple(f"{PICTURE} {n % 2}" for n in range(16))},
        metadata={**made.metadata, "scorers": cards},
    )
    table_format.save(named, folder / "table.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALUE_PALETTE_TABLE", str(folder / "table.parquet"))
        patch.setenv(SETTING, f"sqlite:///{folder / 'palettes.sqlite'}")
        palettes.save(database(), Palette(targets={"humor": Target(60.0)}), PICTURE, note=PICTURE)
        yield


def fields(message: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of a message, and where it stands."""
    if isinstance(message, dict):
        for name, part in message.items():
            yield from fields(part, (*path, name))
    elif isinstance(message, list):
        for part in message:
            yield from fields(part, path)
    elif isinstance(message, str):
        yield path, message


def read_as_markdown(app: AppTest) -> list[str]:
    """Where the picture would be loaded."""
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
    """A page with its background work done."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, held in session.items():
        app.session_state[name] = held
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
def test_no_page_loads_what_a_table_names(page, session, address):
    app = opened(page, session, address)
    assert not app.exception
    assert read_as_markdown(app) == []


def test_no_phone_of_a_meeting_does():
    held = meetings.open_meeting(database(), PICTURE, ALL, table_key(scenes.load(ALL).table))
    for page in ("join", "groups"):
        app = opened(page, {}, {"meeting": held.code})
        if page == "join":
            app.toggle(key="ask_humor").set_value(True).run()
            assert len(app.slider) == 1
        assert not app.exception
        assert read_as_markdown(app) == []


def test_the_picture_is_found_where_it_is_read():
    app = AppTest.from_string(
        f"import streamlit as st; st.toggle('On', help={PICTURE!r}); st.pills('Of', [{PICTURE!r}])"
    )
    assert len(read_as_markdown(app.run())) == 2
