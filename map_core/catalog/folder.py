"""The folder in which the app keeps tables: their names, descriptions and deletion.

Each table is a Parquet file in one folder: NAME.parquet. Names come from people and from URLs, so they consist only of
letters, digits, spaces, - and _ and cannot lead out of the folder. Constraint: a table of this project is described
from its file's footer and one column; a table of another program is read once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.kept_folder import SETTING, kept_folder
from map_core.core.sidecars import delete_sidecars
from map_core.data import table_file
from map_core.data.table_format import load_metadata
from map_core.errors import InputError

#: Maximum number of characters of a name.
MAX_TABLE_NAME = 60
#: Bytes of memory that a table takes in the app for each byte of its columns, as each text is an object of its own.
#: Measured on 670,000 replies of 350 letters.
MEMORY_FACTOR = 4
_NAME = re.compile(rf"\w[\w \-]{{0,{MAX_TABLE_NAME - 1}}}")


@dataclass(frozen=True)
class TableEntry:
    """The description of a table in a list.

    Args:
        name: its name.
        path: its file.
        prompts, replies: their numbers; 0 if the file cannot be read.
        values: names of the values.
        model: the base model, or "" if the table does not record it.
        source: the file that it was imported from, or "".
        bytes: size of the file.
        changed: time at which the file was written, in UTC.
        fault: the reason why it cannot be read; "" if it can.
        metadata: of the file.
    """

    name: str
    path: Path
    prompts: int
    replies: int
    values: tuple[str, ...]
    model: str
    source: str
    bytes: int
    changed: datetime
    fault: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def folder() -> Path:
    """Return the folder of tables, created on first use.

    It is ``VALUE_PALETTE_TABLES``, or ``tables`` in the user's data folder.

    Raises:
        InputError: it cannot be created.
    """
    path = kept_folder()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {path} for tables cannot be made ({error}). Set {SETTING}.") from error
    return path


def clean_name(name: str) -> str:
    """Return a name in its stored form: without spaces at its ends, and with single spaces.

    Raises:
        InputError: it is empty, too long, or has other characters than letters, digits, spaces, - and _.
    """
    plain = " ".join(name.split())
    if not _NAME.fullmatch(plain):
        raise InputError(
            f"The name is {plain[:80]!r}; expected 1 to {MAX_TABLE_NAME} letters, digits, spaces, - or _, with a "
            "letter or a digit first."
        )
    return plain


def path_of(name: str) -> Path:
    """Return the path of a table's file, which need not exist.

    Raises:
        InputError: see :func:`clean_name`.
    """
    return folder() / f"{clean_name(name)}.parquet"


def list_tables() -> tuple[TableEntry, ...]:
    """Return all tables of the folder, the newest first."""
    entries = [describe(path) for path in folder().glob("*.parquet") if _NAME.fullmatch(path.stem)]
    return tuple(sorted(entries, key=lambda entry: entry.changed, reverse=True))


def describe(path: Path) -> TableEntry:
    """Describe one file; a file that cannot be read is described with its fault."""
    try:
        status = path.stat()
    except OSError as error:
        return _faulty(path, 0, datetime.fromtimestamp(0, UTC), f"It is gone ({error}).")
    size, changed = status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)
    try:
        return _described(path, size, changed)
    except InputError as error:
        return _faulty(path, size, changed, str(error))


@lru_cache(maxsize=256)
def _described(path: Path, size: int, changed: datetime) -> TableEntry:
    """Describe an existing file, with its fault if it has one; the cache is keyed by its size and time of change.

    Raises:
        InputError: the system could not read it. That is not cached: it may be a fault of the moment, such as too many
            open files or too little memory.
    """
    try:
        metadata = load_metadata(path)
        counts = table_file.count(path)
    except InputError as error:
        if isinstance(error.__cause__, OSError | MemoryError):
            raise
        return _faulty(path, size, changed, str(error))
    return TableEntry(
        path.stem,
        path,
        counts.prompts,
        counts.replies,
        counts.values,
        _text(metadata, "model", "name"),
        _text(metadata, "source", "file"),
        size,
        changed,
        metadata=metadata,
    )


def check_memory(path: Path, free: int | None = None) -> None:
    """Refuse a table that is too large for the free memory.

    Args:
        path: its file; nothing is checked if it cannot be read.
        free: available memory in bytes; the machine's free memory by default.

    Raises:
        InputError: the table needs more memory than is free.
    """
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            needed = MEMORY_FACTOR * sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    except (pa.ArrowException, OSError):
        return
    free = psutil.virtual_memory().available if free is None else free
    if needed > free:
        raise InputError(
            f"The table {path.stem!r} needs about {needed / 1e9:.1f} GB of memory here, and {free / 1e9:.1f} GB are "
            "free. Take some of its prompts, or run the app on a larger machine."
        )


def delete(name: str) -> None:
    """Delete a table and its sidecar files from the disk; pages that have loaded it keep it until they are reloaded.

    Raises:
        InputError: there is no such table, or its files cannot be removed.
    """
    path = path_of(name)
    try:
        path.unlink()
        delete_sidecars(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no table {name!r} any more. Look at the list again.") from error
    except OSError as error:
        raise InputError(f"The table {name!r} cannot be removed ({error}).") from error


def _faulty(path: Path, size: int, changed: datetime, fault: str) -> TableEntry:
    """Describe a file that cannot be read, without its folder: the server's paths must not be shown to visitors."""
    return TableEntry(path.stem, path, 0, 0, (), "", "", size, changed, fault.replace(str(path), path.name))


def _text(metadata: dict[str, Any], part: str, name: str) -> str:
    text = metadata.get(part)
    return str(text.get(name) or "") if isinstance(text, dict) else str(text or "")
