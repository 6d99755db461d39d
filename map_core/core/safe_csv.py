"""Write CSV whose text no spreadsheet evaluates as a formula.

A spreadsheet evaluates a cell that begins with = + - or @ as a formula, and prompts, replies and column names may begin
with these. Constraint: standard library only; every CSV export uses this module.

Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO, Any

#: First characters of a formula in common spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def text_cell(text: str) -> str:
    """Return text that a spreadsheet shows as text: prefixed with an apostrophe where it looks like a formula.

    Example:
        >>> text_cell("=1+1"), text_cell("Hello.")
        ("'=1+1", 'Hello.')
    """
    return "'" + text if text.startswith(FORMULA) else text


def cell(content: Any) -> Any:
    """Return a cell's content: text as :func:`text_cell`, numbers and texts that are numbers unchanged.

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
    """A ``csv.writer`` whose cells no spreadsheet evaluates.

    Args:
        out: a text file opened for writing.
    """

    def __init__(self, out: IO[str]) -> None:
        self._writer = csv.writer(out)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow([cell(content) for content in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several rows."""
        for row in rows:
            self.writerow(row)
