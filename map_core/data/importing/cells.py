"""Parse the cells of a file as numbers and texts; errors name the row and the column.

A file is read in chunks, so the state of a column of rewards is accumulated in a :class:`NumberColumn`;
:func:`text_cells` parses a column of text. Constraint: no number is invented; an empty cell, a text or a number that is
not finite is an error with its row and column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from map_core.core import remedies
from map_core.data.importing.questions import Answer, Question
from map_core.data.reward_table import LARGEST_REWARD as LARGEST
from map_core.data.text_files.excerpts import short
from map_core.errors import InputError

#: A column with at least this share of numbers is considered one of rewards, so its other cells are errors.
NUMERIC_SHARE = 0.5
#: Maximum number of rows that an error lists.
LISTED = 5

#: The option that answers the question about decimal marks, and its values.
DECIMAL, POINT, COMMA = "--decimal", "point", "comma"
#: Texts that are different numbers with a decimal point and with a decimal comma; numbers that have a decimal point in
#: any case; texts that look like numbers of either style.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_NUMBER_LIKE = re.compile(r"[+-]?\d[\d.,' \u00a0\u202f]*%?")


def _in_mark(cell: Any, mark: str) -> Any:
    """Return a number's text with this decimal mark in Python's notation; any other cell unchanged."""
    if not isinstance(cell, str):
        return cell
    separator, decimal = (",", ".") if mark == POINT else (".", ",")
    text = cell.strip()
    whole, _, rest = text.partition(decimal)
    if separator in whole:
        if not re.fullmatch(rf"[+-]?\d{{1,3}}(?:{re.escape(separator)}\d{{3}})+", whole):
            return cell
        whole = whole.replace(separator, "")
    return f"{whole}.{rest}" if decimal in text else whole


class NumberColumn:
    """A column that may hold rewards, read in chunks.

    Args:
        name: the column's name.
        delimiter: the delimiter between the cells of the file, "" where it has none.
        decimal: the decimal mark, "point" or "comma", if the user has chosen it.

    Attributes:
        has_text: whether some cells are text.
        decides: whether some cells determine the decimal mark.
    """

    def __init__(self, name: str, delimiter: str = "", decimal: str | None = None) -> None:
        self.name = name
        # In files with semicolons a point may separate thousands; in files with semicolons or tabs a comma may be the
        # decimal mark.
        self._decimal, self._points_in_doubt = decimal, delimiter == ";"
        commas = self._may_have_commas = delimiter in (";", "\t")
        #: The first cell that is a different number with a decimal point and with a decimal comma, and its row.
        self._ambiguous: tuple[str, int] | None = None
        self.decides = False
        self.has_text = False
        self._nonempty, self._numeric, self._booleans, self._has_booleans = 0, 0, 0, False
        self._point_faults, self._comma_faults, self._boolean_faults = _NumberFaults(), _NumberFaults(), _NumberFaults()
        self._commas, self._has_comma = commas and decimal is None, False
        self._number_like = 0

    def add(self, cells: Sequence[Any] | np.ndarray, positions: Sequence[int]) -> None:
        """Add the cells of a chunk, whose rows are at these positions of the file, counted from 0."""
        if self._decimal is not None and isinstance(cells, list):
            cells = [_in_mark(cell, self._decimal) for cell in cells]
        if not self._points_in_doubt and (numbers := _floats(cells)) is not None:
            if self._may_have_commas and isinstance(cells, list):
                self._commas &= not any(isinstance(cell, str) and "." in cell for cell in cells)
            self._nonempty += len(numbers)
            self._numeric += len(numbers)
            self.has_text |= isinstance(cells, list) and any(isinstance(cell, str) for cell in cells[:1])
            return
        for row, cell in zip(positions, cells, strict=True):
            self.has_text |= isinstance(cell, str)
            self._has_booleans |= isinstance(cell, bool)
            self._nonempty += not is_empty(cell)
            self._numeric += reads_as_number(cell.strip().removesuffix("%") if isinstance(cell, str) else cell)
            self._number_like += isinstance(cell, str) and bool(_NUMBER_LIKE.fullmatch(cell.strip()))
            self._point_faults.check(cell, row)
            if as_boolean(cell) is None:
                self._boolean_faults.check(cell, row)
            else:
                self._booleans += 1
            if self._may_have_commas and isinstance(cell, str):
                self._check_marks(cell.strip(), row)
            if self._may_have_commas and self._decimal is None:
                with_point = _in_mark(cell, COMMA)
                is_number = isinstance(cell, str) and reads_as_number(with_point) and not _POINT.fullmatch(cell.strip())
                self._commas &= is_number or is_empty(cell)
                self._has_comma |= is_number and not reads_as_number(cell)
                if is_number:
                    self._comma_faults.check(with_point, row)
                else:
                    self._comma_faults.record(cell, row)

    def _check_marks(self, cell: str, row: int) -> None:
        """Record the first ambiguous cell, such as 1,200 or 1.200, and whether a cell determines the decimal mark."""
        if _THOUSANDS.fullmatch(cell) and ("," in cell or self._points_in_doubt):
            if self._ambiguous is None:
                self._ambiguous = cell, row
        elif "," in cell or "." in cell:
            self.decides |= reads_as_number(_in_mark(cell, COMMA)) or reads_as_number(cell)

    @property
    def holds_numbers(self) -> bool:
        """Whether the column holds rewards: most cells are numbers or texts of numbers."""
        if self.decimal_commas or self.all_booleans:
            return True
        return self._nonempty > 0 and self._numeric >= NUMERIC_SHARE * self._nonempty

    @property
    def all_booleans(self) -> bool:
        """Whether every cell that is not empty is true or false, as a boolean or as text."""
        return self._booleans > 0 and self._booleans == self._nonempty

    @property
    def has_booleans(self) -> bool:
        """Whether cells are true or false, which count as 1 and 0."""
        return self._has_booleans or self.all_booleans

    @property
    def usable(self) -> bool:
        """Whether every cell is a finite number."""
        try:
            self.refuse("")
        except InputError:
            return False
        return True

    @property
    def decimal_commas(self) -> bool:
        """Whether every cell is a number if commas are decimal marks, but not every one otherwise."""
        return self._commas and self._has_comma

    def question(self) -> Question | None:
        """Return the question about the decimal mark if a cell is ambiguous and no other cell of the column decides."""
        if self._decimal is not None or self._ambiguous is None or self.decides:
            return None
        cell, row = self._ambiguous
        return Question(
            f"row {row + 1}, column {self.name!r} is {cell!r}, and no other cell shows what its decimal mark is",
            DECIMAL,
            (
                Answer(POINT, f"{_in_mark(cell, POINT)} with a decimal point"),
                Answer(COMMA, f"{_in_mark(cell, COMMA)} with a decimal comma"),
            ),
        )

    def refuse(self, where: str, others: Sequence[str] = ()) -> None:
        """Raise if a cell is unusable.

        Args:
            where: the file, as the error names it.
            others: columns of rewards without such a cell, which the error suggests to import alone.

        Raises:
            InputError: a cell is empty, not a number, or not finite; the message has its row and column.
        """
        faults = self._faults
        if self.all_booleans:
            faults = self._boolean_faults
        if faults.count:
            alone = (
                f" Or choose only {', '.join(others)} as values{remedies.ONLY_VALUES.of(','.join(others))}."
                if others
                else ""
            )
            raise InputError(faults.message(where, self.name) + alone)

    def refuse_number_like(self, where: str) -> None:
        """Raise if most cells would be numbers without thousands separators or percent signs.

        Raises:
            InputError: with the first such cell.
        """
        if self._number_like * 2 > self._nonempty > 0:
            raise InputError(self._faults.message(where, self.name))

    @property
    def _faults(self) -> _NumberFaults:
        """The unusable cells: with decimal commas if the column has them or has fewer faults with them."""
        commas = self.decimal_commas or (self._has_comma and self._comma_faults.count < self._point_faults.count)
        return self._comma_faults if commas else self._point_faults

    def read(self, cells: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Parse cells that were added and not refused as float64, (row,)."""
        if self._decimal is not None and isinstance(cells, list):
            cells = [_in_mark(cell, self._decimal) for cell in cells]
        if self.all_booleans:
            return np.array([float(as_boolean(cell) or False) for cell in cells])
        if self.decimal_commas:
            return np.array([float(_in_mark(cell, COMMA)) for cell in cells])
        numbers = _floats(cells)
        return np.array([float(cell) for cell in cells]) if numbers is None else numbers


