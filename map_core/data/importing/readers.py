"""Read a file of any supported kind in chunks of rows; its kind is detected by content.

One chunk at a time is in memory, and errors say where reading failed. Constraint: cells are not interpreted here; a
cell of CSV is a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.data.importing.layouts import Layout, find_layout
from map_core.data.importing.layouts.advice import document_refusal
from map_core.data.importing.layouts.recognise import SAMPLE_ROWS
from map_core.data.table_columns import departure, index_columns
from map_core.data.text_files.delimited import Header, csv_rows, read_header
from map_core.data.text_files.encoding import check_text, encoding_of, open_text
from map_core.data.text_files.excerpts import check_columns
from map_core.data.text_files.json_stream import json_lines, json_list, load_json
from map_core.data.workbook import Sheet, find_sheet, is_workbook
from map_core.errors import InputError

#: Maximum number of rows and of characters of a chunk.
ROWS, CHARACTERS = 4096, 2**23
#: Number of bytes by which the kind of a file is detected.
BLOCK = 2**20
DELIMITED = (".csv", ".tsv")
#: Largest file of one JSON object that is searched for rows, in bytes.
LARGEST_DOCUMENT = 2**26
#: Columns of the table's format that are valid only for unchanged replies.
WHOLE = ("tokens", "log_prob")


@dataclass(frozen=True, eq=False)
class RowChunk:
    """Consecutive rows.

    Args:
        first: index of the first row.
        rows: number of rows.
        columns: the cells of each column; numbers without gaps may be an array.
        share: share of the file that has been read after this chunk, 0 to 1.
        read: number of rows of the file from which they come.
        empty: number of those that hold no reply.
        own_positions: each row's position in the file as an editor counts, from 0 (in CSV the header is row 0 and blank
            lines are rows, in JSON lines each line is a row); () where rows are consecutive.
    """

    first: int
    rows: int
    columns: Mapping[str, Sequence[Any] | np.ndarray]
    share: float
    read: int
    empty: int = 0
    own_positions: Sequence[int] = ()

    @property
    def positions(self) -> Sequence[int]:
        """(row,) position of each row in the file, counted from 0."""
        return self.own_positions or range(self.first, self.first + self.rows)


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A file with one row per reply.

    Args:
        path: the file.
        kind: "Parquet", "Excel", "CSV", "JSON lines" or "JSON list".
        encoding: encoding of its text; "" for Parquet and Excel.
        header: the columns named at its beginning; () for JSON, where each row names its own.
        csv: its header, with the delimiter; None for other kinds.
        sheet: the sheet of a workbook; None for other kinds.
        layout: how its rows become rows of one reply each; None where they already are.
        index_columns: columns in which pandas keeps the index of its rows.
        whole_replies: columns of token ids and log-probabilities that have the types of the table's format.
        most_columns: the number of columns above which reading stops with an error.
    """

    path: Path
    kind: str
    encoding: str = ""
    header: tuple[str, ...] = ()
    csv: Header | None = None
    sheet: Sheet | None = None
    layout: Layout | None = None
    index_columns: tuple[str, ...] = ()
    whole_replies: tuple[str, ...] = ()
    most_columns: float = float("inf")

    @property
    def where(self) -> str:
        """The file, as an error names it before the number of a row."""
        if self.layout is not None:
            return f"{self.path}, with one row per reply"
        header = self.csv or self.sheet
        return f"{self.path} (row {header.row} is the header)" if header else str(self.path)

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
            InputError: the file cannot be read, or has too many columns; the message says where.
        """
        _check_number("The file has", len(self.header), self.most_columns)
        if self.kind == "Parquet" and self.layout is None:
            yield from _parquet(self.path, None if columns is None else list(columns))
            return
        with ExitStack() as opened:
            rows: Iterator[tuple[int, Mapping[str, Any]]]
            if self.kind == "Parquet":
                parquet_rows = ParquetRows(self.path)
                rows, share = parquet_rows.rows(), parquet_rows.share
            elif self.sheet is not None:
                sheet_rows = SheetRows(self.sheet)
                rows, share = sheet_rows.rows(), sheet_rows.share
            else:
                file = opened.enter_context(open_text(self.path, self.encoding))
                share = _share_of(file, self.path)
                if self.csv is not None:
                    rows = ((number, row) for _, number, row in csv_rows(file, self.csv, self.path))
                else:
                    rows = json_list(file, self.path) if self.kind == "JSON list" else json_lines(file, self.path)
                    if self.most_columns < float("inf"):
                        rows = _narrow(rows, self.most_columns)
            if self.layout is None:
                yield from _chunks(((number - 1, (row,)) for number, row in rows), share, columns)
            else:
                flattened = ((None, replies) for replies in self._flattened(rows, self.layout))
                yield from _chunks(flattened, share, columns)

    def _flattened(
        self, rows: Iterable[tuple[int, Mapping[str, Any]]], layout: Layout
    ) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Yield the replies of each row of the file."""
        for number, (_, row) in enumerate(rows, start=1):
            try:
                yield layout.flatten(row)
            except ValueError as error:
                raise InputError(
                    f"{self.path}: row {number} is not like the first ones: {error}. Mend or remove it."
                ) from error


