"""Write the finished table, one row group at a time, and rename it into place.

Constraint: at most one row group of replies is held as Python objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.atomic_files import open_durable
from map_core.core.types import Reply
from map_core.data.prompts import Prompt
from map_core.data.table_format import table_schema

#: Replies in a row group.
ROW_GROUP_SIZE = 16_384


@dataclass(frozen=True)
class TableRow:
    """One reply of a table.

    Args:
        candidate: its number among the replies to its prompt.
        reply: the reply.
        log_prob: log-probability of the whole reply, in nats; NaN where unknown.
        rewards: one per value.
    """

    candidate: int
    reply: Reply
    log_prob: float
    rewards: tuple[float, ...]


def write_table(
    out: Path,
    prompts: Sequence[Prompt],
    rows: Callable[[int], Sequence[TableRow]],
    values: Sequence[str],
    metadata: dict[str, Any],
) -> int:
    """Write a table; a file already there is replaced only once the new one is complete.

    Args:
        out: the Parquet file.
        prompts: in the table's order; those without rows are left out.
        rows: returns the replies of one prompt, by its index.
        values: names of the rewards.
        metadata: plain JSON values.

    Returns:
        The number of replies written.

    Raises:
        InputError: the disc is full or the folder cannot be written.
    """
    has_weights = any((prompt.weight, prompt.held_out) != (1.0, False) for prompt in prompts)
    schema = table_schema(values, metadata, has_weights)
    count = 0
    with open_durable(out) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(prompts, rows):
            writer.write_table(_columns(group, schema, values))
            count += len(group)
    return count


def _groups(
    prompts: Sequence[Prompt], rows: Callable[[int], Sequence[TableRow]]
) -> Iterable[list[tuple[Prompt, TableRow]]]:
    group: list[tuple[Prompt, TableRow]] = []
    for index, prompt in enumerate(prompts):
        group += [(prompt, row) for row in rows(index)]
        if len(group) >= ROW_GROUP_SIZE:
            yield group
            group = []
    if group:
        yield group


def _columns(group: Sequence[tuple[Prompt, TableRow]], schema: pa.Schema, values: Sequence[str]) -> pa.Table:
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
    columns |= {name: [row.rewards[column] for row in rows] for column, name in enumerate(values)}
    assert all(math.isfinite(reward) for row in rows for reward in row.rewards)
    return pa.table(columns, schema=schema)
