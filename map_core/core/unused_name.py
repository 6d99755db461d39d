"""Make names unique among others by adding a number to a taken name."""

from __future__ import annotations

from collections.abc import Callable


def unused_name(name: str, is_taken: Callable[[str], bool], longest: int | None = None) -> str:
    """Return a name, followed by the first free number from 2 if it is taken.

    Args:
        name: the wanted name.
        is_taken: whether something else has a name.
        longest: maximum number of characters; a longer name is cut at its end to make room for the number.

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
