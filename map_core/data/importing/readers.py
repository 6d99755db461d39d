"""Read a file of any supported kind in chunks of rows; its kind is detected by content, errors say where it fails.

One chunk at a time is in memory. Constraint: cells are not interpreted here; a cell of CSV is a text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.data.text_files.delimited import Header, csv_rows, read_header
from map_core.data.text_files.encoding import check_text, encoding_of, open_text
from map_core.data.text_files.excerpts import first_twice
from map_core.data.text_files.json_stream import json_lines, json_list
from map_core.errors import InputError

#: Most rows and characters of a chunk.
ROWS, CHARACTERS = 4096, 2**23
#: Bytes that are read to detect the kind of a file.
BLOCK = 2**20
DELIMITED = (".csv", ".tsv")


@dataclass(frozen=True, eq=False)
class RowChunk:
    """Consecutive rows.

    Args:
        first: number of the first row, counted from 0.
        rows: how many rows.
        columns: the cells of each column; numbers without gaps may be an array.
        share: share of the file that is read up to here, 0 to 1.
    """

    first: int
    rows: int
    columns: Mapping[str, Sequence[Any] | np.ndarray]
    share: float


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A file with a row a reply.

    Args:
        path: of the file.
        kind: "Parquet", "CSV", "JSON lines" or "JSON list".
        encoding: of its text; "" for Parquet.
        header: the columns named at its beginning; () for JSON, where each row names its own.
        csv: its header, with the delimiter; None for other kinds.
    """

    path: Path
    kind: str
    encoding: str = ""
    header: tuple[str, ...] = ()
    csv: Header | None = None

    @property
    def delimiter(self) -> str:
        """The delimiter between cells of CSV; "" for other kinds."""
        return self.csv.delimiter if self.csv else ""

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns; JSON is read to its end for them.

        Raises:
            InputError: the file cannot be read to its end.
        """
        if self.header:
            return self.header
        return tuple(dict.fromkeys(name for chunk in self.chunks() for name in chunk.columns))

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[RowChunk]:
        """Yield the rows in chunks.

        Args:
            columns: the columns to read; all by default.

        Raises:
            InputError: the file cannot be read; the message says where.
        """
        if self.kind == "Parquet":
            yield from _parquet(self.path, None if columns is None else list(columns))
            return
        with open_text(self.path, self.encoding) as file:
            rows: Iterator[tuple[int, Mapping[str, Any]]]
            if self.csv is not None:
                rows = csv_rows(file, self.csv, self.path)
            else:
                rows = json_list(file, self.path) if self.kind == "JSON list" else json_lines(file, self.path)
            yield from _chunks(rows, self.path, file, columns)


def open_source(path: Path) -> SourceFile:
    """Detect the kind of a file.

    Raises:
        InputError: there is no such file, it cannot be read, is empty, or its header cannot be read.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}. Give a Parquet, CSV or JSON file with a row a reply.")
    try:
        with path.open("rb") as file:
            head = file.read(BLOCK)
            while head and not head.strip() and (more := file.read(BLOCK)):
                head = more
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    if not head.strip():
        raise InputError(f"{path} is empty. Give a Parquet, CSV or JSON file with a row a reply.")
    if head[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
        with _open_parquet(path) as opened:
            return SourceFile(path, "Parquet", header=_unique(opened.schema_arrow.names, path))
    encoding = encoding_of(head)
    beginning = check_text(head, encoding, path)
    delimited = path.suffix.lower() in DELIMITED
    if beginning[:1] == "[" and not delimited:
        return SourceFile(path, "JSON list", encoding)
    if beginning[:1] == "{" and not delimited:
        return SourceFile(path, "JSON lines", encoding)
    header = read_header(lambda: open_text(path, encoding), path)
    return SourceFile(path, "CSV", encoding, header.names, header)


def _chunks(
    rows: Iterator[tuple[int, Mapping[str, Any]]], path: Path, file: TextIO, columns: Collection[str] | None
) -> Iterator[RowChunk]:
    """Group rows into chunks of columns."""
    size, first = max(1, path.stat().st_size), 0
    pending: list[Mapping[str, Any]] = []
    characters = 0

    def chunk() -> RowChunk:
        names = dict.fromkeys(name for row in pending for name in row) if columns is None else columns
        share = min(1.0, file.buffer.tell() / size)
        return RowChunk(first, len(pending), {name: [row.get(name) for row in pending] for name in names}, share)

    for _, row in rows:
        pending.append(row)
        characters += sum(len(cell) for cell in row.values() if isinstance(cell, str))
        if len(pending) == ROWS or characters > CHARACTERS:
            yield chunk()
            first, pending, characters = first + len(pending), [], 0
    if pending:
        yield chunk()


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read ({error}).") from error


def _parquet(path: Path, columns: list[str] | None) -> Iterator[RowChunk]:
    first = 0
    with _open_parquet(path) as file:
        total = max(1, file.metadata.num_rows)
        try:
            for batch in file.iter_batches(ROWS, columns=columns):
                columns_read = {name: _cells(batch.column(name)) for name in batch.schema.names}
                yield RowChunk(first, batch.num_rows, columns_read, (first + batch.num_rows) / total)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged after row {first} ({error}).") from error


def _cells(column: pa.Array) -> Sequence[Any] | np.ndarray:
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    return column.to_numpy(zero_copy_only=False) if numeric and not column.null_count else column.to_pylist()


def _unique(names: Sequence[str], path: Path) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise InputError(f"{path} has the column {first_twice(names)!r} twice. Rename one of them.")
    return tuple(names)
