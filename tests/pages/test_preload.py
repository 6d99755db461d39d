"""Tests of libraries imported at the start of the app: pages wait for them, but not for ever."""

from __future__ import annotations

import importlib
import threading

import pytest

from pages.view.shell import preload
from tests.waiting import until


def test_preloaded_modules_are_imported():
    for name in preload._MODULES:
        importlib.import_module(name)


def test_a_page_waits_for_the_imports(monkeypatch: pytest.MonkeyPatch):
    released, imported, went_on = threading.Event(), [], threading.Event()

    def slowly(name: str) -> None:
        released.wait(30)
        imported.append(name)

    monkeypatch.setattr(preload.importlib, "import_module", slowly)
    preload.begin()

    def page() -> None:
        preload.wait()
        assert imported == list(preload._MODULES)
        went_on.set()

    visit = threading.Thread(target=page)
    visit.start()
    assert not went_on.wait(0.1)
    released.set()
    until(went_on.is_set, message="the page goes on")
    visit.join()


def test_failed_import_is_logged_and_blocks_nobody(monkeypatch, caplog):
    monkeypatch.setattr(preload, "_MODULES", ("map_core.no_such_module",))
    preload.begin()
    preload.wait()
    assert "No module named 'map_core.no_such_module'" in caplog.text


def test_without_a_start_nothing_waits():
    preload.wait()
