"""Tests of finding shipped files, in a checkout and in an installation, and of the message for a missing one."""

from __future__ import annotations

from pathlib import Path

import pytest

from map_core.core import assets
from map_core.errors import InputError
from tests import ROOT


def test_a_checkout_has_its_assets_beside_the_code() -> None:
    assert assets.app_folder() == ROOT
    assert assets.asset("fonts", "newsreader-latin.woff2").is_file()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.parquet is missing\. Restore the checkout, or install"):
        assets.asset("none.parquet", folder=tmp_path)


def test_an_installation_has_its_assets_in_a_separate_folder(tmp_path: Path) -> None:
    assert assets.app_folder(tmp_path) == tmp_path / assets.INSTALLED
    (tmp_path / "app.py").touch()
    assert assets.app_folder(tmp_path) == tmp_path / assets.INSTALLED, "somebody else's app.py"
    (tmp_path / "assets").mkdir()
    assert assets.app_folder(tmp_path) == tmp_path
