"""Putting a table together from what is kept: a row group at a time, in its place by one rename.

Constraint: never more than one row group of replies is held as Python objects.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from map_core.glossary import Reply
from map_core.parts import unwritable
from map_core.prompts import Prompt
from map_core.rewards import FORMAT, METADATA_KEY

#: Replies in a row group.
GROUP = 16_384


@dataclass(frozen=True)
class Row:
    """One reply of a table.

    Args:
        candidate: its number among the replies to its prompt.
        reply: the reply.
        log_prob: of the whole reply, in nats; NaN where untold.
        rewards: one a value.
    """

    candidate: int
    reply: Reply
    log_prob: float
    rewards: tuple[float, ...]


def write_table(
    out: Path,
    prompts: Sequence[Prompt],
    rows: Callable[[int], Sequence[Row]],
    values: Sequence[str],
    metadata: dict[str, Any],
) -> int:
    """Write a table; a file already there is replaced only once the new one is complete.

    Args:
        out: the Parquet file.
        prompts: in the table's order; those without rows are left out.
        rows: the replies of one prompt, by its place.
        values: names of the rewards.
        metadata: plain JSON values.

    Returns:
        How many replies were written.

    Raises:
        InputError: the disc is full or the folder cannot be written.
    """
    weighted = any((prompt.weight, prompt.held_out) != (1.0, False) for prompt in prompts)
    told = {"format": FORMAT, "values": list(values), **metadata}
    schema = _schema(values, weighted).with_metadata({METADATA_KEY: json.dumps(told, allow_nan=False).encode()})
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    count = 0
    try:
        with partial.open("wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for group in _groups(prompts, rows):
                    writer.write_table(_columns(group, schema, values))
                    count += len(group)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return count


def _schema(values: Sequence[str], weighted: bool) -> pa.Schema:
    fields = {
        "prompt_id": pa.string(),
        "prompt": pa.string(),
        "use_case": pa.string(),
        "candidate": pa.int32(),
        "reply": pa.string(),
        "tokens": pa.list_(pa.int32()),
        "log_prob": pa.float64(),
    }
    if weighted:
        fields |= {"weight": pa.float64(), "held_out": pa.bool_()}
    return pa.schema(fields | {name: pa.float64() for name in values})


def _groups(prompts: Sequence[Prompt], rows: Callable[[int], Sequence[Row]]) -> Iterable[list[tuple[Prompt, Row]]]:
    group: list[tuple[Prompt, Row]] = []
    for number, prompt in enumerate(prompts):
        group += [(prompt, row) for row in rows(number)]
        if len(group) >= GROUP:
            yield group
            group = []
    if group:
        yield group


def _columns(group: Sequence[tuple[Prompt, Row]], schema: pa.Schema, values: Sequence[str]) -> pa.Table:
    prompts, rows = [prompt for prompt, _ in group], [row for _, row in group]
    columns: dict[str, Any] = {
        "prompt_id": [prompt.id for prompt in prompts],
        "prompt": [prompt.text for prompt in prompts],
        "use_case": [prompt.use_case for prompt in prompts],
        "candidate": [row.candidate for row in rows],
        "reply": [row.reply.text for row in rows],
        "tokens": [row.reply.tokens for row in rows],
        "log_prob": [row.log_prob for row in rows],
    }
    if "weight" in schema.names:
        columns["weight"] = [prompt.weight for prompt in prompts]
        columns["held_out"] = [prompt.held_out for prompt in prompts]
    columns |= {name: [row.rewards[place] for row in rows] for place, name in enumerate(values)}
    assert all(math.isfinite(reward) for row in rows for reward in row.rewards)
    return pa.table(columns, schema=schema)
