"""The layout of rows with several replies in separate columns: chosen and rejected, or response_0, response_1 etc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from map_core.data.importing.cells import as_boolean, is_missing, reads_as_number
from map_core.data.importing.column_roles import REPLY_NAMES
from map_core.data.importing.layouts.chats import chat_of, prompt_and_reply
from map_core.data.importing.layouts.layout import PROMPT, REPLY, Layout, Row, column, named_values
from map_core.data.importing.layouts.prompts import PromptSource, kept_fields, left_out
from map_core.data.table_columns import is_counter, normalised

_SIDES = ("chosen", "rejected")
_NUMBERED = re.compile(rf"({'|'.join(sorted(REPLY_NAMES, key=len, reverse=True))})[_ -]?(\d{{1,2}}|[ab])")


def find(rows: Sequence[Row], columns: Sequence[str]) -> Layout | None:
    """Return the layout of rows with several columns of replies; None for other rows."""
    plain = {normalised(name): name for name in columns}
    if all(side in plain and _are_replies(rows, plain[side]) for side in _SIDES):
        return _chosen(rows, columns, [plain[side] for side in _SIDES])
    numbered: dict[str, dict[str, str]] = {}
    for name, column_name in plain.items():
        if (parts := _NUMBERED.fullmatch(name)) and _are_replies(rows, column_name):
            numbered.setdefault(parts[1], {})[parts[2]] = column_name
    stem = next((stem for stem in REPLY_NAMES if len(numbered.get(stem, ())) > 1 and stem not in plain), None)
    return None if stem is None else _numbered(rows, columns, stem, numbered[stem])


def _are_replies(rows: Sequence[Row], name: str) -> bool:
    """Return whether a column holds only texts or chats, which are not all numbers."""
    cells = [row.get(name) for row in rows]
    texts = all(isinstance(cell, str) or chat_of(cell) is not None for cell in cells)
    return texts and not all(reads_as_number(cell) for cell in cells)


def _chosen(rows: Sequence[Row], columns: Sequence[str], sides: Sequence[str]) -> Layout | None:
    """Return the layout of pairs: the scores of each side, or that it was chosen."""
    whole = all(chat_of(row.get(side)) is not None for row in rows for side in sides)
    whole = whole and all(len(chat_of(row.get(side)) or ()) > 1 for row in rows for side in sides)
    prompt = None if whole else PromptSource.find(rows, [name for name in columns if name not in sides])
    if prompt is None and not whole:
        return None
    scores = _scores_of_sides(rows, columns, {side: side for side in _SIDES})
    used = [*sides, *(name for fields in scores.values() for name in fields.values())]
    used += [] if prompt is None else [prompt.column]
    kept = kept_fields(columns, used)

    def flatten(row: Row) -> list[dict[str, Any]]:
        flat = []
        for side, name in zip(_SIDES, sides, strict=True):
            texts: tuple[Any, Any]
            if prompt is None:
                texts = prompt_and_reply(row.get(name), name)
            else:
                chat = chat_of(row.get(name))
                texts = prompt.text(row), chat[-1][1] if chat else row.get(name)
            values = {value: row.get(fields[side]) for value, fields in scores.items()}
            values = values or {"chosen": side == "chosen"}
            flat.append({PROMPT: texts[0], REPLY: texts[1]} | {other: row.get(other) for other in kept} | values)
        return flat

    named = {value: " and ".join(fields.values()) for value, fields in scores.items()}
    before = "the turns before its last one are the prompt" if prompt is None else prompt.described
    values = named_values(named) or "chosen is true for the one and false for the other"
    return Layout(
        f"{sides[0]!r} and {sides[1]!r} are two replies and a row each: {before}; {values}.",
        flatten,
        left_out(columns, used, kept),
    )


def _numbered(rows: Sequence[Row], columns: Sequence[str], stem: str, replies: dict[str, str]) -> Layout | None:
    """Return the layout of numbered replies, with numbered scores for each, or with the number of the best."""
    prompt = PromptSource.find(rows, [name for name in columns if name not in replies.values()])
    if prompt is None:
        return None
    scores = _scores_of_sides(rows, columns, {side: normalised(name) for side, name in replies.items()})
    used = [*replies.values(), prompt.column, *(name for fields in scores.values() for name in fields.values())]
    picks: dict[str, str] = {}
    for name in columns:
        if name not in used and stem in normalised(name) and _picks(column(rows, name), replies):
            value = normalised(name).removesuffix("_id").removesuffix("_index").removesuffix(f"_{stem}").strip("_")
            picks[value] = name
    if not scores and not picks:
        return None
    used += picks.values()
    kept = kept_fields(columns, used)

    def flatten(row: Row) -> list[dict[str, Any]]:
        before = {PROMPT: prompt.text(row)} | {other: row.get(other) for other in kept}
        flat = []
        for side, name in replies.items():
            values: dict[str, Any] = {value: row.get(fields[side]) for value, fields in scores.items()}
            for value, source in picks.items():
                if str(row.get(source)) not in replies:
                    raise ValueError(f"{source!r} is {row.get(source)!r}; expected one of {', '.join(replies)}")
                values[value] = str(row.get(source)) == side
            flat.append(before | {REPLY: row.get(name)} | values)
        return flat

    named = {value: " and ".join(fields.values()) for value, fields in scores.items()}
    named |= {value: f"{source}, true for the reply that it names" for value, source in picks.items()}
    listed = " and ".join(map(repr, replies.values()))
    return Layout(
        f"{listed} are {len(replies)} replies and a row each: {prompt.described}; {named_values(named)}.",
        flatten,
        left_out(columns, used, kept),
    )


def _scores_of_sides(rows: Sequence[Row], columns: Sequence[str], sides: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the numeric columns whose names contain a side: by the name without the side, the column of each side."""
    fields_by_name: dict[str, dict[str, str]] = {}
    for name in columns:
        words = normalised(name)
        for side, mark in sides.items():
            parts = _around(words, mark) or _around(words, side)
            if parts is None or words == mark or is_counter(words):
                continue
            rest = "_".join(part for part in parts.groups() if part)
            if rest and _numbers(column(rows, name)):
                fields_by_name.setdefault(rest, {})[side] = name
    return {rest: fields for rest, fields in fields_by_name.items() if len(fields) == len(sides)}


def _around(words: str, mark: str) -> re.Match[str] | None:
    """Match a name whose words, separated by _, include a mark; the groups are the words before and after it."""
    return re.fullmatch(rf"(?:(.*)_)?{re.escape(mark)}(?:_(.*))?", words)


def _numbers(cells: Sequence[Any]) -> bool:
    present = [cell for cell in cells if not is_missing(cell)]
    return bool(present) and all(as_boolean(cell) is not None or reads_as_number(cell) for cell in present)


def _picks(cells: Sequence[Any], replies: dict[str, str]) -> bool:
    """Return whether each cell names one of the replies by its number."""
    return all(not isinstance(cell, bool) and str(cell) in replies for cell in cells)
