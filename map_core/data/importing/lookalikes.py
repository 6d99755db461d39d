r"""Find prompts that differ only in invisible characters, and may be two spellings of one prompt or two prompts.

Invisible differences are spaces at the ends of lines, the kind of a space (no-break, thin), zero-width and other
characters without a shape, line ends (\r\n, \r, \n), and whether an accented letter is one character or two. Letter
case, tabs, the number of spaces and joiners inside words of other scripts are visible. Constraint: prompts are added
one at a time, and only a hash and a few bytes are kept of each.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable

import numpy as np

from map_core.core.amounts import counted
from map_core.data.importing.identity import prompt_hash
from map_core.data.importing.questions import Answer, Question

OPTION, MERGE, APART = "--lookalikes", "merge", "apart"

#: Characters without a shape: soft hyphen, grapheme joiner, zero-width space and word joiner, direction marks, byte
#: order mark, and control characters that are not white space; and joiners without a letter to join on one side.
_SHAPELESS = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
    "|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_OTHER_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_AT_LINE_END = re.compile(" +(?=\n|$)")
_KINDS = (
    (1, "characters without a shape, such as a zero-width space"),
    (2, "line ends"),
    (4, "no-break or other special spaces"),
    (8, "letters with accents, written as one character or as two"),
    (16, "spaces at the ends of lines or of the prompt"),
)


def visible(prompt: str) -> tuple[str, int]:
    """Return the visible text of a prompt, and the kinds of invisible differences that it has, as bits.

    Example:
        >>> visible("How are you?\u00a0")
        ('How are you?', 20)
    """
    text, kinds = prompt, 0
    while True:
        shorter, more_kinds = _without_invisible(text)
        kinds |= more_kinds
        if shorter == text:
            return text, kinds
        text = shorter  # once more, as the removed characters may have separated others that belong together


def _without_invisible(prompt: str) -> tuple[str, int]:
    if prompt.isascii() and prompt.isprintable() and prompt == prompt.strip():
        return prompt, 0
    kinds, text = 0, prompt
    for kind, pattern, replacement in ((1, _SHAPELESS, ""), (2, _LINE_END, "\n"), (4, _OTHER_SPACE, " ")):
        replaced = pattern.sub(replacement, text)
        kinds |= kind if replaced != text else 0
        text = replaced
    composed = unicodedata.normalize("NFC", text)
    kinds |= 8 if composed != text else 0
    trimmed = _AT_LINE_END.sub("", composed).strip()
    return trimmed, kinds | (16 if trimmed != composed else 0)


class Lookalikes:
    """Finds the prompts of a file that look alike.

    Attributes:
        count: number of prompts.
        merged: number of prompts after merging those that look alike.
    """

    def __init__(self) -> None:
        self.count = self.merged = 0
        self._first_of: dict[bytes, int] = {}
        self._alike = array("i")
        self._kinds, self._differences = bytearray(), 0
        self._example: tuple[int, int] | None = None

    def add(self, use_case: str, prompt: str, name: str) -> None:
        """Add a prompt that differs from all earlier ones; ``name`` is its id, "" where it has none."""
        text, kinds = visible(prompt)
        first = self._first_of.setdefault(prompt_hash(use_case, text, name), self.count)
        self._alike.append(first)
        self._kinds.append(kinds)
        if first == self.count:
            self.merged += 1
        else:
            self._differences |= (self._kinds[first] ^ kinds) or kinds
            self._example = self._example or (first, self.count)
        self.count += 1

    @property
    def first_alike(self) -> np.ndarray:
        """(prompt,) the index of the first prompt that looks like each."""
        return np.frombuffer(self._alike, dtype=np.int32)

    def question(self, row_of: Callable[[int], int]) -> Question | None:
        """Return the question whether to merge lookalikes; None where all prompts look different.

        Args:
            row_of: maps the index of a prompt to its first row, counted from 1.
        """
        if self._example is None:
            return None
        kinds = " and ".join(name for kind, name in _KINDS if self._differences & kind)
        rows = [row_of(prompt) for prompt in self._example]
        alike = int(np.sum(np.bincount(self.first_alike, minlength=self.count)[self.first_alike] > 1))
        return Question(
            f"{alike} prompts look like another one and differ only in {kinds}, as in rows {rows[0]} and {rows[1]}",
            OPTION,
            (
                Answer(MERGE, f"{counted(self.merged, 'prompt')} in all where they are merged"),
                Answer(APART, f"{counted(self.count, 'prompt')} where they are kept apart"),
            ),
        )

    def note(self, answer: str) -> str:
        """Return a sentence about what was done."""
        if answer == MERGE:
            return f"{counted(self.count, 'prompt')} are {self.merged}, since those that look alike are merged."
        later = self.count - self.merged
        verbs = "looks like an earlier one and is" if later == 1 else "look like an earlier one and are"
        return f"{counted(later, 'prompt')} {verbs} kept apart."
