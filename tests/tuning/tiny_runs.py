"""Helpers for tunings of a tiny model that take a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.tuning.request import TuningRequest
from map_core.tuning.settings import TuningSettings

VALUES = ("positivity", "diversity")
QUICK = TuningSettings(steps=4, prompts=2, replies=4, rank=2)


def request(table: RewardTable, out: Path, **options) -> TuningRequest:
    return TuningRequest(table, {"diversity": 2.0}, out, **({"settings": QUICK} | options))


def weights_in(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "adapter_model.safetensors")


def pairs_command(path: Path, out: Path, *options: str) -> list[str]:
    """Return the arguments of a tuning by pairs of replies."""
    return ["tune", str(path), "--method", "pairs", "--out", str(out), *options]
