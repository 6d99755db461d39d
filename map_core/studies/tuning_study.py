"""Tuned models over a set of palettes, as they were measured for a table: read from and kept in a file for the app.

The file is written by ``python -m tests.benchmarks.bench_tuning --study FILE``. Constraint: what was measured and what
it takes to measure it again; nothing is computed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from map_core.core.atomic_files import write_durable
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError

#: The study of the embedded table.
SHIPPED = DEFAULT_TABLE.with_name("tuning_study.json")
FORMAT = 1


@dataclass(frozen=True, eq=False)
class TuningStudy:
    """One route over a set of palettes.

    Args:
        method: name of the route, see :class:`map_core.tuning.settings.TuningMethod`.
        command: that makes the study again.
        date: when it was measured, as 2026-11-30.
        machine: what it was measured on, in words.
        summary: over the palettes; intervals are of 90%. ``share_of_way`` with ``share_of_way_interval``,
            ``lowest_share_of_a_value``, ``nats_over_lambdas``, ``training_cpu_seconds``, and for each number of
            candidates, as ``tuned, 4 candidates``, ``share_of_way`` and ``ess``.
        palettes: each with ``asked``, levels as written by value, and its ``check``, see
            :meth:`map_core.tuning.check.TunedCheck.as_dict`.
    """

    method: str
    command: str
    date: str
    machine: str
    summary: Mapping[str, Any]
    palettes: tuple[Mapping[str, Any], ...]


def read_studies(path: Path, table_hash: str) -> tuple[TuningStudy, ...]:
    """Return the studies of a table that a file holds, one a route; none where there is no file or it is of another.

    Args:
        path: of the file.
        table_hash: sha256 of the table's file.

    Raises:
        InputError: the file cannot be read.
    """
    if not path.is_file():
        return ()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["table"] != table_hash:
            return ()
        return tuple(TuningStudy(**{**study, "palettes": tuple(study["palettes"])}) for study in content["studies"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no study of tuned models ({error}). Make it again: bench_tuning --study."
        ) from error


def keep_study(study: TuningStudy, path: Path, table_hash: str) -> None:
    """Keep a study in a file, in place of an earlier one of the same route; studies of another table are dropped."""
    others = [kept for kept in read_studies(path, table_hash) if kept.method != study.method]
    content = {"format": FORMAT, "table": table_hash, "studies": [asdict(kept) for kept in (*others, study)]}
    write_durable(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
