"""Fixtures of the tests of pages. Numbers are shown, since most tests read them; others are marked ``plain``."""

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
    """Show numbers by default, except in tests marked ``plain``."""
    plain = request.node.get_closest_marker("plain") is not None
    monkeypatch.setenv(wording.SETTING, wording.OFF if plain else wording.ON)


@pytest.fixture(scope="package", autouse=True)
def _no_garbage_is_collected_for_a_table() -> Iterator[None]:
    """Skip the garbage collection at each table load, which would scan the memory of all tests.

    ``test_palette_cache.py`` tests the collection itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (scene, live_channel):
            patch.setattr(module, "garbage", SimpleNamespace(freeze_loaded=lambda: None))
        yield


@pytest.fixture(scope="package", autouse=True)
def _a_page_that_a_test_runs_has_no_client() -> Iterator[None]:
    """Return no client, since Streamlit would create a mock for every cookie or header that a page reads."""
    client = context._get_client_context

    def client_or_none() -> object | None:
        return None if isinstance(Runtime._instance, Mock) else client()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "_get_client_context", client_or_none)
        yield


@pytest.fixture(scope="package")
def table_file(tmp_path_factory) -> Path:
    """Write the small table of most tests to one file, so that opening it is computed once."""
    path = tmp_path_factory.mktemp("small") / "table.parquet"
    table_format.save(make_table(prompts=16, candidates=32, seed=5), path)
    return path


@pytest.fixture
def table(table_file, monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(table_file))
    return make_table(prompts=16, candidates=32, seed=5)


@pytest.fixture
def unopened(table, tmp_path, monkeypatch):
    """The small table in its own file, without cached results; request it before the fixture that opens the app."""
    table_format.save(table, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    return table


@pytest.fixture
def app(table):
    return opened()


@pytest.fixture
def desk(monkeypatch):
    fake = Desk()
    monkeypatch.setattr(generator, "service", lambda scene: fake)
    monkeypatch.setattr(generator, "missing_model", lambda model: None)
    return fake


@pytest.fixture
def compare(desk, app):
    """The page with its expanders open, since their content is drawn only then."""
    for box in ("figures", "all_candidates"):
        app.session_state[box] = True
    return app.switch_page("compare.py").run()


@pytest.fixture
def place(table, tmp_path, monkeypatch):
    """The small table, and a separate database."""
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'kept.sqlite'}")
    yield table
    database().close()