def open_source(path: Path, layouts: bool = True, most_columns: float = float("inf")) -> SourceFile:
    """Detect the kind and the layout of a file.

    Args:
        path: the file.
        layouts: whether to detect a layout; else rows are read unchanged.
        most_columns: the number of columns above which it is refused; found out before its rows are held.

    Raises:
        InputError: there is no such file, it cannot be read, is empty, its header cannot be read, it has too many
            columns, or its layout is not supported.
    """
    source = replace(_detect(path), most_columns=most_columns)
    if not layouts:
        return source
    chunk = next(source.chunks(), None)
    if chunk is None:
        return source
    names, cells = list(chunk.columns), [_listed(column[:SAMPLE_ROWS]) for column in chunk.columns.values()]
    layout = find_layout([dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)], path)
    return source if layout is None else replace(source, layout=layout, header=(), whole_replies=())


def _listed(cells: Sequence[Any] | np.ndarray) -> Sequence[Any]:
    return cells.tolist() if isinstance(cells, np.ndarray) else cells


def _detect(path: Path) -> SourceFile:
    """Detect the kind of a file."""
    if not path.is_file():
        raise InputError(f"There is no file {path}. Give a Parquet, Excel, CSV or JSON file with one row per reply.")
    try:
        with path.open("rb") as file:
            head = file.read(BLOCK)
            while head and not head.strip() and (more := file.read(BLOCK)):
                head = more
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    if not head.strip():
        raise InputError(f"{path} is empty. Give a Parquet, Excel, CSV or JSON file with one row per reply.")
    if head[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
        with _open_parquet(path) as opened:
            schema = opened.schema_arrow
        whole = tuple(name for name in WHOLE if name in schema.names and not departure(schema.field(name)))
        header = check_columns(schema.names, path)
        return SourceFile(path, "Parquet", header=header, index_columns=index_columns(schema), whole_replies=whole)
    if is_workbook(path):
        sheet = find_sheet(path)
        return SourceFile(path, "Excel", header=sheet.names, sheet=sheet)
    encoding = encoding_of(head)
    beginning = check_text(head, encoding, path)
    delimited = path.suffix.lower() in DELIMITED
    if beginning[:1] == "[" and not delimited:
        return SourceFile(path, "JSON list", encoding)
    if beginning[:1] == "{" and not delimited:
        _refuse_document(path, encoding)
        return SourceFile(path, "JSON lines", encoding)
    csv = read_header(lambda: open_text(path, encoding), path)
    return SourceFile(path, "CSV", encoding, csv.names, csv)


def _refuse_document(path: Path, encoding: str) -> None:
    """Refuse a file that is a single JSON object with rows inside.

    Raises:
        InputError: it is one; the message says how to extract its rows.
    """
    if path.stat().st_size > LARGEST_DOCUMENT:
        return
    with open_text(path, encoding) as file:
        first = file.readline()
        try:
            json.loads(first)
            return
        except (ValueError, RecursionError):
            text = first + file.read()
    try:
        document = load_json(text)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict) and (error := document_refusal(document, path)):
        raise error


