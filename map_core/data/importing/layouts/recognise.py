"""Recognise the layout of a file by its first rows.

Constraint: a file with one row per reply, its prompt and its reply as texts, has no layout and is read as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from map_core.data.importing.column_roles import REPLY_NAMES
from map_core.data.importing.layouts import chats, pairs, reply_lists
from map_core.data.importing.layouts.advice import refusal
from map_core.data.importing.layouts.layout import Layout, Row, column
from map_core.data.table_columns import normalised

#: Rows that a layout is recognised by.
SAMPLE_ROWS = 100


def find_layout(rows: Sequence[Row], path: Path) -> Layout | None:
    """Return the layout of a file; None where its rows are one reply each already.

    Args:
        rows: the first ones of the file.
        path: of the file, for messages.

    Raises:
        InputError: it is a layout that is not read; the message has the lines that make rows of it.
    """
    sample = rows[:SAMPLE_ROWS]
    columns = list(dict.fromkeys(name for row in sample for name in row))
    one_reply = any(normalised(name) in REPLY_NAMES and _is_text(column(sample, name)) for name in columns)
    for find in (chats.find,) if one_reply else (reply_lists.find, pairs.find, chats.find):
        if layout := find(sample, columns):
            return layout
    if error := refusal(sample, columns, path):
        raise error
    return None


def _is_text(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(isinstance(cell, str) for cell in cells)
