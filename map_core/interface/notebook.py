"""Format results as small HTML tables for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from map_core.core import amounts


def level_text(number: float | None) -> str:
    """Format a number with three decimals; "" for None."""
    return "" if number is None else amounts.fixed(number, 3)


def html_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table; every text is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
