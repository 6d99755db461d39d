"""What a prompt is in a file: its text in its use case, and its id where the file has ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from map_core.core.amounts import counted
from map_core.data.importing.questions import Answer, Question


def prompt_hash(use_case: str, prompt: str, name: str = "") -> bytes:
    """Return the key of a prompt: one text in two use cases or under two ids is two prompts.

    Args:
        use_case: of the prompt.
        prompt: its text.
        name: its id; "" where the file has none.
    """
    text = f"{use_case}\0{prompt}" if not name else f"{use_case}\0{prompt}\0{name}"
    return hashlib.sha256(text.encode()).digest()[:16]


class PromptIds:
    """The ids of a file's prompts: whether each has one of its own, and whether one text has several.

    Attributes:
        unique: every prompt has an id that no other one has.
    """

    def __init__(self) -> None:
        self.unique = True
        self._ids: set[bytes] = set()
        self._texts: set[bytes] = set()
        self._prompts = self._without = 0

    def add(self, name: str, use_case: str, prompt: str) -> None:
        """Add a prompt that differs from all before it; ``name`` is its id, "" where it has none."""
        key = hashlib.sha256(name.encode()).digest()[:16]
        self.unique &= bool(name) and key not in self._ids
        self._ids.add(key)
        self._texts.add(prompt_hash(use_case, prompt))
        self._prompts += 1
        self._without += not name

    def notes(self, column: str) -> list[str]:
        """Return sentences on what the ids of this column decide."""
        notes = []
        if self._prompts > len(self._texts):
            notes.append(
                f"{column!r} makes {self._prompts} prompts of {counted(len(self._texts), 'text')}: one text under two "
                'ids is two prompts (--prompt-id-column "" goes by texts alone).'
            )
        if not self.unique and not self._without:
            notes.append(f"One id of {column!r} comes with several prompts, each of which is a prompt of its own.")
        if self._without:
            verbs = "has no {} and is" if self._without == 1 else "have no {} and are"
            notes.append(f"{counted(self._without, 'prompt')} {verbs.format(repr(column))} told apart by their text.")
        return notes


class PartOfPrompt:
    """A column that is left out and may be part of the prompt: whether prompts differ in it alone.

    Args:
        name: of the column.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._with: set[bytes] = set()
        self._is_text = True

    def add(self, keys: Sequence[bytes], cells: Iterable[Any]) -> None:
        """Add the cells of a chunk, beside the keys of their prompts."""
        for key, cell in zip(keys, cells, strict=True):
            self._is_text &= cell is None or isinstance(cell, str)
            if self._is_text:
                self._with.add(hashlib.sha256(key + (cell or "").strip().encode(errors="replace")).digest()[:16])

    def question(self, prompts: int) -> Question | None:
        """Return what has to be asked; None where prompts do not differ in this column alone.

        Args:
            prompts: how many there are without it.
        """
        if not self._is_text or len(self._with) <= prompts:
            return None
        return Question(
            f"the column {self.name!r} is in no prompt, and rows with the same prompt differ in it",
            "--context-column",
            (
                Answer(self.name, f"{counted(len(self._with), 'prompt')} with it"),
                Answer("", f"{counted(prompts, 'prompt')} without it"),
            ),
        )