class CellFaults:
    """The unusable cells of a column: their number, the number of empty ones, the first cell, and the first rows."""

    def __init__(self) -> None:
        self.count = self.empty = 0
        self.rows: list[int] = []
        self.first: Any = None

    def record(self, cell: Any, row: int) -> None:
        """Record an unusable cell."""
        if not self.count:
            self.first = cell
        self.count += 1
        self.empty += is_empty(cell)
        if len(self.rows) <= LISTED:
            self.rows.append(row)

    def describe(self, where: str, column: str, why: str) -> str:
        """Return a message with the first cell, what is wrong with it, and how many more there are."""
        others = rows_of(self.rows[1:], self.count - 1)
        # Empty cells and cells that are not numbers are reported separately.
        other_kind = "no number" if is_empty(self.first) else "empty"
        others_count = self.count - self.empty if is_empty(self.first) else self.empty
        kind = f"more, {others_count} of them {other_kind}" if others_count else "more like it"
        if others_count == self.count - 1:
            kind = f"more, which {'is' if others_count == 1 else 'are'} {other_kind}"
        rows = "row" if self.count == 2 else "rows"
        more = f" (and {self.count - 1} {kind}, in {rows} {others})" if self.count > 1 else ""
        return f"{where}: row {self.rows[0] + 1}, column {column!r} {why}{more}"


