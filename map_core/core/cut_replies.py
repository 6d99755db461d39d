"""A reply that its length limit has cut, the same wherever a reply is read: its mark, and its complete sentences."""

from __future__ import annotations

import re

#: An ellipsis that stays with the last word: a space that no line breaks at, and so never alone on a line.
MARK = "\u00a0…"
#: The end of a sentence: its stop, what closes behind it, and then a space or a new line.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*(?=\s)")
#: Less than this share of a text is never all that is left of it.
_LEAST_SHARE = 0.4


def with_mark(text: str, cut: bool) -> str:
    """Return what people read of a reply: its text, with the mark where it was cut.

    Example:
        >>> with_mark("One two ", True).split(), with_mark("One two.", False)
        (['One', 'two', '…'], 'One two.')
    """
    return f"{text.rstrip()}{MARK}" if cut else text


def shorter(shown: str) -> str | None:
    """Return a reply that people read, when it was cut, up to its last complete sentence; None where all is shown.

    Args:
        shown: as :func:`with_mark` made it.

    Example:
        >>> shorter(with_mark("It rains. Take a coat. And then you sho", True)).split()[-2:]
        ['coat.', '…']
        >>> shorter("It rains. And"), shorter(with_mark("It rains and rains", True))
        (None, None)
    """
    if not shown.endswith(MARK):
        return None
    text = shown.removesuffix(MARK)
    kept = complete_sentences(text)
    return None if kept == text else with_mark(kept, True)


def complete_sentences(text: str) -> str:
    """Return a text that was cut without the sentence that it breaks off in; all of it where little would be left.

    A number before a full stop ("1.") ends no sentence: it begins an entry of a list.

    Example:
        >>> complete_sentences("It rains. Take a coat. And then you sho")
        'It rains. Take a coat.'
        >>> complete_sentences("It rains and rains and rai")
        'It rains and rains and rai'
    """
    ends = [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        if not re.search(r"(?:^|\n)\s*\d+$", text[: match.start()])
    ]
    if not ends or ends[-1] < _LEAST_SHARE * len(text.rstrip()):
        return text
    return text[: ends[-1]]
