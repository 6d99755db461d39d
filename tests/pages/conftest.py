"""Most tests of the pages read the figures of the method, so numbers are shown; what is plain by default says so."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pages.view.session import scene
from pages.view.shell import wording


@pytest.fixture(autouse=True)
def _numbers_are_shown(monkeypatch, request):
    """Show numbers to those who have chosen nothing, except in tests marked ``plain``."""
    plain = request.node.get_closest_marker("plain") is not None
    monkeypatch.setenv(wording.SETTING, wording.OFF if plain else wording.ON)


@pytest.fixture(scope="package", autouse=True)
def _loading_a_table_collects_no_garbage() -> Iterator[None]:
    """Nearly every test loads a table of its own: each would look through all that all tests have in memory, for 0.6 s.

    ``test_palette_cache.py`` tests the collection itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene, "garbage", SimpleNamespace(freeze_loaded=lambda: None))
        yield
