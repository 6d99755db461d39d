"""Find the prompt of rows with several replies, and the other fields that such rows keep."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.data.importing.column_roles import (
    CONTEXT_NAMES,
    HELD_OUT_NAMES,
    PROMPT_NAMES,
    SYSTEM_NAMES,
    USE_CASE_NAMES,
    column_named,
)
from map_core.data.importing.layouts.chats import CHAT_NAMES, chat_of, prompt_text
from map_core.data.importing.layouts.layout import Row
from map_core.data.table_columns import normalised

#: Fields that describe a prompt, and are kept with each of its replies.
_KEPT = frozenset((*USE_CASE_NAMES, *HELD_OUT_NAMES, *CONTEXT_NAMES, *SYSTEM_NAMES, "prompt_id", "weight"))


@dataclass(frozen=True)
class PromptSource:
    """The field of a prompt.

    Args:
        column: its name.
    """

    column: str

    @classmethod
    def find(cls, rows: Sequence[Row], columns: Sequence[str]) -> PromptSource | None:
        """Return the field that holds prompts, as texts or as chats; None where there is none."""
        text = column_named(columns, PROMPT_NAMES)
        if text is not None:
            return cls(text)
        for name in columns:
            may_be_chat = normalised(name) in (*CHAT_NAMES, *CONTEXT_NAMES)
            if may_be_chat and rows and all(chat_of(row.get(name)) for row in rows):
                return cls(name)
        return None

    @property
    def described(self) -> str:
        """A description, for the middle of a sentence."""
        return f"{self.column!r} is the prompt"

    def text(self, row: Row) -> Any:
        """Return the prompt of a row."""
        return prompt_text(row.get(self.column))


def kept_fields(columns: Sequence[str], used: Collection[str]) -> list[str]:
    """Return the unused fields that describe a prompt, such as its use case."""
    return [name for name in columns if name not in used and normalised(name) in _KEPT]


def left_out(columns: Sequence[str], used: Collection[str], kept: Collection[str]) -> tuple[str, ...]:
    """Return the fields that are neither used nor kept."""
    return tuple(name for name in columns if name not in used and name not in kept)
