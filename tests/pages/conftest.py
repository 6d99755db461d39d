"""Most tests of the pages read the figures of the method, so numbers are shown; what is plain by default says so."""

from __future__ import annotations

import pytest

from pages.view.shell import wording


@pytest.fixture(autouse=True)
def _numbers_are_shown(monkeypatch, request):
    """Show numbers to those who have chosen nothing, except in tests marked ``plain``."""
    plain = request.node.get_closest_marker("plain") is not None
    monkeypatch.setenv(wording.SETTING, wording.OFF if plain else wording.ON)
