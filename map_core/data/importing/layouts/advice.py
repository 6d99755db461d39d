"""Refuse layouts that are not supported, with the reason and lines of pandas that convert the file.

Constraint: at most two lines, which run unchanged in the file's folder once pandas is imported as pd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.data.importing.column_roles import PROMPT_NAMES, REPLY_NAMES, column_named
from map_core.data.importing.layouts.chats import CHAT_NAMES
from map_core.data.importing.layouts.layout import Row, at, decoded
from map_core.data.table_columns import normalised
from map_core.errors import InputError

#: Advice for replies without scores.
SCORING = (
    "Replies without scores can be scored here: import them with a column of zeros, then "
    "python -m map_core build --rescore TABLE --out SCORED --values helpfulness."
)


@dataclass(frozen=True)
class UnreadLayout:
    """A layout that is not supported.

    Args:
        known_by: fields of the first row, as dotted paths of keys, whose combination identifies such files.
        what: a sentence about the content of the file and the reason for refusing it.
        lines: lines of Python; {file} is replaced by the file's name and {flat} by the new file's name, both quoted.
    """

    known_by: tuple[str, ...]
    what: str
    lines: tuple[str, ...]


_READ = "pd.read_json({file}, lines=True)"
_WRITE = '.to_json({flat}, orient="records", lines=True)'
ADVICE = (
    UnreadLayout(
        ("custom_id", "response.body.choices"),
        "These are the answers of a batch; what was asked stands in the batch's input, here requests.jsonl, and no "
        f"reply has a score. {SCORING}",
        (
            f'rows = pd.json_normalize({_READ}.to_dict("records"), ["response", "body", "choices"], "custom_id").merge('
            'pd.json_normalize(pd.read_json("requests.jsonl", lines=True).to_dict("records")), on="custom_id")',
            'rows[["body.messages", "message.content"]].set_axis(["prompt", "reply"], axis=1).assign(unscored=0.0)'
            f"{_WRITE}",
        ),
    ),
    UnreadLayout(
        ("question_id", "choices"),
        "These are answers to a benchmark's questions, which stand in a file of their own, here question.jsonl; no "
        f"reply has a score. {SCORING}",
        (
            f'rows = {_READ}.merge(pd.read_json("question.jsonl", lines=True), on="question_id")',
            'pd.DataFrame({{"prompt": rows.turns.str[0], "reply": rows.choices.str[0].str["turns"].str[0], '
            f'"unscored": 0.0}}}}){_WRITE}',
        ),
    ),
    UnreadLayout(
        ("doc", "arguments", "resps"),
        "These are samples of an evaluation, with what was asked and the replies in lists of lists.",
        (
            f"rows = {_READ}",
            "rows.assign(prompt=rows.arguments.str[0].str[0], reply=rows.resps.str[0].str[0]).drop(columns=["
            f'"doc", "arguments", "resps"]){_WRITE}',
        ),
    ),
    UnreadLayout(
        ("response1", "response2", "overall_preference"),
        "Each row compares two replies by one number, below 0 where the first is better; no reply has a score of its "
        "own.",
        (
            f"rows = {_READ}",
            'pd.concat(pd.DataFrame({{"prompt": rows.context, "reply": rows[name], "preferred": sign * '
            'rows.overall_preference}}) for name, sign in (("response1", -1), ("response2", 1)))'
            f"{_WRITE}",
        ),
    ),
)


def refusal(rows: Sequence[Row], columns: Sequence[str], path: Path) -> InputError | None:
    """Return the error for a file in a layout that is not supported; None for any other.

    Args:
        rows: the first rows of the file.
        columns: their fields.
        path: the file.
    """
    if not rows:
        return None
    first = {name: decoded(rows[0].get(name)) for name in columns}
    for advice in ADVICE:
        if all(at(first, tuple(known.split("."))) is not None for known in advice.known_by):
            return _error(path, advice.what, advice.lines)
    if len(rows) > 1:
        return None
    is_flat = column_named(columns, PROMPT_NAMES) or any(normalised(name) in CHAT_NAMES for name in columns)
    return document_refusal(first, path) if not is_flat or _pandas_orientation(first) else None


def document_refusal(document: Mapping[str, Any], path: Path) -> InputError | None:
    """Return the error for a file that is one JSON object with rows somewhere inside; None where it has no rows."""
    orientation = _pandas_orientation(document)
    if orientation is not None:
        what, line = orientation
        return _error(path, what, (line + _WRITE,))
    keys = _rows_in(document, ())
    if keys is None:
        return None
    rows = at(document, keys)
    names = _flat_names(rows[0])
    renamed: dict[str, str] = {}
    for column, known in (("prompt", PROMPT_NAMES), ("reply", REPLY_NAMES)):
        if column not in names and (name := _field_for(names, rows[0], known, renamed)):
            renamed[name] = column
    subscripts = "".join(f"[{key!r}]" for key in keys)
    rename = f".rename(columns={renamed!r})".replace("{", "{{").replace("}", "}}") if renamed else ""
    return _error(
        path,
        f"It is one JSON object with its rows in {'.'.join(keys)!r}.",
        (f'pd.json_normalize(pd.read_json({{file}}, typ="series"){subscripts}){rename}{_WRITE}',),
    )


def _pandas_orientation(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Describe a table that pandas wrote as one object, and return the code that reads it; None for other objects."""
    if set(document) == {"schema", "data"} and isinstance(document["data"], list):
        return 'pandas wrote it as a table (orient="table").', 'pd.read_json({file}, orient="table")'
    if set(document) >= {"columns", "data"} and set(document) <= {"columns", "data", "index"}:
        return 'pandas wrote it in parts (orient="split").', 'pd.read_json({file}, orient="split")'
    cells = list(document.values())
    if cells and all(isinstance(cell, Mapping) and list(cell) == list(cells[0]) and cell for cell in cells):
        by_row = column_named(list(cells[0]), PROMPT_NAMES) is not None
        if by_row:
            return 'pandas wrote it by its index (orient="index").', 'pd.read_json({file}, orient="index")'
        what = 'pandas wrote it a column at a time (orient="columns"), so there is no column of numbers as it stands.'
        return what, 'pd.read_json({file}, orient="columns")'
    return None


