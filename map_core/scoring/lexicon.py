"""Score values from the words alone: plain language, diversity, sentiment. No model, thousands of replies a second.

Constraint: standard library, vaderSentiment and pyphen only; English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.scoring.base import Card, Scorer

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_WORD_OR_MARK = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\d\.)[\"'”’)*]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a line break ends one too, and an unfinished one counts."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def words(text: str) -> list[str]:
    """Return the words of a text: letters, with an apostrophe between them."""
    return _WORD.findall(text)


class PlainLanguage(Scorer):
    """Flesch reading ease: 206.835 - 1.015 words per sentence - 84.6 syllables per word, at least 0."""

    card = Card(
        name="plain_language",
        title="Plain language",
        measures="How easy the reply is to read: short sentences of short words (Flesch reading ease, 0 to 121).",
        misses="Whether the reply makes sense: nonsense in short words reads easily too.",
        licence="GPL 2.0+/LGPL 2.1+/MPL 1.1 (pyphen)",
        source="Flesch, A new readability yardstick, 1948; syllables by pyphen",
        version="1",
        partial=True,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the reading ease of each reply; 0 for a reply without words."""
        return np.array([self._ease(reply.text) for reply in replies], dtype=np.float64)

    @staticmethod
    def _ease(text: str) -> float:
        tokens = words(text)
        if not tokens:
            return 0.0
        with_words = sum(1 for part in sentences(text) if words(part))
        syllables = sum(_syllables(word.lower()) for word in tokens)
        ease = 206.835 - 1.015 * len(tokens) / with_words - 84.6 * syllables / len(tokens)
        return max(ease, 0.0)


class Diversity(Scorer):
    """Product over n = 2, 3, 4 of the share of distinct n-grams among a reply's n-grams, 0 to 1."""

    card = Card(
        name="diversity",
        title="Diversity",
        measures="How little the reply repeats itself: 1 when no two, three or four words in a row come twice.",
        misses="Repetition in other words, and repetition between replies.",
        licence="that of this project",
        source="Wang et al., MAP, ICLR 2025 (arXiv 2410.19198), after Su et al., contrastive search, 2022",
        version="1",
        partial=True,
    )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the diversity of each reply; 0 for a reply without words, 1 for one too short to repeat anything."""
        return np.array([self.of(reply.text) for reply in replies], dtype=np.float64)

    @staticmethod
    def of(text: str) -> float:
        """Return the diversity of one text."""
        words = _WORD_OR_MARK.findall(text.lower())
        if not words:
            return 0.0
        product = 1.0
        for n in (2, 3, 4):
            grams = list(zip(*(words[start:] for start in range(n)), strict=False))
            if grams:
                product *= len(set(grams)) / len(grams)
        return product


def sentiment(text: str) -> float:
    """Return the mean over sentences of VADER's compound sentiment, -1 to 1; 0 (neutral) for a text without words."""
    parts = sentences(text)
    return float(np.mean([_vader().polarity_scores(part)["compound"] for part in parts])) if parts else 0.0


def negativity(text: str) -> float:
    """Return VADER's share of a text that is negative, 0 to 1; 0 for a text without words."""
    return float(_vader().polarity_scores(text)["neg"]) if text.strip() else 0.0


@lru_cache(maxsize=1)
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=1)
def _hyphenation() -> Any:
    import pyphen

    return pyphen.Pyphen(lang="en_US")


@lru_cache(maxsize=65536)
def _syllables(word: str) -> int:
    return len(_hyphenation().positions(word)) + 1
