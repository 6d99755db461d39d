"""The tiny model, and a server of it within the tests' process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.inline import asking, parser_of
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="package")
def client(tiny: Path) -> Iterator[TestClient]:
    with asking(str(tiny), parser_of(tiny)) as (api, _):
        yield api
