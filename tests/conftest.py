"""Fixtures of more than one file of tests, and what holds for all of them: a person's own palettes are left alone."""

from __future__ import annotations

import os

import pytest

from map_core.store import SETTING
from tests.app_server import address, browser, server

__all__ = ["address", "browser", "server"]


@pytest.fixture(scope="session", autouse=True)
def _database_of_the_tests(tmp_path_factory):
    """The setting of the app names a file of this run, for servers that tests start as well."""
    before = os.environ.get(SETTING)
    os.environ[SETTING] = f"sqlite:///{tmp_path_factory.mktemp('store') / 'palettes.sqlite'}"
    yield
    if before is None:
        del os.environ[SETTING]
    else:
        os.environ[SETTING] = before
