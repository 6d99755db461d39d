"""Most tests of the pages read the figures of the method, so numbers are shown; what is plain by default says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from streamlit.runtime import Runtime, context

from map_core.data import table_format
from map_core.store import database
from pages.view.compare import generator
from pages.view.session import scene
from pages.view.shell import live_channel, wording
from tests.pages.app_script import opened
from tests.pages.compare_script import Desk
from tests.tables import make_table


@pytest.fixture(autouse=True)
def _numbers_are_shown(monkeypatch, request):
    """Show numbers to those who have chosen nothing, except in tests marked ``plain``."""
    plain = request.node.get_closest_marker("plain") is not None
    monkeypatch.setenv(wording.SETTING, wording.OFF if plain else wording.ON)


@pytest.fixture(scope="package", autouse=True)
def _no_garbage_is_collected_for_a_table() -> Iterator[None]:
    """Whoever loads a table collects garbage, and would look through all that all tests have in memory.

    ``test_palette_cache.py`` tests the collection itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (scene, live_channel):
            patch.setattr(module, "garbage", SimpleNamespace(freeze_loaded=lambda: None))
        yield


@pytest.fixture(scope="package", autouse=True)
def _a_page_that_a_test_runs_has_no_client() -> Iterator[None]:
    """Streamlit would make a mock of its client each time that a page asks for a cookie or a header."""
    client = context._get_client_context

    def client_or_none() -> object | None:
        return None if isinstance(Runtime._instance, Mock) else client()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "_get_client_context", client_or_none)
        yield


@pytest.fixture(scope="package")
def table_file(tmp_path_factory) -> Path:
    """The small table that most pages are about: one file, so that what it takes to open it is computed once."""
    path = tmp_path_factory.mktemp("small") / "table.parquet"
    table_format.save(make_table(prompts=16, candidates=32, seed=5), path)
    return path


@pytest.fixture
def table(table_file, monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(table_file))
    return make_table(prompts=16, candidates=32, seed=5)


@pytest.fixture
def unopened(table, tmp_path, monkeypatch):
    """The small table in a file of its own, of which nothing is computed yet; named before what opens the app."""
    table_format.save(table, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    return table


@pytest.fixture
def app(table):
    return opened()


@pytest.fixture
def desk(monkeypatch):
    made = Desk()
    monkeypatch.setattr(generator, "service", lambda scene: made)
    monkeypatch.setattr(generator, "missing_model", lambda model: None)
    return made


@pytest.fixture
def compare(desk, app):
    """The page with its boxes open: what is in them is drawn only then."""
    for box in ("figures", "all_candidates"):
        app.session_state[box] = True
    return app.switch_page("compare.py").run()


@pytest.fixture
def place(table, tmp_path, monkeypatch):
    """The small table, and a database of its own."""
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'kept.sqlite'}")
    yield table
    database().close()
