r"""Prompts that differ only in what nobody sees: two spellings of one prompt, or two prompts.

What is not seen: spaces at the ends of lines, the kind of a space (no-break, thin), zero-width and other characters
without a shape, line ends (\r\n, \r, \n), and whether an accented letter is one character or two. Letter case, tabs,
the number of spaces and joiners inside words of other scripts are seen. Constraint: prompts come one at a time, and a
hash and a few bytes are kept of each.
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

#: Without a shape: soft hyphen, grapheme joiner, zero-width space and word joiner, marks of direction, byte order mark,
#: and control characters that are no white space; and joiners that have nothing to join on one side.
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
    """Return what is seen of a prompt, and which kinds of unseen differences it holds, as bits.

    Example:
        >>> visible("How are you?\u00a0")
        ('How are you?', 20)
    """
    text, kinds = _without_unseen(prompt)
    while text != (again := _without_unseen(text))[0]:  # what was left out stood between what belongs together
        text, kinds = again[0], kinds | again[1]
    return text, kinds


def _without_unseen(prompt: str) -> tuple[str, int]:
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

    Args:
        count: how many prompts there are.
        merged: how many there are when those that look alike are one.
    """

    def __init__(self) -> None:
        self.count = self.merged = 0
        self._first_of: dict[bytes, int] = {}
        self._alike = array("i")
        self._kinds, self._differences = bytearray(), 0
        self._example: tuple[int, int] | None = None

    def add(self, use_case: str, prompt: str, name: str) -> None:
        """Add a prompt that differs from all before it; ``name`` is its id, "" where it has none."""
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
        """(prompt,) the number of the first prompt that looks like each."""
        return np.frombuffer(self._alike, dtype=np.int32)

    def question(self, row_of: Callable[[int], int]) -> Question | None:
        """Return what has to be asked; None where all prompts look different.

        Args:
            row_of: from the number of a prompt to its first row, counted from 1.
        """
        if self._example is None:
            return None
        kinds = " and ".join(name for kind, name in _KINDS if self._differences & kind)
        rows = [row_of(number) for number in self._example]
        # As many prompts as share their look with another one.
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
        """Return what was done, as a sentence."""
        if answer == MERGE:
            return f"{counted(self.count, 'prompt')} are {self.merged}, since those that look alike are merged."
        later = self.count - self.merged
        verbs = "looks like an earlier one and is" if later == 1 else "look like an earlier one and are"
        return f"{counted(later, 'prompt')} {verbs} kept apart."
