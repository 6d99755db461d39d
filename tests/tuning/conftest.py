"""Fixtures: a tiny model with a table of its replies; merged models go to a temporary folder, not the user's cache."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load
from map_core.models import files
from tests.tuning.tiny_runs import VALUES


@pytest.fixture(autouse=True)
def _freeze_loaded_objects() -> None:
    """Keep loaded objects out of garbage collection: each trainer collects at its end and would scan all of them."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _temporary_merged_models(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "merged_folder", lambda: tmp_path / "merged-models")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="session")
def model(folder: Path) -> Path:
    from tests.tiny_model import make_tiny_model

    return make_tiny_model(folder / "tiny")


@pytest.fixture(scope="session")
def path(folder: Path, model: Path) -> Path:
    """Return the path of a table of the tiny model's replies."""
    from map_core.building import build
    from map_core.engines.factory import open_engine
    from map_core.scoring import resolve

    prompts = [Prompt(f"p{i}", "A", f"Question number {i}?") for i in range(8)]
    settings = SamplingSettings(temperature=0.8, max_new_tokens=8)
    out = folder / "table.parquet"
    build(prompts, out, open_engine(str(model), "torch"), resolve(VALUES, {}), candidates=8, settings=settings, seed=1)
    return out


@pytest.fixture(scope="session")
def table(path: Path) -> RewardTable:
    return replace(load(path), held_out=np.arange(8) >= 6)
