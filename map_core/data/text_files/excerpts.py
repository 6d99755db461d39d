"""Quote content of a file, shortened for a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def short(cell: Any, longest: int = 60) -> str:
    """Return the repr of a cell or a line, shortened."""
    text = repr(cell)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def first_twice(names: Iterable[str]) -> str:
    """Return the first name that occurs more than once; there must be one."""
    listed = list(names)
    return next(name for name in listed if listed.count(name) > 1)
