"""Tunings of a tiny model that take a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.tuning.request import TuningRequest
from map_core.tuning.settings import TuningSettings

VALUES = ("positivity", "diversity")
QUICK = TuningSettings(steps=4, prompts=2, replies=4, rank=2)


def request(table: RewardTable, out: Path, **more) -> TuningRequest:
    return TuningRequest(table, {"diversity": 2.0}, out, **({"settings": QUICK} | more))


def weights_in(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "adapter_model.safetensors")


def pairs_command(path: Path, out: Path, *more: str) -> list[str]:
    """The words of a tuning by comparing replies."""
    return ["tune", str(path), "--method", "pairs", "--out", str(out), *more]
