"""Fixtures: the tiny model, and a client of a server within the tests' process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.inline import in_process_server, make_parser
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="package")
def client(tiny: Path) -> Iterator[TestClient]:
    with in_process_server(str(tiny), make_parser(tiny)) as (api, _):
        yield api
