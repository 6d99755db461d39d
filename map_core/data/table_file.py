"""Load a table file from any source: one of this project directly, any other with the checks of an import.

A Parquet file that this project did not write is loaded directly only if it follows the format of
:mod:`map_core.data.table_format` exactly; otherwise it is imported by :mod:`map_core.data.importing`, whose decisions
(the roles of columns, and what is left out) are sentences in :attr:`RewardTable.reading`.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.data import table_format
from map_core.data.importing import ColumnChoice, import_file
from map_core.data.importing.cells import NumberColumn
from map_core.data.importing.column_roles import ColumnRoles, assign_roles
from map_core.data.importing.lookalikes import visible
from map_core.data.importing.questions import UnansweredError
from map_core.data.importing.readers import open_source
from map_core.data.reward_table import READING, RewardTable
from map_core.data.table_columns import REPLY_COLUMNS, REQUIRED_COLUMNS, departure, index_columns, is_counter, is_number
from map_core.data.table_format import METADATA_KEY
from map_core.errors import InputError


def load(path: str | os.PathLike[str]) -> RewardTable:
    """Load a table from a Parquet file.

    Raises:
        InputError: no such file, not Parquet, or a cell that an import refuses.

    Example:
        >>> load("assets/default.parquet").values  # doctest: +SKIP
        ('helpfulness', 'kindness', ...)
    """
    path = Path(path)
    reasons = departures(path)
    if not reasons:
        return table_format.load(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "table.parquet"
        try:
            result = import_file(path, copy)
        except UnansweredError as error:
            raise InputError(f"{error} These are options of import: import the file first.") from error
        table = table_format.load(copy)
    first = f"{path.name} was not written by this app and is read as an import reads it: {'; '.join(reasons)}."
    return replace(table, metadata={**table.metadata, READING: [first, *result.notes]})


@dataclass(frozen=True)
class TableCounts:
    """The size of a table.

    Args:
        prompts, replies: their numbers.
        values: the names of the values.
    """

    prompts: int
    replies: int
    values: tuple[str, ...]


def count(path: Path) -> TableCounts:
    """Return the size of the table that :func:`load` would return, without loading its replies.

    Raises:
        InputError: it cannot be loaded.
    """
    metadata = table_format.load_metadata(path)
    if METADATA_KEY not in (pq.read_schema(path).metadata or {}) and departures(path):
        with tempfile.TemporaryDirectory() as folder:
            result = import_file(path, Path(folder) / "table.parquet")
        return TableCounts(result.prompts, result.replies, result.values)
    try:
        with pq.ParquetFile(path) as file:
            schema, replies = file.schema_arrow, file.metadata.num_rows
            missing = [name for name in REQUIRED_COLUMNS if name not in schema.names]
            if missing:
                raise InputError(
                    f"{path.name} lacks the column {', '.join(map(repr, missing))}, so it is no table. Import the file."
                )
            key = "prompt_id" if "prompt_id" in schema.names else "prompt"
            prompts = pc.count_distinct(file.read([key])[key]).as_py()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path.name} is not a Parquet file that can be read ({error}).") from error
    return TableCounts(int(prompts), replies, table_format.value_columns(schema, metadata, path)[0])


def departures(path: Path) -> list[str]:
    """Return the reasons why a file cannot be loaded directly, as the ends of sentences.

    The list is empty for a table of this project, and for files that :func:`map_core.data.table_format.load` refuses
    anyway: those that are not Parquet or lack the required columns.
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
        numbering = index_columns(schema)
        reasons = [reason for name in schema.names if (reason := _departure(schema.field(name), name in numbering))]
        texts = [name for name in ("prompt", "reply", "use_case", "prompt_id", "candidate") if name in schema.names]
        others = [name for name in schema.names if name not in REPLY_COLUMNS and not is_number(schema.field(name).type)]
        columns = file.read(columns=[*texts, *others])
    reasons += [f"{name!r} has empty cells" for name in texts if columns[name].null_count]
    reasons += [f"{name!r} holds numbers as {columns[name].type}" for name in others if _holds_numbers(columns[name])]
    roles = assign_roles(schema.names, str(path), ColumnChoice(), numbering)
    reasons += [f"{name!r} is taken for what its name says" for name in roles.texts if name not in REPLY_COLUMNS]
    if not reasons and open_source(path).layout is not None:
        reasons.append("it has nested fields")
    return reasons or _doubtful_prompts(columns, roles)


def _doubtful_prompts(columns: pa.Table, roles: ColumnRoles) -> list[str]:
    """Return the reasons why the prompts of a file that follows the format are ambiguous."""
    reasons, names = [], columns.column_names
    identity = [name for name in ("prompt_id", "prompt") if name in names]
    ids = len(pc.unique(columns[identity[0]]))
    prompts = columns.group_by(identity).aggregate([])
    if prompts.num_rows > ids:
        reasons.append("one prompt_id comes with several prompts, each of which is a prompt of its own")
    elif "use_case" in names and columns.group_by([*identity, "use_case"]).aggregate([]).num_rows > ids:
        reasons.append("one prompt comes in several use cases, and is a prompt of its own in each")
    elif "prompt_id" not in names and len({visible(text)[0] for text in prompts["prompt"].to_pylist()}) < ids:
        reasons.append("prompts look alike and are not the same")
    for part in roles.left_out_parts:
        if part in names and columns.group_by([*identity, part]).aggregate([]).num_rows > prompts.num_rows:
            reasons.append(f"rows with the same prompt differ in {part!r}")
    if "candidate" in names:
        numbered = columns.group_by([identity[0], "candidate"]).aggregate([]).num_rows
        if numbered < columns.num_rows:
            reasons.append("one candidate number comes twice for a prompt")
    return reasons


def _holds_numbers(column: pa.ChunkedArray) -> bool:
    """Return whether an import would treat a column of another type as one of rewards."""
    numbers = NumberColumn("")
    numbers.add(column.to_pylist(), range(len(column)))
    return numbers.holds_numbers


def _departure(column: pa.Field, numbering: bool) -> str:
    """Return how a column differs from the format or from a column of rewards; "" where it does not.

    Args:
        column: the column.
        numbering: whether pandas stores the index in it.
    """
    if column.name in REPLY_COLUMNS:
        return departure(column)
    if (numbering and is_number(column.type)) or is_counter(column.name):
        return (
            f"{column.name!r} numbers the rows" if column.name.strip() else "a column without a name numbers the rows"
        )
    return ""