def _narrow(rows: Iterable[tuple[int, Mapping[str, Any]]], most: float) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield rows as long as they name no more than so many columns in all."""
    names: set[str] = set()
    for number, row in rows:
        names.update(row)
        _check_number(f"The rows up to row {number} name", len(names), most)
        yield number, row


def _check_number(beginning: str, columns: int, most: float) -> None:
    if columns > most:
        raise InputError(f"{beginning} {columns:,} columns; expected at most {most:,}. Leave some out.")


def _share_of(file: TextIO, path: Path) -> Callable[[], float]:
    size = max(1, path.stat().st_size)
    return lambda: min(1.0, file.buffer.tell() / size)


def _chunks(
    rows: Iterable[tuple[int | None, Sequence[Mapping[str, Any]]]],
    share: Callable[[], float],
    columns: Collection[str] | None,
) -> Iterator[RowChunk]:
    """Group rows into chunks of columns.

    Args:
        rows: pairs of a row's position in the file, if known, and the replies that it gives.
        share: returns the share of the file that has been read.
        columns: the columns to keep; all by default.
    """
    first = read = empty = characters = 0
    pending: list[Mapping[str, Any]] = []
    positions: list[int] = []

    def chunk() -> RowChunk:
        names = dict.fromkeys(name for row in pending for name in row) if columns is None else columns
        cells = {name: [row.get(name) for row in pending] for name in names}
        return RowChunk(first, len(pending), cells, share(), read, empty, positions)

    for position, replies in rows:
        pending += replies
        positions += [] if position is None else [position] * len(replies)
        read += 1
        empty += not replies
        characters += sum(len(cell) for row in replies for cell in row.values() if isinstance(cell, str))
        if len(pending) >= ROWS or characters > CHARACTERS:
            yield chunk()
            first, pending, positions, characters, read, empty = first + len(pending), [], [], 0, 0, 0
    if pending or empty:
        yield chunk()


class ParquetRows:
    """The rows of a Parquet file, one at a time, and the share that has been read."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._total = path, 0, 1

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the number of each row, counted from 1, and the row.

        Raises:
            InputError: the file is damaged.
        """
        with _open_parquet(self._path) as file:
            self._total = max(1, file.metadata.num_rows)
            try:
                for batch in file.iter_batches(ROWS):
                    for row in batch.to_pylist():
                        self._read += 1
                        yield self._read, row
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{self._path} is damaged after row {self._read} ({error}).") from error

    def share(self) -> float:
        """Return the share of the file that has been read, 0 to 1."""
        return self._read / self._total


class SheetRows:
    """The rows of a sheet, one at a time, and the share that has been read, by the sheet's own account of its size."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet, self._row = sheet, 0

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the number of each row, counted from 1, and the row; see :meth:`map_core.data.workbook.Sheet.rows`."""
        for number, row in self._sheet.rows():
            self._row = number
            yield number, row

    def share(self) -> float:
        """Return the share of the sheet that has been read, 0 to 1."""
        return min(1.0, self._row / max(1, self._sheet.last))


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
                rows = batch.num_rows
                yield RowChunk(first, rows, columns_read, (first + rows) / total, rows)
                first += rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged after row {first} ({error}).") from error


def _cells(column: pa.Array) -> Sequence[Any] | np.ndarray:
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    return column.to_numpy(zero_copy_only=False) if numeric and not column.null_count else column.to_pylist()
