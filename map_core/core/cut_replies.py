"""Mark replies that were cut by their length limit, and shorten them to complete sentences."""

from __future__ import annotations

import re

#: An ellipsis after a no-break space, so that it is never alone on a line.
MARK = "\u00a0…"
#: The end of a sentence: its punctuation, closing quotes and brackets, then white space.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*(?=\s)")
#: A text is shortened only if at least this share of it remains.
_LEAST_SHARE = 0.4


def with_mark(text: str, cut: bool) -> str:
    """Return a reply's text as people read it, with the mark if it was cut.

    Example:
        >>> with_mark("One two ", True).split(), with_mark("One two.", False)
        (['One', 'two', '…'], 'One two.')
    """
    return f"{text.rstrip()}{MARK}" if cut else text


def shorter(marked: str) -> str | None:
    """Shorten a cut reply to its last complete sentence; None where it was not cut or cannot be shortened.

    Args:
        marked: a reply as :func:`with_mark` returns it.

    Example:
        >>> shorter(with_mark("It rains. Take a coat. And then you sho", True)).split()[-2:]
        ['coat.', '…']
        >>> shorter("It rains. And"), shorter(with_mark("It rains and rains", True))
        (None, None)
    """
    if not marked.endswith(MARK):
        return None
    text = marked.removesuffix(MARK)
    kept = complete_sentences(text)
    return None if kept == text else with_mark(kept, True)


def complete_sentences(text: str) -> str:
    """Return a cut text without its incomplete last sentence; the whole text where little would remain.

    A number before a full stop ("1.") does not end a sentence: it begins an entry of a list.

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