class _NumberFaults(CellFaults):
    """The cells of a column that are not finite numbers."""

    def check(self, cell: Any, row: int) -> None:
        """Record a cell unless it is a usable number."""
        if not (reads_as_number(cell) and abs(float(cell)) <= LARGEST):
            self.record(cell, row)

    def message(self, where: str, column: str) -> str:
        """Return the error message."""
        cell = self.first
        if is_empty(cell):
            why, do = "is empty", "Score the reply or remove its row"
        elif reads_as_number(cell) and abs(float(cell)) <= LARGEST:
            why = f"is {cell}, with a decimal point where other cells have a comma"
            do = "Write all numbers with one decimal mark"
        elif reads_as_number(cell) and math.isfinite(float(cell)):
            why, do = f"is {cell}, too large to reckon with", "Write the value in a smaller unit"
        elif reads_as_number(cell):
            why, do = f"is {cell}, not a finite number", "Score the reply again or remove its row"
        elif isinstance(cell, str) and reads_as_number(cell.strip().removesuffix("%")):
            why, do = f"is {cell!r} with a percent sign", "Write plain numbers, in one unit"
        else:
            why, do = f"is {short(cell)}, not a number", "Write a number with a decimal point, or leave the column out"
        return f"{self.describe(where, column, why)}. {do}."


def _floats(cells: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """Convert all cells to float64 at once; None where a cell is not a plain finite number and needs its own check."""
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


def text_cells(
    cells: Sequence[Any] | np.ndarray, name: str, where: str, empty: bool, positions: Sequence[int] | None = None
) -> list[str]:
    """Parse the cells of a column of text; numbers are converted to text.

    Args:
        cells: the cells of a chunk.
        name: the column's name.
        where: the file, as the error names it.
        empty: whether a text may be empty.
        positions: positions of the rows in the file, counted from 0; consecutive by default.

    Raises:
        InputError: a cell is missing, empty where that is not allowed, or not text.
    """
    texts = []
    listed = cells.tolist() if isinstance(cells, np.ndarray) else cells
    for position, cell in zip(range(len(listed)) if positions is None else positions, listed, strict=True):
        row = position + 1
        if _is_nothing(cell) or (not empty and isinstance(cell, str) and not cell.strip()):
            raise InputError(f"{where}: row {row}, column {name!r} is empty; expected text. Remove the row or fill it.")
        if not isinstance(cell, str | int | float):
            raise InputError(f"{where}: row {row}, column {name!r} is {short(cell)}; expected text.")
        try:
            str(cell).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{where}: row {row}, column {name!r} holds half a character ({error}).") from error
        texts.append(str(cell))
    return texts


def reads_as_number(cell: Any) -> bool:
    """Return whether a cell is a number or the text of one; NaN and infinity are numbers here."""
    if isinstance(cell, bytes | bytearray) or (isinstance(cell, str) and "_" in cell):
        return False  # Python parses 1_000 as a number, but in a file it is a name
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def as_boolean(cell: Any) -> bool | None:
    """Return a cell that is true or false, as a boolean or as text in any case; None for any other."""
    if isinstance(cell, bool):
        return cell
    word = cell.strip().lower() if isinstance(cell, str) else ""
    return word == "true" if word in ("true", "false") else None


def _is_nothing(cell: Any) -> bool:
    """Return whether a cell is None or NaN."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_missing(cell: Any) -> bool:
    """Return whether a cell holds no text: blank, None or NaN."""
    return is_empty(cell) or _is_nothing(cell)


def is_empty(cell: Any) -> bool:
    """Return whether a cell is None or blank."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def column_list(names: Sequence[str]) -> str:
    """Join the names of columns; those without a name are counted at the end."""
    unnamed = sum(not name.strip() for name in names)
    named = [name for name in names if name.strip()]
    if unnamed:
        named.append("a column without a name" if unnamed == 1 else f"{unnamed} columns without a name")
    return ", ".join(named)


def rows_of(rows: Sequence[int], count: int | None = None) -> str:
    """Format the numbers of the first rows, counted from 1; ``count`` is the total where not all rows are given."""
    more = (len(rows) if count is None else count) > LISTED
    return ", ".join(str(row + 1) for row in rows[:LISTED]) + (", ..." if more else "")
