"""Remove prompts that are repeated at the beginning of their replies, as text-generation scripts often leave them.

A repeated prompt ends at a word boundary: "Hippos are not here" does not repeat "Hi". Whitespace is ignored in the
comparison, since tokenizers change it. Constraint: a genuine reply may begin with the words of its prompt ("Hi! How are
you?" to "Hi"), so by default prompts are removed only if most rows of a file repeat their prompt, and most of these
prompts are long.
"""

from __future__ import annotations

import unicodedata

from map_core.core import remedies
from map_core.data.importing.cells import LISTED, rows_of

#: Share of the rows above which repeated prompts are removed by default.
MOST = 0.5
#: Minimum length of a long prompt, which is rarely the beginning of a genuine reply, in characters.
LONG_PROMPT = 10
_JOINS_WORDS = frozenset("'’-_")


def without_prompt(prompt: str, reply: str) -> str | None:
    """Return a reply without the prompt at its beginning; None where it does not begin with the whole prompt."""
    end = _end_of_prompt(prompt, reply)
    return reply[end:].strip() if end is not None and _is_boundary(prompt, reply, end) else None


class EchoCount:
    """Counts the rows whose reply begins with its prompt."""

    def __init__(self) -> None:
        self.rows = self.echoes = self.long_echoes = 0
        self._whole_rows: list[int] = []

    def add(self, prompt: str, reply: str, row: int) -> None:
        """Add a row; ``row`` is counted from 0."""
        self.rows += 1
        if without_prompt(prompt, reply) is None:
            if len(self._whole_rows) <= LISTED:
                self._whole_rows.append(row)
            return
        self.echoes += 1
        self.long_echoes += len(prompt) >= LONG_PROMPT

    @property
    def removable(self) -> bool:
        """Whether prompts are removed by default: most rows repeat their prompt, and most of these are long."""
        return self.echoes > MOST * self.rows and 2 * self.long_echoes > self.echoes

    def removed(self, answer: str | None) -> bool:
        """Return whether prompts are removed, given the user's choice, "remove", "keep" or None."""
        return bool(self.echoes) and (answer == "remove" or (answer is None and self.removable))

    def notes(self, answer: str | None) -> list[str]:
        """Return sentences about removed and kept prompts."""
        if not self.echoes:
            return []
        if not self.removed(answer):
            return [
                f"{self.echoes} of {self.rows} replies begin with the words of their prompt and are kept "
                f"whole{remedies.ECHOES_OFF}."
            ]
        repeats = "1 reply repeats its" if self.echoes == 1 else f"{self.echoes} replies repeat their"
        notes = [f"{repeats} prompt, which is taken off."]
        if kept := self.rows - self.echoes:
            verbs = "does not and is kept whole, in row" if kept == 1 else "do not and are kept whole, in rows"
            notes.append(f"{kept} {verbs} {rows_of(self._whole_rows, kept)}.")
        return notes


def _end_of_prompt(prompt: str, reply: str) -> int | None:
    """Return the index after the prompt in a reply that begins with it up to whitespace; None for other replies."""
    if reply.startswith(prompt):
        return len(prompt)
    if reply.lstrip()[:1] != prompt[:1]:
        return None
    end = 0
    for letter in "".join(prompt.split()):
        while end < len(reply) and reply[end].isspace():
            end += 1
        if end == len(reply) or reply[end] != letter:
            return None
        end += 1
    return end


def _is_boundary(prompt: str, reply: str, end: int) -> bool:
    """Return whether a word of a reply ends at this index."""
    rest = reply[end : end + 2]
    if not rest:
        return True
    if unicodedata.category(rest[0])[0] == "M":  # an accent, or another mark of the letter before it
        return False
    last = prompt[-1]
    if not last.isalnum() or unicodedata.east_asian_width(last) in "WF":  # scripts without spaces between words
        return True
    if rest[0].isalnum():
        return False
    inside_word = rest[0] in _JOINS_WORDS or (rest[0] in ".," and last.isdigit() and rest[1:].isdigit())
    return not (inside_word and rest[1:].isalnum())
