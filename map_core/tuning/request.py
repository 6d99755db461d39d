"""What is tuned, on what and where to; and what is checked before a model is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import EngineError, InputError
from map_core.models.files import ModelFiles
from map_core.tuning.settings import TuningSettings

#: Held-out prompts, spread over all of them, and replies a prompt that the evidence reads.
EVIDENCE_PROMPTS, EVIDENCE_REPLIES = 8, 16
#: Replies a held-out prompt that are read on the way, where each look takes time from the training.
LOOK_REPLIES = 8
#: Replies that were not read to a prompt that was, of which a tuning in rounds learns how likely they have become.
UNREAD_REPLIES = 16


@dataclass(frozen=True, eq=False)
class TuningRequest:
    """What is tuned, on what, and where to.

    Args:
        table: with its held-out prompts, which are never tuned on and serve as evidence.
        weights: lambda by value, 1 / reward, solved on the prompts that are not held out.
        out: the folder to write.
        settings: the route and its settings.
        palette: what the weights belong to, for the card: ``asked`` and ``targets`` by value, ``verdict``,
            and ``constraints``, the targets by the names that weights have.
        table_hash: sha256 of what the table says.
        model: name or folder of the model that wrote the table's replies; None for the recorded one.
        merged: write the merged model too, into OUT/merged.
        fresh: throw away what another tuning has left in the folder.
        values_file: how values of one's own are scored; read by the online route.
        only_estimate: stop after the estimate.
        evidence_prompts: held-out prompts that the evidence reads, at most; 0 for none.
        looks: how often they are evaluated during training.
        unread_of: prompts, by id, to which some replies that were not read are looked at in the end; see ``rounds``.
    """

    table: RewardTable
    weights: Mapping[str, float]
    out: Path
    settings: TuningSettings = field(default_factory=TuningSettings)
    palette: Mapping[str, Any] = field(default_factory=dict)
    table_hash: str = ""
    model: str | None = None
    merged: bool = False
    fresh: bool = False
    values_file: Path | None = None
    only_estimate: bool = False
    evidence_prompts: int = EVIDENCE_PROMPTS
    looks: int = 0
    unread_of: tuple[str, ...] = ()


def plan(request: TuningRequest, lam: np.ndarray, files: ModelFiles) -> dict[str, Any]:
    """Return what decides the result of a tuning: a folder belongs to one plan."""
    return {
        "weights": lam.tolist(),
        "values": list(request.table.values),
        "settings": request.settings.as_dict(),
        "model": files.sha256,
        "table": request.table_hash,
        "held_out": int((~request.table.counted).sum()),
    }


def check_model(files: ModelFiles, table: RewardTable) -> None:
    """Check that a model is the one that wrote the table's replies, where the table says which that was.

    Raises:
        InputError: it is another one.
    """
    recorded = table.metadata.get("model")
    sha256 = recorded.get("sha256") if isinstance(recorded, Mapping) else None
    if sha256 and files.sha256 != sha256:
        raise InputError(
            f"The table's replies are of another model than {files.name} (weights {sha256[:12]}..., not "
            f"{files.sha256[:12]}...). Name the model that wrote them, or build a table with this one."
        )


def require_libraries() -> None:
    """Check that the libraries of a tuning are installed.

    Raises:
        EngineError: one is not.
    """
    missing = [name for name in ("torch", "transformers", "peft", "trl") if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineError(
            f"Tuning needs {', '.join(missing)}, which is not installed. Run: pip install -r requirements-tune.txt"
        )
