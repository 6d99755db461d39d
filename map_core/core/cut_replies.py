"""The mark of a reply that its length limit has cut, the same wherever a reply is read."""

from __future__ import annotations

#: An ellipsis that stays with the last word: a space that no line breaks at, and so never alone on a line.
MARK = "\u00a0…"


def with_mark(text: str, cut: bool) -> str:
    """Return what people read of a reply: its text, with the mark where it was cut.

    Example:
        >>> with_mark("One two ", True).split(), with_mark("One two.", False)
        (['One', 'two', '…'], 'One two.')
    """
    return f"{text.rstrip()}{MARK}" if cut else text
