"""The folder of a tuning: whose it is, what it was made of, and how its model is sampled.

Constraint: no model library is loaded here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from map_core.core import remedies
from map_core.core.atomic_files import write_durable
from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.tuned import RECORD
from map_core.palettes.column_names import scored_value
from map_core.tuning.card import CARD, card_text

CHECKPOINTS, PLAN, MERGED = "checkpoints", "plan.json", "merged"
#: The tuned model's replies to its held-out prompts, where `tune --check` has drawn them.
CHECK_TABLE = "check.parquet"
#: log q - log p0 of the base model's replies to held-out prompts, by the id of the prompt.
RATIOS = "log_ratios.json"
#: The same of replies that were not read to prompts that were tuned on, for rounds.
UNREAD_RATIOS = "unread_ratios.json"
#: What the rounds of a tuning came to.
ROUNDS = "rounds.json"


def set_sampling(folder: Path, sampling: SamplingSettings) -> None:
    """Make the settings that were tuned the ones that transformers and other servers sample a model with by default."""
    path = folder / "generation_config.json"
    settings: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"do_sample": True, "temperature": sampling.temperature, "top_p": 1.0, "top_k": 0}
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the card of a tuned model, and last what it was made of."""
    write_durable(folder / CARD, card_text(record).encode())
    write_durable(folder / RECORD, (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any]:
    """Read what a finished tuning wrote down.

    Raises:
        InputError: the folder is no finished tuning.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no tuned model: it has no {RECORD} that can be read ({error}). `tune` writes it when it is "
            "done."
        ) from error
    if not isinstance(record, dict) or record.get("format") != 1:
        raise InputError(f"{folder / RECORD} has another format than this version reads. Tune the model again.")
    return record


def keep_ratios(path: Path, ratios: Mapping[str, np.ndarray]) -> None:
    """Keep log-ratios of some prompts in a file, beside those of other prompts and in place of fewer."""
    kept = read_ratios(path)
    longer = {name: row for name, row in ratios.items() if name not in kept or len(row) >= len(kept[name])}
    content = {name: row.tolist() for name, row in {**kept, **longer}.items()}
    write_durable(path, (json.dumps(content) + "\n").encode())


def read_ratios(path: Path) -> dict[str, np.ndarray]:
    """Return (reply,) log-ratios by the id of the prompt; none where there is no file that can be read."""
    try:
        return {name: np.array(row, dtype=float) for name, row in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def is_of_model(record: Mapping[str, Any], table: RewardTable) -> bool:
    """Return whether a model was made of the one that wrote a table's replies."""
    model, base = table.metadata.get("model") or {}, record.get("model") or {}
    key = "sha256" if model.get("sha256") else "name"
    return bool(base) and base.get(key) == model.get(key)


def is_of_table(record: Mapping[str, Any], table: RewardTable) -> bool:
    """Return whether a model was tuned on a table or a copy of it: of its model, on its prompts, to its values."""
    held_out = set(record.get("held_out") or ())
    values = {scored_value(name) for name in record.get("values") or ()}
    return (
        is_of_model(record, table)
        and len(held_out) > 0
        and held_out <= set(table.prompt_ids)
        and values <= set(table.values)
    )


def check_plan(folder: Path, plan: Mapping[str, Any], fresh: bool) -> None:
    """Refuse a folder that belongs to another tuning, unless it is to be thrown away; then keep whose it is.

    Args:
        folder: to write; it is there, and locked.
        plan: what decides the result, as plain JSON values.
        fresh: throw away what another tuning has left.

    Raises:
        InputError: the folder is another tuning's, or holds other files.
    """
    path = folder / PLAN
    kept = None
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
    others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(RECORD)]
    if kept is None and others:  # --fresh replaces tunings, and nothing else
        raise InputError(
            f"{folder} holds other files ({', '.join(sorted(others)[:3])}). Give this tuning a folder of its own."
        )
    if kept is not None and kept != plan and not fresh:
        differs = sorted(key for key in plan if kept.get(key) != plan[key])
        raise InputError(f"{folder} holds another tuning (other {', '.join(differs)}). {remedies.OWN_COMMAND}")
    if fresh:
        discard(folder)
    write_durable(path, json.dumps(plan).encode())


def discard(folder: Path) -> None:
    """Remove what a tuning has made, its rounds included; other files stay."""
    for name in (
        *(RECORD, ROUNDS, CARD, CHECK_TABLE, RATIOS, UNREAD_RATIOS),
        *("adapter_model.safetensors", "adapter_config.json", "model.safetensors"),
    ):
        (folder / name).unlink(missing_ok=True)
    for entry in folder.glob("soup-*.json"):
        entry.unlink()
    for entry in (folder / CHECKPOINTS, folder / MERGED, *folder.glob("round-*")):
        shutil.rmtree(entry, ignore_errors=True)
