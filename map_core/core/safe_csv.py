"""Rows for spreadsheets, as CSV: text is shown as text, whatever it begins with.

A spreadsheet takes a cell that begins with = + - or @ for a formula and runs it, and what people write, what models
reply and what columns of files are called may begin so. Constraint: standard library only; everything that the app
exports as CSV goes through here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO, Any

#: What a formula begins with, in the spreadsheets that there are.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def text_cell(text: str) -> str:
    """Text that a spreadsheet shows as text.

    Example:
        >>> text_cell("=1+1"), text_cell("Hello.")
        ("'=1+1", 'Hello.')
    """
    return "'" + text if text.startswith(FORMULA) else text


def cell(content: Any) -> Any:
    """A cell's content: text as :func:`text_cell` gives it, numbers as they are, in figures too.

    Example:
        >>> cell("-0.25"), cell("-x"), cell(-1)
        ('-0.25', "'-x", -1)
    """
    if not isinstance(content, str) or not content.startswith(FORMULA):
        return content
    try:
        float(content)
    except ValueError:
        return text_cell(content)
    return content if content[0] not in "\t\r" else text_cell(content)


class Writer:
    """Writes rows as CSV, as ``csv.writer`` does, with cells that no spreadsheet runs.

    Args:
        out: where they go.
    """

    def __init__(self, out: IO[str]) -> None:
        self._writer = csv.writer(out)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([cell(content) for content in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several."""
        for row in rows:
            self.writerow(row)
