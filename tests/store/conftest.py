"""Fixtures with empty databases: SQLite, and a PostgreSQL server that is started once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from map_core.store import open_database
from tests.postgres import connected, find_postgres, server


@pytest.fixture(scope="session")
def postgres():
    binaries = find_postgres()
    if binaries is None:
        pytest.skip("no PostgreSQL here; tests/requirements.txt brings one")
    with server(binaries) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'palettes.sqlite'}"
    server = request.getfixturevalue("postgres")
    with connected(server) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return server


@pytest.fixture
def opened(address):
    store = open_database(address)
    yield store
    store.close()
