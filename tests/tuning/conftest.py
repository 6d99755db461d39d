"""Merged models of tests go where pytest cleans up, and not into the user's cache."""

from __future__ import annotations

import pytest

from map_core.models import files


@pytest.fixture(autouse=True)
def _own_merged_models(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "merged_folder", lambda: tmp_path / "merged-models")
