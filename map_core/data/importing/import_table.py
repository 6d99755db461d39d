"""Import files of scored replies as reward tables: Parquet, CSV, JSON lines, or a JSON list of objects.

A row is one reply: the prompt, the reply and one number per value, higher is better. Replies to the same prompt text
are grouped; a prompt repeated at the beginning of its reply is removed. Constraint: every guess is reported, and no
reward is invented: a cell that is not a finite number is an error with its row and column.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from map_core.data import table_format
from map_core.data.importing.cells import NumberColumn, column_list
from map_core.data.importing.column_roles import ColumnChoice, assign_roles, guess_roles, value_names
from map_core.data.importing.held_out import FlagColumn
from map_core.data.importing.layouts.layout import PROMPT, REPLY
from map_core.data.importing.readers import SourceFile, open_source
from map_core.data.importing.scan import FileScan, Report, scan_file
from map_core.data.importing.writer import ImportResult, write
from map_core.data.reward_table import UPLOADED, RewardTable
from map_core.data.table_format import METADATA_KEY
from map_core.errors import InputError

#: Rows of a preview.
PREVIEW_ROWS = 20


@dataclass(frozen=True, eq=False)
class ImportedTable:
    """An imported table and notes about the import.

    Args:
        table: the validated table; its metadata record the provenance.
        notes: sentences for the user: the roles of the columns, and what was left out, stripped or repeated.
    """

    table: RewardTable
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Preview:
    """The beginning of a file.

    Args:
        kind: "Parquet", "Excel", "CSV", "JSON lines" or "JSON list".
        columns: their names; for JSON, those of the first rows.
        rows: the first rows, with the cells as in the file.
        guess: roles guessed from names; "" where none fits.
        numeric: columns that hold numbers in the first rows.
        ours: whether the file is a table of this project, which needs no choice of columns.
        mapping: a sentence about how nested fields became these columns; "" where the file has one row per reply.
    """

    kind: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    guess: ColumnChoice
    numeric: tuple[str, ...]
    ours: bool
    mapping: str = ""


def preview(path: Path, rows: int = PREVIEW_ROWS, most_columns: float = float("inf")) -> Preview:
    """Read the first rows of a file and guess the roles of its columns.

    Args:
        path: the file.
        rows: the number of rows to return.
        most_columns: the number of columns above which the file is refused.

    Raises:
        InputError: the file cannot be read, has too many columns, or has no rows.
    """
    source = open_source(path, most_columns=most_columns)
    chunk = next(source.chunks(), None)
    if chunk is None or not chunk.rows:
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    columns = source.header or tuple(chunk.columns)
    mapping = source.layout.described if source.layout else ""
    numeric = []
    for name in columns:
        numbers = NumberColumn(name, source.delimiter)
        numbers.add(chunk.columns[name], chunk.positions)
        if numbers.holds_numbers:
            numeric.append(name)
    first_rows = tuple({name: chunk.columns[name][row] for name in columns} for row in range(min(rows, chunk.rows)))
    guess = guess_roles(columns, numeric, source.index_columns)
    if guess.held_out:
        flags = FlagColumn(guess.held_out)
        held_out = flags.read(chunk.columns[guess.held_out], chunk.positions)
        guess = guess if flags.valid and not all(held_out) else replace(guess, held_out="")
    return Preview(source.kind, columns, first_rows, guess, tuple(numeric), _is_ours(source), mapping)


def import_file(
    path: Path,
    out: Path,
    choice: ColumnChoice | None = None,
    *,
    date: str = "",
    name: str = "",
    report: Report | None = None,
    on_layout: Callable[[str], None] | None = None,
) -> ImportResult:
    """Convert a file of scored replies into a reward table, streamed in chunks.

    A table of this project is copied unchanged unless columns are chosen. A file whose rows are not one reply each is
    read by its layout, unless the choice names prompts and replies among the file's own columns.

    Args:
        path: Parquet, CSV (commas, semicolons or tabs), JSON lines or a JSON list of objects; detected by content.
        out: the Parquet file to write.
        choice: the roles of columns; guessed by name by default.
        date: date of the import, for the metadata.
        name: name of the file, for the metadata; that of ``path`` by default.
        report: called with the stage and its share, 0 to 1.
        on_layout: called with a sentence about how nested fields become columns, before the file is read.

    Raises:
        InputError: the file cannot be read, a column is missing, a cell is unusable, or ``out`` cannot be written.
        UnansweredError: the file is ambiguous in a way that changes a count or a value.

    Example:
        >>> choice = ColumnChoice(values=("humor",))
        >>> import_file(Path("scored.csv"), Path("table.parquet"), choice).values  # doctest: +SKIP
        ('humor',)
    """
    choice = choice or ColumnChoice()
    source = open_source(path, layouts=False)
    if choice == ColumnChoice() and _is_ours(source):
        return _copy_table(path, out, name or path.name)
    columns = source.columns()
    if not columns:
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    if not (choice.prompt in columns and choice.reply in columns and choice.names_columns <= set(columns)) or (
        choice.prompt == PROMPT and choice.reply == REPLY
    ):
        source = open_source(path)
        if source.layout is not None:
            columns = source.columns()
            if on_layout is not None:
                on_layout(source.layout.described)
    scan = scan_file(source, assign_roles(columns, str(path), choice, source.index_columns), report)
    values = [column.name for column in scan.rewards]
    names = value_names(values, str(path))
    roles = scan.roles
    passed_on = () if scan.strips else source.whole_replies
    left_out = [column for column in columns if column not in (*roles.texts, *values, *passed_on)]
    left_out += source.layout.left_out if source.layout else ()
    optional = {role: getattr(roles, role) for role in ("weight", "held_out", "context", "system", "prompt_id")}
    provenance = {
        "file": name or path.name,
        "sha256": _sha256(path),
        "format": source.kind,
        "imported": date,
        "columns": {"prompt": roles.prompt, "reply": roles.reply, "use_case": roles.use_case}
        | {role: column for role, column in optional.items() if column}
        | {"values": {value: column for column, value in names.items()}},
        "left_out": left_out,
    }
    result = write(source, scan, names, out, metadata={"source": provenance}, report=report)
    meanings = {
        roles.use_case: "the use cases",
        roles.context: "what belongs to each prompt, after a blank line",
        roles.system: "the system message before each prompt",
        roles.prompt_id: "the prompts' ids",
        roles.weight: "how often prompts occur",
        roles.held_out: "which of them are held out",
    }
    others = "".join(f", {column!r} {meaning}" for column, meaning in meanings.items() if column)
    summary = [
        *([source.layout.described] if source.layout else []),
        f"{roles.prompt!r} holds the prompts, {roles.reply!r} the replies{others}; values: {', '.join(result.values)}.",
        f"Left out: {column_list(left_out)}." if left_out else "Nothing is left out.",
        f"Read as {_how_read(source, scan)}.",
    ]
    renamed = [
        f"The column {column!r} has a name that the table's format uses, so the value is called {value!r}."
        for column, value in names.items()
        if column != value
    ]
    return replace(result, notes=(*summary, *scan.notes, *renamed, *result.notes), rows=scan.read, empty=scan.empty)


def import_table(
    path: Path,
    *,
    values: Sequence[str] | None = None,
    prompt_column: str | None = None,
    reply_column: str | None = None,
    use_case_column: str | None = None,
    weight_column: str | None = None,
    held_out_column: str | None = None,
    prompt_id_column: str | None = None,
    lookalikes: str | None = None,
    date: str = "",
) -> ImportedTable:
    """Read a file of scored replies as a reward table in memory, see :func:`import_file`.

    Example:
        >>> import_table(Path("scored.csv"), values=["humor", "tact"]).table.values  # doctest: +SKIP
        ('humor', 'tact')
    """
    choice = ColumnChoice(
        values=None if values is None else tuple(values),
        prompt=prompt_column,
        reply=reply_column,
        use_case=use_case_column,
        weight=weight_column,
        held_out=held_out_column,
        prompt_id=prompt_id_column,
        lookalikes=lookalikes,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "table.parquet"
        result = import_file(path, out, choice, date=date)
        return ImportedTable(table_format.load(out), result.notes)


def _how_read(source: SourceFile, scan: FileScan) -> str:
    """Describe what was detected in a file: its kind, encoding, delimiter and decimal marks."""
    if source.kind == "Parquet":
        return "Parquet"
    if source.sheet is not None:
        return f"Excel, sheet {source.sheet.name!r}"
    marks = {",": "commas", ";": "semicolons", "\t": "tabs"}
    how = f"{source.kind} in {source.encoding.upper().removesuffix('-SIG')}"
    if source.delimiter in marks:
        how += f" with {marks[source.delimiter]} between cells"
    if source.csv is not None and not source.csv.quoted:
        how += ", quotation marks as text"
    commas = [column.name for column in scan.rewards if column.decimal_commas]
    return how + (f", decimal commas in {', '.join(commas)}" if commas else "")


def _is_ours(source: SourceFile) -> bool:
    """Return whether the file is a table that this project has written."""
    return source.kind == "Parquet" and METADATA_KEY in (pq.read_schema(source.path).metadata or {})


def _copy_table(path: Path, out: Path, name: str) -> ImportResult:
    """Validate a table of this project and copy it, marked as uploaded in its metadata."""
    table = table_format.load(path)
    table = replace(table, metadata={**table.metadata, UPLOADED: name})
    table_format.save(table, out)
    notes = ("The file is a table of this app and is taken as it is.", *table.reading, *table.notes)
    rows = len(table.rewards)
    return ImportResult(len(table.prompts), rows, table.values, table.form, notes, rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
