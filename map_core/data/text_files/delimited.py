r"""Read CSV: detect the delimiter and the header, and yield rows that have a cell for every column.

The delimiter is that of a first line ``sep=;``, else the one of comma, semicolon and tab that splits the header and
fits most rows below it. A header of one column has no delimiter, so commas in the lines below it are text. Spaces
around a column's name are ignored. Constraint: a row with more or fewer cells than the header is an error, never cut or
filled; blank lines and rows of empty cells are skipped.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TextIO

from map_core.data.text_files.excerpts import check_columns
from map_core.errors import InputError

#: Maximum number of characters of a cell; an unclosed quote would turn the rest of the file into one cell.
LONGEST_CELL = 2**26
DELIMITERS = (",", ";", "\t")
#: Number of rows below the header on which a delimiter is tried.
SAMPLE_ROWS = 100
#: Delimiter of a file with one column: ASCII's unit separator, which occurs in no text.
ONE_COLUMN = "\x1f"
_HINT = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The beginning of a CSV file.

    Args:
        delimiter: delimiter between cells; :data:`ONE_COLUMN` where there is one column.
        names: names of the columns, in the file's order.
        hint: whether the file begins with a line such as ``sep=;``.
        quoted: whether quotation marks enclose cells; else they are text, as in tab files written without quoting.
        row: the row that it is, counted as :func:`csv_rows` does: 1 without blank lines above it.
    """

    delimiter: str
    names: tuple[str, ...]
    hint: bool = False
    quoted: bool = True
    row: int = 1


def read_header(opened: Callable[[], AbstractContextManager[TextIO]], where: object) -> Header:
    """Detect the delimiter and read the names of the columns.

    Args:
        opened: opens the text at its beginning, with unchanged line ends.
        where: the file, as an error names it.

    Raises:
        InputError: the header cannot be read, or has a name twice.
    """
    with opened() as file:
        hint = _HINT.fullmatch(file.readline(8))
    headers: dict[str, tuple[float, int, list[str]]] = {}
    fault: csv.Error | None = None
    for delimiter in (hint[1],) if hint else DELIMITERS:
        with opened() as file:
            if hint:
                file.readline()
            try:
                headers[delimiter] = _fit(_reader(file, delimiter))
            except csv.Error as error:
                fault = fault or error
    if not any(names for *_, names in headers.values()):
        why = f" ({fault})" if fault else ""
        raise InputError(f"{where} has no header that can be read{why}; expected column names.") from fault
    delimiter = max(headers, key=lambda name: (len(headers[name][2]) > 1, headers[name][0], len(headers[name][2])))
    _, row, cells = headers[delimiter]
    names = [name.strip() for name in cells]
    if names.count("") > 1:  # empty columns at the end, as spreadsheets write them
        while names and not names[-1]:
            names.pop()
    columns = check_columns(names, where)
    quoted = delimiter != "\t" or not _marks_are_text(opened, hint is not None)
    return Header(delimiter if len(names) > 1 or hint else ONE_COLUMN, columns, hint is not None, quoted, row)


def _marks_are_text(opened: Callable[[], AbstractContextManager[TextIO]], hint: bool) -> bool:
    """Return whether a tab file was written without quoting: each line is a row, and some cell has a single mark."""
    single_mark, cells = False, 0
    with opened() as file:
        if hint:
            file.readline()
        for line in file:
            row = line.rstrip("\r\n")
            if not row.strip():
                continue
            cells = cells or row.count("\t")
            if row.count("\t") != cells:
                return False
            if '"' in row and not single_mark:
                single_mark = any(cell.count('"') == 1 and cell[:1] == '"' for cell in row.split("\t"))
    return single_mark


def _fit(reader: Any) -> tuple[float, int, list[str]]:
    """Return the share of the first rows with as many cells as the header, and the header's row and cells.

    Raises:
        csv.Error: the header cannot be read.
    """
    header, names = next(((number, row) for number, row in enumerate(reader, 1) if any(map(str.strip, row))), (1, []))
    rows, fitting = 0, 0
    try:
        for row in islice(reader, SAMPLE_ROWS):
            rows += any(row)
            fitting += any(row) and len(row) == len(names)
    except csv.Error:
        pass  # csv_rows reports it with its line
    return (fitting / rows if rows else 1.0), header, names


def csv_rows(file: TextIO, header: Header, where: object) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield the line in which each row begins, the row's number, both counted from 1, and its cells by column.

    Rows are counted as a spreadsheet counts them: the header mostly is row 1, and blank lines are rows.

    Args:
        file: the text at its beginning.
        header: the file's header.
        where: the file, as an error names it.

    Raises:
        InputError: a row has more or fewer cells than the header, or unmatched quotes; the message has its line.
    """
    skipped = 1 if header.hint else 0
    if header.hint:
        file.readline()
    reader, number, begun = _reader(file, header.delimiter, header.quoted), 0, False

    def refused(why: str) -> InputError:
        columns = f"{len(header.names)} columns" if len(header.names) > 1 else "one column"
        return InputError(
            f"{where} cannot be read as CSV ({why}). Every row needs the header's {columns}, and text with "
            "separators, quotes or line ends needs quotes."
        )

    try:
        line = 1
        for row in reader:
            begins, line = line, reader.line_num + 1
            number += 1
            if not any(map(str.strip, row)):  # a blank line, or a row of empty cells
                continue
            cells = row if any(map(str.strip, row[len(header.names) :])) else row[: len(header.names)]
            if begun and len(cells) != len(header.names):
                raise refused(
                    f"row {number}, which ends in line {reader.line_num + skipped}, has {_cells(row, header.names)}"
                )
            if begun:
                yield begins + skipped, number, dict(zip(header.names, cells, strict=True))
            begun = True
    except csv.Error as error:
        why = str(error).replace(f"'{ONE_COLUMN}'", "a line end")
        raise refused(f"row {number + 1}, line {reader.line_num + skipped}: {why}") from error


def _cells(row: Sequence[str], names: Sequence[str]) -> str:
    """Describe the number of cells of a row, and the first missing or surplus cell."""
    if len(row) < len(names):
        return f"{len(row)} cells and none for the column {names[len(row)]!r}"
    return f"{len(row)} cells; beyond the last column, {names[-1]!r}, stands {row[len(names)]!r:.60}"


def _reader(file: TextIO, delimiter: str, quoted: bool = True) -> Any:
    csv.field_size_limit(LONGEST_CELL)
    if not quoted:
        return csv.reader(file, delimiter=delimiter, strict=True, quoting=csv.QUOTE_NONE)
    return csv.reader(file, delimiter=delimiter, strict=True)
