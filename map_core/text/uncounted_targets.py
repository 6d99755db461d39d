"""Word what a palette asks for that the pages do not count: shares of replies and levels of one use case."""

from __future__ import annotations

from collections.abc import Mapping


def uncounted_targets(columns: Mapping[str, float | str]) -> str:
    """Return a sentence on the targets of a palette that a page leaves out.

    Args:
        columns: of :class:`map_core.palettes.palette.Palette`.

    Example:
        >>> uncounted_targets({"kindness>=p20": 0.95})
        'This palette also asks for kindness>=p20: 0.95; it is kept, and only the command line counts it.'
    """
    asked = ", ".join(f"{name}: {level}" for name, level in columns.items())
    kept = (
        "it is kept, and only the command line counts it"
        if len(columns) == 1
        else "they are kept, and only the command line counts them"
    )
    return f"This palette also asks for {asked}; {kept}."
