"""Rows of a file, whatever kind it is: told by its content, with a message that says where it cannot be read.

Constraint: nothing is interpreted here; a cell is what the file holds, in CSV a text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from map_core.errors import InputError
from map_core.importing.cells import first_twice, is_number, short


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        InputError: there is no such file, it cannot be read, or it is empty.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}. Give a Parquet, CSV or JSON file with a row a reply.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    if not content.strip():
        raise InputError(f"{path} is empty. Give a Parquet, CSV or JSON file with a row a reply.")
    return content


def read_rows(content: bytes, path: Path) -> tuple[str, pd.DataFrame]:
    """What kind of file it is, and its rows.

    Raises:
        InputError: it is neither Parquet, CSV nor JSON, or not wholly so; the message says where.
    """
    if content[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
        try:
            return "Parquet", pq.read_table(pa.BufferReader(content)).to_pandas(ignore_metadata=True)
        except pa.ArrowException as error:
            raise InputError(f"{path} is not a Parquet file that can be read ({error}).") from error
    text = _decoded(content, path)
    delimited = path.suffix.lower() in (".csv", ".tsv")
    if text.lstrip()[:1] == "[" and not delimited:
        return "JSON list", _frame(_json_list(text, path))
    if text.lstrip()[:1] == "{" and not delimited:
        return "JSON lines", _frame(list(_json_lines(text, path)))
    return "CSV", _delimited(text, path)


def _decoded(content: bytes, path: Path) -> str:
    """Text in UTF-8, or in UTF-16 where a byte order mark says so; without that mark."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not text in UTF-8 (byte 0x{content[error.start]:02x} at position {error.start}). "
            "Save it again as UTF-8."
        ) from error
    if not text.strip():
        raise InputError(f"{path} is empty. Give a Parquet, CSV or JSON file with a row a reply.")
    if "\x00" in text:
        raise InputError(f"{path} is neither Parquet nor text. Give a Parquet, CSV or JSON file with a row a reply.")
    return text


def _json_list(text: str, path: Path) -> list[Mapping[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); expected a list of objects, one a reply.") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"Entry {number} of {path} is {short(row)}; expected an object, one a reply.")
    return list(rows)


def _json_lines(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"Line {number} of {path} is no JSON ({error}); expected one object a line, or a list of objects."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"Line {number} of {path} is {short(row)}; expected an object, one a reply.")
        yield row


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    # As objects: what JSON calls a number, a text or true stays that until its column is known to be one of rewards.
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})


def _delimited(text: str, path: Path) -> pd.DataFrame:
    """Rows of a file with commas, semicolons or tabs, whichever splits the header most; every cell as text."""
    first = text.lstrip("\r\n")
    try:
        headers = {mark: next(csv.reader(io.StringIO(first, newline=""), delimiter=mark)) for mark in (",", ";", "\t")}
    except csv.Error as error:
        raise InputError(f"{path} has no header that can be read ({error}); expected column names.") from error
    mark = max(headers, key=lambda mark: len(headers[mark]))
    names = [name.strip() for name in headers[mark]]
    if len(set(names)) < len(names):
        raise InputError(f"{path} has the column {first_twice(names)!r} twice. Rename one of them.")
    data = first.encode()
    try:
        read = pa_csv.read_csv(
            pa.BufferReader(data),
            # One block: a row may be as long as it likes.
            pa_csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=min(len(data) + 1, 2**31 - 1)),
            pa_csv.ParseOptions(delimiter=mark, newlines_in_values=True),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{path} cannot be read as CSV ({str(error)[:200]}). Every row needs the header's {len(names)} "
            "columns, and text with separators or line ends needs quotes."
        ) from error
    frame = pd.DataFrame({name: read[name].to_pylist() for name in names}, dtype=object)
    return _with_points(frame) if mark == ";" else frame


def _with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Decimal commas, which go with semicolons, as points: in columns that then hold nothing but numbers."""
    for name in frame.columns:
        cells = [cell.replace(",", ".") for cell in frame[name]]
        if not any("." in cell for cell in frame[name]) and all(is_number(cell) for cell in cells):
            frame[name] = pd.Series(cells, dtype=object)
    return frame
