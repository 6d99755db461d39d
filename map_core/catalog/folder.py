"""Where the app keeps tables, what they are called, and what a list of them says.

One folder, a Parquet file a table: NAME.parquet. A name comes from people and from addresses, so it is letters,
digits, spaces, - and _ only; it can never lead out of the folder. Constraint: a table of this project is described from
its file's footer and one column; that of another program is counted once as loading it would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.kept_folder import SETTING, kept_folder
from map_core.data import table_file
from map_core.data.table_format import load_metadata
from map_core.errors import InputError

#: The longest name.
MAX_TABLE_NAME = 60
#: Bytes of memory that a table takes in the app for each byte of its columns: its texts one by one, and its numbers.
#: Measured on 670,000 replies of 350 letters.
MEMORY_FACTOR = 4
_NAME = re.compile(rf"\w[\w \-]{{0,{MAX_TABLE_NAME - 1}}}")


@dataclass(frozen=True)
class TableEntry:
    """What a list says of a table.

    Args:
        name: as people read it.
        path: its file.
        prompts, replies: how many; 0 where the file cannot be read.
        values: their names.
        model: the base model, or "" where the table does not say.
        source: the file that it was imported from, or "".
        bytes: of the file.
        changed: when the file was written, in UTC.
        fault: why it cannot be looked at, in words; "" where it can.
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


def folder() -> Path:
    """Return the folder in force, which is made on first use.

    It is ``VALUE_PALETTE_TABLES``, or ``tables`` in this person's data folder.

    Raises:
        InputError: it cannot be made.
    """
    path = kept_folder()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {path} for tables cannot be made ({error}). Set {SETTING}.") from error
    return path


def clean_name(name: str) -> str:
    """Return a name as it is kept: without spaces at its ends, several spaces as one.

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
    """Return the file of a table, whether it is there or not.

    Raises:
        InputError: see :func:`clean_name`.
    """
    return folder() / f"{clean_name(name)}.parquet"


def list_tables() -> tuple[TableEntry, ...]:
    """Return all tables of the folder, the newest first."""
    entries = [describe(path) for path in folder().glob("*.parquet") if _NAME.fullmatch(path.stem)]
    return tuple(sorted(entries, key=lambda entry: entry.changed, reverse=True))


def describe(path: Path) -> TableEntry:
    """Return what a list says of one file; a file that cannot be read says so in words."""
    try:
        status = path.stat()
    except OSError as error:
        return TableEntry(
            path.stem, path, 0, 0, (), "", "", 0, datetime.fromtimestamp(0, UTC), f"It is gone ({error})."
        )
    return _described(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


@lru_cache(maxsize=256)
def _described(path: Path, size: int, changed: datetime) -> TableEntry:
    """Return what a list says of a file that is there, read once as long as it stays as it is."""
    try:
        metadata = load_metadata(path)
        counts = table_file.count(path)
    except InputError as error:
        return TableEntry(path.stem, path, 0, 0, (), "", "", size, changed, _without_path(error, path))
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
    )


def check_memory(path: Path, free: int | None = None) -> None:
    """Refuse a table that is too large for a page, before the machine's memory runs out.

    Args:
        path: its file; one that cannot be read is left to whoever loads it.
        free: bytes that may be taken; what the machine has free by default.

    Raises:
        InputError: it needs more than is free.
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
    """Delete a table from the disk; whoever looks at it keeps it until they look anew.

    Raises:
        InputError: there is no such table, or its file cannot be removed.
    """
    path = path_of(name)
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise InputError(f"There is no table {name!r} any more. Look at the list again.") from error
    except OSError as error:
        raise InputError(f"The table {name!r} cannot be removed ({error}).") from error


def _without_path(error: InputError, path: Path) -> str:
    """Return an error's text without the folder, as nobody needs to know where a server keeps its files."""
    return str(error).replace(str(path), path.name)


def _text(metadata: dict[str, Any], part: str, name: str) -> str:
    text = metadata.get(part)
    return str(text.get(name) or "") if isinstance(text, dict) else str(text or "")
