"""Convert the turns of a chat before a reply to the text of a prompt.

A single turn of a user becomes its text alone. Constraint: a table stores a prompt as text, so each of several turns
begins with its role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Turn = tuple[str, str]
"""The role, in lower case, and the text."""

_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "prompter": "user"}


def is_chat(cell: Any) -> bool:
    """Return whether a cell is a list of messages, each with a role and a text."""
    return isinstance(cell, list | tuple) and bool(cell) and all(_turn(message) is not None for message in cell)


def turns_of(chat: Sequence[Any]) -> list[Turn]:
    """Return the turns of a chat, see :func:`is_chat`."""
    return [turn for message in chat if (turn := _turn(message)) is not None]


def as_prompt(turns: Sequence[Turn]) -> str:
    r"""Convert turns to the text of a prompt.

    Example:
        >>> as_prompt([("system", "Be brief."), ("user", "Name a fruit.")])
        'System: Be brief.\\n\\nUser: Name a fruit.'
    """
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def split_reply(turns: Sequence[Turn]) -> tuple[str, str] | None:
    """Return the prompt and the reply of a chat that ends with an assistant's turn; None where it does not."""
    if len(turns) < 2 or turns[-1][0] != "assistant":
        return None
    return as_prompt(turns[:-1]), turns[-1][1]


def _turn(message: Any) -> Turn | None:
    if not isinstance(message, Mapping):
        return None
    role = message.get("role", message.get("from"))
    text = message.get("content", message.get("value"))
    if isinstance(text, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in text):
        text = "\n".join(str(part.get("text", "")) for part in text)
    if not isinstance(role, str) or not isinstance(text, str):
        return None
    role = role.strip().lower()
    return _ROLES.get(role, role), text.strip()
