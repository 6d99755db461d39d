"""Load a table file that anybody has made: one of this project as it is, any other by the checks of an import.

A Parquet file that this project did not write is read as it stands only where it keeps the format of
:mod:`map_core.data.reward_table` to the letter; otherwise it goes through :mod:`map_core.data.importing`, and what that
decided (which column is what, what is left out) stands in :attr:`RewardTable.reading` as sentences.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.data import reward_table
from map_core.data.importing import ColumnChoice, import_file
from map_core.data.importing.cells import NumberColumn
from map_core.data.reward_table import METADATA_KEY, READING, RewardTable
from map_core.data.table_columns import REPLY_COLUMNS, REQUIRED_COLUMNS, departure, is_counter, is_number


def load(path: str | os.PathLike[str]) -> RewardTable:
    """Load a table from a Parquet file.

    Raises:
        InputError: no such file, no Parquet, or a cell that an import refuses.

    Example:
        >>> load("assets/default.parquet").values  # doctest: +SKIP
        ('helpfulness', 'kindness', ...)
    """
    path = Path(path)
    reasons = departures(path)
    if not reasons:
        return reward_table.load(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "table.parquet"
        choice = ColumnChoice(weight="weight") if _weighted(path) else None
        result = import_file(path, copy, choice)
        table = reward_table.load(copy)
    first = f"{path.name} was not written by this app and is read as an import reads it: {'; '.join(reasons)}."
    return replace(table, metadata={**table.metadata, READING: [first, *result.notes]})


def departures(path: Path) -> list[str]:
    """Return what keeps a file from being read as it stands, as the ends of sentences.

    None for a table of this project, and for what :func:`map_core.data.reward_table.load` refuses anyway: no Parquet,
    or one without the required columns.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        return []
    with file:
        schema = file.schema_arrow
        if METADATA_KEY in (schema.metadata or {}) or len(set(schema.names)) < len(schema.names):
            return []
        if not set(REQUIRED_COLUMNS) <= set(schema.names):
            return []
        reasons = [reason for name in schema.names if (reason := _departure(schema.field(name)))]
        texts = [name for name in ("prompt", "reply", "use_case", "prompt_id", "candidate") if name in schema.names]
        others = [name for name in schema.names if name not in REPLY_COLUMNS and not is_number(schema.field(name).type)]
        columns = file.read(columns=[*texts, *others])
    reasons += [f"{name!r} has empty cells" for name in texts if columns[name].null_count]
    reasons += [f"{name!r} holds numbers as {columns[name].type}" for name in others if _holds_numbers(columns[name])]
    if not reasons and "prompt_id" in texts:
        pairs = columns.group_by(["prompt_id", "prompt"]).aggregate([])
        if pairs.num_rows > len(pc.unique(columns["prompt_id"])):
            reasons.append("one prompt_id comes with several prompts, each of which is a prompt of its own")
    return reasons


def _weighted(path: Path) -> bool:
    schema = pq.read_schema(path)
    return "weight" in schema.names and is_number(schema.field("weight").type)


def _holds_numbers(column: pa.ChunkedArray) -> bool:
    """Return whether an import would take a column that is not of numbers for one of rewards."""
    numbers = NumberColumn("")
    numbers.add(column.to_pylist(), 0)
    return numbers.holds_numbers


def _departure(column: pa.Field) -> str:
    """Return how a column differs from what the format or a value's rewards are; "" where it does not."""
    if column.name in REPLY_COLUMNS:
        return departure(column)
    if is_counter(column.name):
        return (
            f"{column.name!r} numbers the rows" if column.name.strip() else "a column without a name numbers the rows"
        )
    return ""
