"""Name the targets beyond averages that a page leaves out."""

from __future__ import annotations

from collections.abc import Sequence

from map_core.text.sentences import listed


def uncounted_targets(asked: Sequence[str]) -> str:
    """Return a sentence on the targets of a palette that a page leaves out.

    Args:
        asked: sentences, as of :func:`map_core.text.protections.asked_sentences`.

    Example:
        >>> uncounted_targets(["No use case below its original level."])
        'This page leaves out what your palette also asks for: no use case below its original level.'
    """
    inner = listed([sentence[:1].lower() + sentence[1:].removesuffix(".") for sentence in asked])
    return f"This page leaves out what your palette also asks for: {inner}."
