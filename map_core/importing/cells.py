"""Cells of a file as numbers and texts, refused by row and column where they are neither.

Constraint: no number is invented; what is empty, no number or not finite is an error that says where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from map_core.errors import InputError

#: A column with at least this share of numbers is meant to be one of rewards, so its other cells are mistakes.
MEANT_AS_NUMBERS = 0.5
#: Beyond this, squares of rewards have no finite sum.
LARGEST = 1e100


def holds_numbers(column: pd.Series[Any]) -> bool:
    """Whether a column is meant to be one of rewards: mostly numbers, as such or as text."""
    if column.dtype != object and pd.api.types.is_numeric_dtype(column):
        return True
    cells = [cell for cell in column.tolist() if not is_empty(cell)]
    meant = sum(is_number(cell.strip().removesuffix("%") if isinstance(cell, str) else cell) for cell in cells)
    return bool(cells) and meant >= MEANT_AS_NUMBERS * len(cells)


def numbers(column: pd.Series[Any], path: Path, notes: list[str]) -> np.ndarray:
    """A column as float64.

    Raises:
        InputError: a cell is empty, no number, or not finite; the message has its row and column.
    """
    name, cells = str(column.name), column.tolist()
    if any(isinstance(cell, bool) for cell in cells):
        notes.append(f"{name!r} holds true and false, taken as 1 and 0.")
    rewards = np.full(len(cells), math.nan)
    bad: list[int] = []
    for row, cell in enumerate(cells):
        if is_number(cell):
            rewards[row] = float(cell)
        if not abs(rewards[row]) <= LARGEST:
            bad.append(row)
    if bad:
        cell = cells[bad[0]]
        if is_empty(cell):
            why, do = "is empty", "Score the reply or remove its row"
        elif is_number(cell) and math.isfinite(float(cell)):
            why, do = f"is {cell}, too large to reckon with", "Write the value in a smaller unit"
        elif is_number(cell):
            why, do = f"is {cell}, not a finite number", "Score the reply again or remove its row"
        elif isinstance(cell, str) and is_number(cell.strip().removesuffix("%")):
            why, do = f"is {cell!r} with a percent sign", "Write plain numbers, in one unit"
        else:
            why, do = f"is {short(cell)}, no number", "Write a number with a decimal point, or leave the column out"
        more = f" (and {len(bad) - 1} more like it, in rows {rows_of(bad[1:])})" if len(bad) > 1 else ""
        raise InputError(f"{path}: row {bad[0] + 1}, column {name!r} {why}{more}. {do}.")
    return rewards


def text_cells(data: pd.DataFrame, name: str, path: Path, empty: bool) -> list[str]:
    """A column of text; numbers are written out.

    Args:
        data, name, path: the file's rows, the column, and where they come from.
        empty: whether a text may be empty.

    Raises:
        InputError: a cell is missing, empty where it may not be, or no text.
    """
    texts = []
    for row, cell in enumerate(data[name].tolist(), start=1):
        missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
        if missing or (not empty and isinstance(cell, str) and not cell.strip()):
            raise InputError(f"{path}: row {row}, column {name!r} is empty; expected text. Remove the row or fill it.")
        if not isinstance(cell, str | int | float):
            raise InputError(f"{path}: row {row}, column {name!r} is {short(cell)}; expected text.")
        try:
            str(cell).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{path}: row {row}, column {name!r} holds half a character ({error}).") from error
        texts.append(str(cell))
    return texts


def is_number(cell: Any) -> bool:
    """Whether a cell is a number, or a text that is one; NaN and infinity are numbers here."""
    if isinstance(cell, str) and "_" in cell:
        return False  # Python reads 1_000 as a number; people who write that mean a name.
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing, or nothing but spaces."""
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, str) and not cell.strip())


def first_twice(names: Iterable[str]) -> str:
    """The first name that comes twice."""
    seen = list(names)
    return next(name for name in seen if seen.count(name) > 1)


def rows_of(rows: Sequence[int]) -> str:
    """The first few of these rows, counted from 1."""
    return ", ".join(str(row + 1) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")


def short(cell: Any, longest: int = 60) -> str:
    """What a cell or a line holds, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= longest else text[: longest - 3] + "..."
