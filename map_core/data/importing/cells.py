"""Cells of a file as numbers and texts, refused by row and column where they are neither.

A file is read in chunks, so what is known of a column is gathered: :class:`NumberColumn` for one of rewards,
:func:`text_cells` for one of text. Constraint: no number is invented; what is empty, no number or not finite is an
error that says where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from map_core.data.reward_table import LARGEST_REWARD as LARGEST
from map_core.errors import InputError

#: A column with at least this share of numbers is meant to be one of rewards, so its other cells are mistakes.
MEANT_AS_NUMBERS = 0.5
#: Rows that an error lists.
LISTED = 5


class NumberColumn:
    """What is known of a column that may be one of rewards.

    Args:
        name: of the column.
        commas: its cells may have decimal commas, which go with semicolons.

    Attributes:
        texts: some cells are text.
        truths: some cells are true or false.
    """

    def __init__(self, name: str, commas: bool = False) -> None:
        self.name = name
        self.texts = self.truths = False
        self._filled, self._meant = 0, 0
        self._as_it_is, self._with_points = _NoNumbers(), _NoNumbers()
        self._commas = commas

    def learn(self, cells: Sequence[Any] | np.ndarray, first: int) -> None:
        """Take in a chunk's cells, the first of which stands in row ``first``, counted from 0."""
        if not self._commas and (quick := _floats(cells)) is not None:
            self._filled += len(quick)
            self._meant += len(quick)
            self.texts |= isinstance(cells, list) and any(isinstance(cell, str) for cell in cells[:1])
            return
        for row, cell in enumerate(cells, start=first):
            self.texts |= isinstance(cell, str)
            self.truths |= isinstance(cell, bool)
            self._filled += not is_empty(cell)
            self._meant += is_number(cell.strip().removesuffix("%") if isinstance(cell, str) else cell)
            self._as_it_is.check(cell, row)
            if self._commas:
                point = cell.replace(",", ".")
                self._commas = "." not in cell and is_number(point)
                self._with_points.check(point, row)

    @property
    def holds_numbers(self) -> bool:
        """Whether the column is meant to be one of rewards: mostly numbers, as such or as text."""
        return self.decimal_commas or (self._filled > 0 and self._meant >= MEANT_AS_NUMBERS * self._filled)

    @property
    def decimal_commas(self) -> bool:
        """Every cell is a number once its comma is a point, and not all are as they stand."""
        return self._commas and self._as_it_is.count > 0

    def refuse(self, where: str) -> None:
        """Raise where a cell cannot be used.

        Args:
            where: the file, as the error names it.

        Raises:
            InputError: a cell is empty, no number, or not finite; the message has its row and column.
        """
        faults = self._with_points if self.decimal_commas else self._as_it_is
        if faults.count:
            raise InputError(faults.told(where, self.name))

    def read(self, cells: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Cells that were learnt and not refused, as float64."""
        if self.decimal_commas:
            return np.array([float(cell.replace(",", ".")) for cell in cells])
        quick = _floats(cells)
        return np.array([float(cell) for cell in cells]) if quick is None else quick


class CellFaults:
    """The cells of a column that cannot be used: the first, and the rows of some."""

    def __init__(self) -> None:
        self.count = 0
        self.rows: list[int] = []
        self.first: Any = None

    def keep(self, cell: Any, row: int) -> None:
        """Keep such a cell in mind."""
        if not self.count:
            self.first = cell
        self.count += 1
        if len(self.rows) <= LISTED:
            self.rows.append(row)

    def said(self, where: str, column: str, why: str) -> str:
        """Which cell it is, what is wrong with it, and how many more there are; at least one was kept in mind."""
        others = rows_of(self.rows[1:], self.count - 1)
        more = f" (and {self.count - 1} more like it, in rows {others})" if self.count > 1 else ""
        return f"{where}: row {self.rows[0] + 1}, column {column!r} {why}{more}"


class _NoNumbers(CellFaults):
    """The cells of a column that are no finite numbers."""

    def check(self, cell: Any, row: int) -> None:
        """Keep a cell in mind that is no number that can be used."""
        if not (is_number(cell) and abs(float(cell)) <= LARGEST):
            self.keep(cell, row)

    def told(self, where: str, column: str) -> str:
        """What is wrong, in words."""
        cell = self.first
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
        return f"{self.said(where, column, why)}. {do}."


def _floats(cells: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """All cells as float64 at once where every one is a plain finite number, or None: then one looks at each."""
    if isinstance(cells, np.ndarray):
        numbers = cells.astype(np.float64)
    else:
        kinds = set(map(type, cells))
        if not (kinds <= {int, float} or kinds == {str}):
            return None
        try:
            numbers = pa.array(cells).cast(pa.float64()).to_numpy(zero_copy_only=False)
        except (pa.ArrowException, OverflowError):
            return None
    return numbers if bool(np.all(np.abs(numbers) <= LARGEST)) else None


def text_cells(cells: Sequence[Any] | np.ndarray, name: str, where: str, empty: bool, first: int = 0) -> list[str]:
    """Cells of a column of text; numbers are written out.

    Args:
        cells: of a chunk.
        name, where: the column, and the file as the error names it.
        empty: whether a text may be empty.
        first: the row in which the chunk begins, counted from 0.

    Raises:
        InputError: a cell is missing, empty where it may not be, or no text.
    """
    texts = []
    for row, cell in enumerate(cells.tolist() if isinstance(cells, np.ndarray) else cells, start=first + 1):
        missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
        if missing or (not empty and isinstance(cell, str) and not cell.strip()):
            raise InputError(f"{where}: row {row}, column {name!r} is empty; expected text. Remove the row or fill it.")
        if not isinstance(cell, str | int | float):
            raise InputError(f"{where}: row {row}, column {name!r} is {short(cell)}; expected text.")
        try:
            str(cell).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{where}: row {row}, column {name!r} holds half a character ({error}).") from error
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
    return cell is None or (isinstance(cell, str) and not cell.strip())


def first_twice(names: Iterable[str]) -> str:
    """The first name that comes twice."""
    seen = list(names)
    return next(name for name in seen if seen.count(name) > 1)


def rows_of(rows: Sequence[int], count: int | None = None) -> str:
    """The first few of these rows, counted from 1; ``count`` where there are more than are at hand."""
    more = (len(rows) if count is None else count) > LISTED
    return ", ".join(str(row + 1) for row in rows[:LISTED]) + (", ..." if more else "")


def short(cell: Any, longest: int = 60) -> str:
    """What a cell or a line holds, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= longest else text[: longest - 3] + "..."
