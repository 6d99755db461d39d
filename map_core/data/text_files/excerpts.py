"""Quote content of a file, shortened for a message, and refuse a header that names two columns alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from map_core.errors import InputError


def short(cell: Any, longest: int = 60) -> str:
    """Return the repr of a cell or a line, shortened."""
    text = repr(cell)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def first_twice(names: Iterable[str]) -> str:
    """Return the first name that occurs more than once; there must be one."""
    listed = list(names)
    return next(name for name in listed if listed.count(name) > 1)


def check_columns(names: Sequence[str], where: object) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Args:
        names: of the columns, in the file's order.
        where: the file, as an error names it.

    Raises:
        InputError: two columns have the same name.
    """
    if len(set(names)) < len(names):
        raise InputError(f"{where} has the column {first_twice(names)!r} twice. Rename one of them.")
    return tuple(names)
