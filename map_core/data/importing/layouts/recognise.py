"""Recognise the layout of a file by its first rows.

Constraint: a file with one row per reply, and with prompt and reply as texts, has no layout and is read directly.
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

#: Number of rows by which a layout is recognised.
SAMPLE_ROWS = 100


def find_layout(rows: Sequence[Row], path: Path) -> Layout | None:
    """Return the layout of a file; None where each row is already one reply.

    Args:
        rows: the first rows of the file.
        path: the file, for messages.

    Raises:
        InputError: the layout is not supported; the message has lines of code that convert the file.
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
