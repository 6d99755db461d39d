"""Fixtures of the tests of engines: no keys and proxies of the environment, and a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.engines.base import LocalEngine
from map_core.engines.factory import open_engine
from map_core.models.endpoint import KEY_VARIABLES
from tests.tiny_model import make_tiny_model


@pytest.fixture(autouse=True)
def without_keys_and_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", layers=1)
    # transformers serve takes sampling settings that a request lacks from this file.
    settings = {"do_sample": True, "top_k": 0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def local(folder: Path, one_torch_thread: None) -> LocalEngine:
    engine = open_engine(str(folder), "torch", "float32")
    assert isinstance(engine, LocalEngine)
    return engine
