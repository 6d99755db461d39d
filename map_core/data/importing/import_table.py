"""Reward tables from files of other people: Parquet, CSV, JSON lines, or a JSON list of objects.

A row is one reply: the prompt, the reply and a number a value, higher is better. Replies to the same prompt text
are put together; a reply that repeats its prompt loses it. Constraint: nothing is guessed without being said, and no
reward is invented: a cell that is no finite number is refused by row and column.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from map_core.data import reward_table
from map_core.data.importing.cells import NumberColumn
from map_core.data.importing.column_roles import ColumnChoice, guessed, roles, value_names
from map_core.data.importing.held_out import FlagColumn
from map_core.data.importing.readers import SourceFile, open_source
from map_core.data.importing.scan import Report, scan_file
from map_core.data.importing.writer import ImportResult, write
from map_core.data.reward_table import METADATA_KEY, UPLOADED, RewardTable
from map_core.errors import InputError

#: Rows that a preview shows.
SHOWN = 20


@dataclass(frozen=True, eq=False)
class ImportedTable:
    """A table and what was made of the file's columns.

    Args:
        table: the validated table; its metadata say where it came from.
        notes: sentences that a person should read: what was taken for what, left out, stripped or repeated.
    """

    table: RewardTable
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Preview:
    """The beginning of a file.

    Args:
        kind: "Parquet", "CSV", "JSON lines" or "JSON list".
        columns: their names; of JSON, those that its beginning has.
        rows: the first ones, cells as the file holds them.
        guess: what the names of the columns suggest; "" where none does.
        numeric: the columns that hold numbers, as far as was looked.
        ours: the file is a table of this project, which needs no choice of columns.
    """

    kind: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    guess: ColumnChoice
    numeric: tuple[str, ...]
    ours: bool


def preview(path: Path, rows: int = SHOWN) -> Preview:
    """The first rows of a file, and what its columns seem to be.

    Raises:
        InputError: the file cannot be read, or has no rows.
    """
    source = open_source(path)
    chunk = next(source.chunks(), None)
    if chunk is None or not chunk.rows:
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    columns = source.header or tuple(chunk.columns)
    numeric = []
    for name in columns:
        numbers = NumberColumn(name, source.mark == ";")
        numbers.learn(chunk.columns[name], 0)
        if numbers.holds_numbers:
            numeric.append(name)
    shown = tuple({name: chunk.columns[name][row] for name in columns} for row in range(min(rows, chunk.rows)))
    guess = guessed(columns, numeric)
    if guess.held_out:
        flags = FlagColumn(guess.held_out)
        flags.read(chunk.columns[guess.held_out], 0)
        guess = guess if flags.clear else replace(guess, held_out="")
    return Preview(source.kind, columns, shown, guess, tuple(numeric), _is_ours(source))


def import_file(
    path: Path,
    out: Path,
    choice: ColumnChoice | None = None,
    *,
    date: str = "",
    name: str = "",
    report: Report | None = None,
) -> ImportResult:
    """Write a file of scored replies as a reward table; only a small part of either is in memory at a time.

    A table of this project is taken as it is unless columns are chosen.

    Args:
        path: Parquet, CSV (commas, semicolons or tabs), JSON lines or a JSON list of objects; told by its content.
        out: the Parquet file to write.
        choice: which column is what; guessed by name by default.
        date: when this was done, for the metadata.
        name: of the file, for the metadata; that of ``path`` by default.
        report: told the stage and its share, 0 to 1.

    Raises:
        InputError: the file cannot be read, a column is missing, a cell cannot be used, or ``out`` cannot be written.

    Example:
        >>> choice = ColumnChoice(values=("humor",))
        >>> import_file(Path("scored.csv"), Path("table.parquet"), choice).values  # doctest: +SKIP
        ('humor',)
    """
    source = open_source(path)
    if choice is None and _is_ours(source):
        return _taken(path, out, name or path.name)
    columns = source.columns()
    if not columns:
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    found = scan_file(source, roles(columns, str(path), choice or ColumnChoice()), report)
    chosen = [one.name for one in found.rewards]
    names = value_names(chosen, str(path))
    role = found.roles
    left = [column for column in columns if column not in (*role.texts, *chosen)]
    source_told = {
        "file": name or path.name,
        "sha256": _sha256(path),
        "format": source.kind,
        "imported": date,
        "columns": {"prompt": role.prompt, "reply": role.reply, "use_case": role.use_case}
        | ({"weight": role.weight} if role.weight else {})
        | ({"held_out": role.held_out} if role.held_out else {})
        | {"values": {called: column for column, called in names.items()}},
        "left_out": left,
    }
    done = write(source, found, names, out, {"source": source_told}, report)
    cases = f", {role.use_case!r} the use cases" if role.use_case else ""
    cases += f", {role.weight!r} how often prompts occur" if role.weight else ""
    cases += f", {role.held_out!r} which of them are held out" if role.held_out else ""
    first = [
        f"{role.prompt!r} holds the prompts, {role.reply!r} the replies{cases}; values: {', '.join(done.values)}.",
        f"Left out: {', '.join(left)}." if left else "Nothing is left out.",
    ]
    renamed = [
        f"The column {column!r} bears a name of the table's own, so the value is called {called!r}."
        for column, called in names.items()
        if column != called
    ]
    return replace(done, notes=(*first, *found.notes, *renamed, *done.notes))


def import_table(
    path: Path,
    *,
    values: Sequence[str] | None = None,
    prompt_column: str | None = None,
    reply_column: str | None = None,
    use_case_column: str | None = None,
    weight_column: str | None = None,
    held_out_column: str | None = None,
    date: str = "",
) -> ImportedTable:
    """Read a file of scored replies as a reward table in memory; :func:`import_file` has the rest.

    Example:
        >>> import_table(Path("scored.csv"), values=["humor", "tact"]).table.values  # doctest: +SKIP
        ('humor', 'tact')
    """
    chosen = None if values is None else tuple(values)
    choice = ColumnChoice(chosen, prompt_column, reply_column, use_case_column, weight_column, held_out_column)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "table.parquet"
        done = import_file(path, out, choice, date=date)
        return ImportedTable(reward_table.load(out), done.notes)


def _is_ours(source: SourceFile) -> bool:
    """Whether the file is a table that this project has written."""
    return source.kind == "Parquet" and METADATA_KEY in (pq.read_schema(source.path).metadata or {})


def _taken(path: Path, out: Path, name: str) -> ImportResult:
    """A table of this project, checked and written again as it is; it says that it was handed in."""
    table = reward_table.load(path)
    table = replace(table, metadata={**table.metadata, UPLOADED: name})
    reward_table.save(table, out)
    notes = ("The file is a table of this app and is taken as it is.", *table.notes)
    return ImportResult(len(table.prompts), len(table.rewards), table.values, table.form, notes)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