def _rows_in(content: Any, keys: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the path of keys to the longest list of objects; of equally long ones, that with the most fields."""
    candidates: list[tuple[int, int, tuple[str, ...]]] = []

    def search(part: Any, path: tuple[str, ...]) -> None:
        if isinstance(part, Mapping) and len(path) < 6:
            for key, inner in part.items():
                search(inner, (*path, str(key)))
        elif isinstance(part, list) and part and all(isinstance(row, Mapping) for row in part):
            candidates.append((len(part), len(_flat_names(part[0])), path))

    search(content, keys)
    return max(candidates)[2] if candidates else None


def _flat_names(row: Mapping[str, Any], before: str = "") -> list[str]:
    """Return the columns that pd.json_normalize makes of a row."""
    names = []
    for key, cell in row.items():
        nested = isinstance(cell, Mapping) and bool(cell)
        names += _flat_names(cell, f"{before}{key}.") if nested else [f"{before}{key}"]
    return names


def _field_for(names: Sequence[str], row: Row, known: Sequence[str], taken: Mapping[str, str]) -> str | None:
    """Return the flat column whose last key is one of these names, else the only variable of a prompt template."""
    texts = [name for name in names if name not in taken and isinstance(at(row, tuple(name.split("."))), str)]
    for wanted in known:
        for name in texts:
            if normalised(name.rpartition(".")[2]) == wanted:
                return name
    variables = [name for name in texts if name.startswith("vars.")]
    return variables[0] if known is PROMPT_NAMES and len(variables) == 1 else None


def without_numbers(path: Path, where: str, columns: Sequence[str]) -> str:
    """Return the message for a file that has no column of numbers.

    Args:
        path: the file.
        where: the file, as the message names it.
        columns: the columns that were examined.
    """
    message = (
        f"{where} has no column of numbers that could be a value's rewards; it has {', '.join(columns)}. Name columns "
        "with --values."
    )
    read = {".csv": "read_csv({file})", ".parquet": "read_parquet({file})", ".jsonl": "read_json({file}, lines=True)"}
    line = read.get(path.suffix.lower(), "read_json({file})" if path.suffix.lower() == ".json" else "")
    if not line:
        return message
    return f"{message} {SCORING} The column of zeros, with pandas (import pandas as pd):\n" + _code(
        path, (f"pd.{line}.assign(unscored=0.0){_WRITE}",)
    )


def _error(path: Path, what: str, lines: Sequence[str]) -> InputError:
    code = _code(path, lines)
    return InputError(
        f"{path} does not have one row per reply. {what} With pandas (import pandas as pd) it becomes such a file:\n"
        f"{code}"
    )


def _code(path: Path, lines: Sequence[str]) -> str:
    """Return lines of Python with the names of the file and of the new file inserted."""
    names = {"file": repr(str(path)), "flat": repr(str(path.with_name(f"{path.stem}-flat.jsonl")))}
    return "\n".join(f"    {line.format(**names)}" for line in lines)
