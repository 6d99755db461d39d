"""What identifies a prompt in a file: its text, its use case, and its id where the file has ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from map_core.core import remedies
from map_core.core.amounts import counted
from map_core.data.importing.questions import Answer, Question


def prompt_hash(use_case: str, prompt: str, name: str = "") -> bytes:
    """Return the key of a prompt: the same text in two use cases or with two ids is two prompts.

    Args:
        use_case: its use case.
        prompt: its text.
        name: its id; "" where the file has none.
    """
    text = f"{use_case}\0{prompt}" if not name else f"{use_case}\0{prompt}\0{name}"
    return hashlib.sha256(text.encode()).digest()[:16]


class PromptIds:
    """Checks the ids of a file's prompts: whether they are unique, and whether one text has several.

    Attributes:
        unique: whether every prompt has an id that no other prompt has.
    """

    def __init__(self) -> None:
        self.unique = True
        self._ids: set[bytes] = set()
        self._texts: set[bytes] = set()
        self._prompts = self._without = 0

    def add(self, name: str, use_case: str, prompt: str) -> None:
        """Add a prompt that differs from all earlier ones; ``name`` is its id, "" where it has none."""
        key = hashlib.sha256(name.encode()).digest()[:16]
        self.unique &= bool(name) and key not in self._ids
        self._ids.add(key)
        self._texts.add(prompt_hash(use_case, prompt))
        self._prompts += 1
        self._without += not name

    def notes(self, column: str) -> list[str]:
        """Return sentences about the effect of the ids in this column."""
        notes = []
        if self._prompts > len(self._texts):
            notes.append(
                f"{column!r} makes {self._prompts} prompts of {counted(len(self._texts), 'text')}: one text under two "
                f"ids is two prompts{remedies.BY_TEXTS}."
            )
        if not self.unique and not self._without:
            notes.append(f"One id of {column!r} comes with several prompts, each of which is a prompt of its own.")
        if self._without:
            verbs = "has no {} and is" if self._without == 1 else "have no {} and are"
            notes.append(f"{counted(self._without, 'prompt')} {verbs.format(repr(column))} told apart by their text.")
        return notes


class PartOfPrompt:
    """Checks whether a column that is left out distinguishes prompts, so that it may be part of them.

    Args:
        name: the column's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys_with_part: set[bytes] = set()
        self._is_text = True

    def add(self, keys: Sequence[bytes], cells: Iterable[Any]) -> None:
        """Add the cells of a chunk, with the keys of their prompts."""
        for key, cell in zip(keys, cells, strict=True):
            self._is_text &= cell is None or isinstance(cell, str)
            if self._is_text:
                part = (cell or "").strip().encode(errors="replace")
                self._keys_with_part.add(hashlib.sha256(key + part).digest()[:16])

    def question(self, prompts: int) -> Question | None:
        """Return the question whether the column is part of the prompt; None if no prompts differ only in it.

        Args:
            prompts: number of prompts without the column.
        """
        if not self._is_text or len(self._keys_with_part) <= prompts:
            return None
        return Question(
            f"the column {self.name!r} is in no prompt, and rows with the same prompt differ in it",
            "--context-column",
            (
                Answer(self.name, f"{counted(len(self._keys_with_part), 'prompt')} with it"),
                Answer("", f"{counted(prompts, 'prompt')} without it"),
            ),
        )
