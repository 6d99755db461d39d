"""A delivery study of one table, and its JSON file.

Constraint: the file holds numbers to six significant digits, and null for NaN.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.studies.delivery.cross_fit import CrossFitDelivery, cross_fit_delivery
from map_core.studies.delivery.palettes import graded_palettes, reachable_palettes

FORMAT = 1
#: Halvings and random palettes of a study.
HALVINGS, RANDOM = 20, 50


@dataclass(frozen=True, eq=False)
class DeliveryStudy:
    """Graded and random palettes over many halvings.

    Args:
        made: date, model, engine, sampling, seed, halvings, and "table", the :func:`fingerprint` of the table.
        percentiles: percentile of each graded palette's targets; None where they differ.
        graded: palettes of one to all values at the 50th to 80th percentile.
        random: random attainable palettes.
    """

    made: Mapping[str, Any]
    percentiles: tuple[int | None, ...]
    graded: CrossFitDelivery
    random: CrossFitDelivery


def run_study(
    table: RewardTable,
    fresh: RewardTable,
    *,
    halvings: int = HALVINGS,
    random: int = RANDOM,
    seed: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> DeliveryStudy:
    """Solve graded and random palettes on halves of a table and realise them on fresh replies to the other halves.

    Args:
        table: replies to all prompts.
        fresh: new replies to the same prompts, K to each.
        halvings: number of halvings, at least 1.
        random: number of random palettes.
        seed: seed of palettes, halves, subsamples and picks.
        report: called with the number of finished halvings and their total, over both kinds of palettes.

    Raises:
        InputError: as :func:`cross_fit_delivery` and :func:`reachable_palettes` raise.
    """
    candidates = int(fresh.candidates.max())
    graded = graded_palettes(table, candidates, seed=seed)
    random_targets = reachable_palettes(table, table, candidates, random, seed=seed)
    deliveries = []
    for index, palettes in enumerate((graded, random_targets)):

        def report_progress(done: int, total: int, before: int = index * halvings) -> None:
            if report is not None:
                report(before + done, 2 * total)

        targets = [palette.targets for palette in palettes]
        deliveries.append(
            cross_fit_delivery(table, fresh, targets, halvings=halvings, seed=seed, report=report_progress)
        )
    metadata = fresh.metadata
    settings = {
        "date": metadata.get("created"),
        "model": metadata.get("model"),
        "engine": metadata.get("engine"),
        "sampling": metadata.get("sampling"),
        "replies_seed": metadata.get("seed"),
        "seed": seed,
        "halvings": halvings,
        "prompts": len(fresh.prompts),
        "candidates": candidates,
        "table": fingerprint(table),
    }
    return DeliveryStudy(settings, tuple(palette.percentile for palette in graded), *deliveries)


def fingerprint(table: RewardTable) -> str:
    """Return the SHA-256 of a table's prompts, values, rewards and, where it has them, prompt weights."""
    digest = hashlib.sha256("\0".join((*table.values, *table.prompts)).encode())
    for array in (table.offsets.astype("<i8"), table.rewards.astype("<f8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    if table.prompt_weights is not None:
        digest.update(table.prompt_weights.astype("<f8").tobytes())
    return digest.hexdigest()


def save(study: DeliveryStudy, path: Path) -> None:
    """Write a study.

    Raises:
        InputError: the file cannot be written.
    """
    record = {
        "format": FORMAT,
        "made": dict(study.made),
        "percentiles": list(study.percentiles),
        "graded": _as_json(study.graded),
        "random": _as_json(study.random),
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(part, allow_nan=False)}" for key, part in record.items())
    try:
        path.write_text(f"{{{lines}}}\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"The study cannot be written to {path} ({error}). Choose another place.") from error


def load(path: Path) -> DeliveryStudy:
    """Read a study.

    Raises:
        InputError: there is none, or the file is something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"it has format {record['format']}, and this version reads {FORMAT}")
        return DeliveryStudy(
            record["made"], tuple(record["percentiles"]), _from_json(record["graded"]), _from_json(record["random"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no study of delivery ({error}). Make one: verify --study {path}.") from error


def _as_json(delivery: CrossFitDelivery) -> dict[str, Any]:
    """Convert the fields to JSON values, arrays to nested lists."""

    def rounded(number: float) -> float | None:
        return float(f"{number:.6g}") if np.isfinite(number) else None

    def plain(entry: Any) -> Any:
        if isinstance(entry, np.ndarray):
            return [plain(item) for item in entry] if entry.ndim else rounded(float(entry))
        return rounded(float(entry)) if isinstance(entry, float | np.floating) else entry

    return {field.name: plain(getattr(delivery, field.name)) for field in fields(CrossFitDelivery)}


def _from_json(record: Mapping[str, Any]) -> CrossFitDelivery:
    values: dict[str, Any] = {}
    for field in fields(CrossFitDelivery):
        entry = record[field.name]
        if field.name == "values":
            values[field.name] = tuple(entry)
        elif isinstance(entry, list):
            values[field.name] = np.array(entry, dtype=float)
        else:
            values[field.name] = np.nan if entry is None else entry
    return CrossFitDelivery(**values)
