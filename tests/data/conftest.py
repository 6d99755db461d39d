"""Fixtures of the tests of data: reading and writing in small steps."""

from __future__ import annotations

import pytest

from map_core.data.importing import readers, writer
from map_core.data.text_files import encoding, json_stream


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in chunks of two rows and JSON lists in blocks of seven characters, and write in many pieces."""
    monkeypatch.setattr(readers, "ROWS", 2)
    monkeypatch.setattr(json_stream, "BLOCK", 7)
    monkeypatch.setattr(encoding, "BLOCK", 7)
    monkeypatch.setattr(writer, "PARTITION", 3)
    monkeypatch.setattr(writer, "GROUP", 4)
