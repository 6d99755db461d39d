"""The layout of rows with a list of replies: objects with a text and scores, or texts with lists of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from map_core.data.importing.cells import reads_as_number
from map_core.data.importing.column_roles import REPLY_NAMES, column_named
from map_core.data.importing.layouts.chats import reply_text
from map_core.data.importing.layouts.layout import (
    PROMPT,
    REPLY,
    Layout,
    Row,
    at,
    column,
    decoded,
    dotted,
    named_values,
    number_fields,
)
from map_core.data.importing.layouts.prompts import PromptSource, kept_fields, left_out
from map_core.data.table_columns import is_counter, normalised

#: Columns of several replies.
LIST_NAMES = frozenset(
    ("completions", "responses", "replies", "outputs", "generations", "candidates", "answers", "choices", "samples")
)


def find(rows: Sequence[Row], columns: Sequence[str]) -> Layout | None:
    """Return the layout of rows with a list of replies each; None for other rows."""
    for name in columns:
        cells = column(rows, name)
        if not any(cells) or not all(isinstance(cell, list) for cell in cells):
            continue
        prompt = PromptSource.find(rows, [other for other in columns if other != name])
        if prompt is None:
            continue
        if all(isinstance(entry, dict) for cell in cells for entry in cell):
            if layout := _objects(cells, columns, name, prompt):
                return layout
        elif normalised(name) in LIST_NAMES and all(isinstance(entry, str) for cell in cells for entry in cell):
            return _texts(rows, columns, name, prompt)
    return None


def _objects(cells: Sequence[list[Any]], columns: Sequence[str], name: str, prompt: PromptSource) -> Layout | None:
    """Return the layout of a list of objects, each a reply with scores; None if they have no text."""
    entries = [entry for cell in cells for entry in cell]
    text = column_named(list(entries[0]), REPLY_NAMES)
    if text is None or "role" in entries[0]:
        return None
    fields = number_fields(entries, without=(text,))
    kept = kept_fields(columns, (name, prompt.column))

    def flatten(row: Row) -> list[dict[str, Any]]:
        listed = decoded(row.get(name))
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise ValueError(f"{name!r} holds no list of objects")
        before = {PROMPT: prompt.text(row)} | {other: row.get(other) for other in kept}
        return [
            before | {REPLY: reply_text(entry.get(text))} | {value: at(entry, path) for value, path in fields.items()}
            for entry in listed
        ]

    named = {value: dotted(path, f"{name}[].") for value, path in fields.items()}
    return Layout(
        f"Each entry of {name!r} is a row: {prompt.described} and {f'{name}[].{text}'!r} the reply; "
        f"{named_values(named) or 'no scores'}.",
        flatten,
        left_out(columns, (name, prompt.column), kept),
    )


def _texts(rows: Sequence[Row], columns: Sequence[str], name: str, prompt: PromptSource) -> Layout:
    """Return the layout of a list of texts, with further columns that hold one score, or several, for each text."""
    replies = column(rows, name)
    scores: dict[str, tuple[str, int | str | None]] = {}
    for other in columns:
        lists = column(rows, other)
        if other in (name, prompt.column) or is_counter(other) or not _as_long(lists, replies):
            continue
        entries = [entry for cell in lists for entry in cell]
        if all(reads_as_number(entry) for entry in entries):
            scores[other] = other, None
        elif all(isinstance(entry, dict) for entry in entries):
            scores |= {key: (other, key) for key, path in number_fields(entries).items() if len(path) == 1}
        elif _rows_of_numbers(entries):
            scores |= {f"{other}_{index + 1}": (other, index) for index in range(len(entries[0]))}
    kept = [field for field in kept_fields(columns, (name, prompt.column)) if field not in scores]

    def flatten(row: Row) -> list[dict[str, Any]]:
        texts = decoded(row.get(name))
        if not isinstance(texts, list):
            raise ValueError(f"{name!r} holds no list of replies")
        lists = {source: decoded(row.get(source)) for source, _ in scores.values()}
        for key, cell in lists.items():
            if not _as_long([cell], [texts]):
                raise ValueError(f"{key!r} holds no list with an entry for each of {name!r}")
        before = {PROMPT: prompt.text(row)} | {other: row.get(other) for other in kept}
        flat = []
        for index, text in enumerate(texts):
            values = {value: _part(lists[source][index], part) for value, (source, part) in scores.items()}
            flat.append(before | {REPLY: text} | values)
        return flat

    named = {value: _part_name(source, part) for value, (source, part) in scores.items()}
    return Layout(
        f"Each entry of {name!r} is a row: {prompt.described} and {f'{name}[]'!r} the reply; "
        f"{named_values(named) or 'no scores'}.",
        flatten,
        left_out(columns, (name, prompt.column, *(source for source, _ in scores.values())), kept),
    )


def _rows_of_numbers(entries: Sequence[Any]) -> bool:
    """Return whether all entries are lists of numbers of the same length."""
    lists = all(isinstance(entry, list) and len(entry) == len(entries[0]) for entry in entries)
    return lists and all(reads_as_number(number) for entry in entries for number in entry)


def _as_long(lists: Sequence[Any], replies: Sequence[Any]) -> bool:
    """Return whether each cell is a list with an entry for each reply."""
    return all(
        isinstance(cell, list) and isinstance(texts, list) and len(cell) == len(texts)
        for cell, texts in zip(lists, replies, strict=True)
    )


def _part(entry: Any, part: int | str | None) -> Any:
    if part is None:
        return entry
    if isinstance(part, str):
        return entry.get(part) if isinstance(entry, dict) else None
    return entry[part] if isinstance(entry, list) and part < len(entry) else None


def _part_name(source: str, part: int | str | None) -> str:
    if part is None:
        return f"{source}[]"
    return f"{source}[].{part}" if isinstance(part, str) else f"number {part + 1} of {source}[]"
