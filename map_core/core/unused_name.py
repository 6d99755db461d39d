"""Names that have to be unique among others: a number is added to one that is taken."""

from __future__ import annotations

from collections.abc import Callable


def unused_name(name: str, is_taken: Callable[[str], bool], longest: int | None = None) -> str:
    """Return a name, with the first number from 2 that is free where it is taken.

    Args:
        name: as it is wanted.
        is_taken: whether something else has a name.
        longest: characters that a name may have; the end of a longer one is cut off to make room for the number.

    Example:
        >>> unused_name("Cold", ["Warm"].__contains__), unused_name("Warm", ["Warm", "Warm (2)"].__contains__)
        ('Cold', 'Warm (3)')
    """
    candidate, number = name[:longest], 2
    while is_taken(candidate):
        suffix = f" ({number})"
        candidate = (name if longest is None else name[: longest - len(suffix)].rstrip()) + suffix
        number += 1
    return candidate
