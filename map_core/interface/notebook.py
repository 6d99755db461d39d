"""Small HTML tables by which results show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from map_core.core import amounts


def level_text(number: float | None) -> str:
    """Return a number with three decimals; "" for None."""
    return "" if number is None else amounts.fixed(number, 3)


def html_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table for a notebook; every text is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
