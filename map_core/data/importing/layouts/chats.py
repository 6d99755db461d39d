"""The layout of rows with one reply in which prompts or replies are chats, or scores are in a nested object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from map_core.data.importing.column_roles import PROMPT_NAMES, REPLY_NAMES, column_named
from map_core.data.importing.layouts.layout import (
    PROMPT,
    REPLY,
    SCORE_FIELDS,
    Layout,
    Path,
    Row,
    at,
    column,
    decoded,
    dotted,
    named_values,
    number_fields,
)
from map_core.data.importing.turns import Turn, as_prompt, is_chat, split_reply, turns_of
from map_core.data.table_columns import normalised

#: Columns that hold a whole chat, its reply included.
CHAT_NAMES = ("messages", "conversations", "conversation", "chat", "dialogue", "dialog", "turns")
_MARK = re.compile(r"(?:^|\n\n)(Human|Assistant|User|System): ?")


def dialogue(text: Any) -> list[Turn] | None:
    """Return the turns of a text dialogue with "Human:" and "Assistant:" before each turn; None for other texts."""
    if not isinstance(text, str) or "\n\nAssistant:" not in text or not _MARK.match(text.lstrip("\n")):
        return None
    _, *parts = _MARK.split(text.lstrip("\n"))
    roles = ["user" if role == "Human" else role.lower() for role in parts[::2]]
    return list(zip(roles, (part.strip() for part in parts[1::2]), strict=True))


def chat_of(cell: Any) -> list[Turn] | None:
    """Return the turns of a cell that is a chat or a text dialogue; None for any other."""
    content = decoded(cell)
    return turns_of(content) if is_chat(content) else dialogue(cell)


def prompt_and_reply(cell: Any, where: str) -> tuple[str, str]:
    """Return the prompt and the reply of a chat that ends with the assistant's turn.

    Raises:
        ValueError: the cell is not such a chat.
    """
    turns = chat_of(cell)
    parts = None if turns is None else split_reply(turns)
    if parts is None:
        raise ValueError(f"{where!r} holds no chat that ends with a reply of the assistant")
    return parts


def prompt_text(cell: Any) -> Any:
    """Return a prompt as text: the text of a chat's turns, or the cell itself."""
    content = decoded(cell)
    return as_prompt(turns_of(content)) if is_chat(content) else cell


def reply_text(cell: Any) -> Any:
    """Return a reply as text: the text of a chat's only turn, or the cell itself."""
    content = decoded(cell)
    if is_chat(content):
        turns = turns_of(content)
        if len(turns) == 1 and turns[0][0] == "assistant":
            return turns[0][1]
    return cell


def find(rows: Sequence[Row], columns: Sequence[str]) -> Layout | None:
    """Return the layout of rows with one chat per row, or with scores in an object; None for other rows."""
    prompt = column_named(columns, PROMPT_NAMES)
    reply = column_named([name for name in columns if name != prompt], REPLY_NAMES)
    whole = next((name for name in columns if normalised(name) in CHAT_NAMES and _all_chats(rows, name)), None)
    scores = {
        name: number_fields([cell for cell in column(rows, name) if isinstance(cell, dict)])
        for name in columns
        if normalised(name) in SCORE_FIELDS and all(isinstance(cell, dict) for cell in column(rows, name))
    }
    scores = {name: fields for name, fields in scores.items() if fields}
    has_chat = [name for name in (prompt, reply) if name and any(is_chat(cell) for cell in column(rows, name))]
    if prompt and reply:
        if not has_chat and not scores:
            return None
        return _flat(columns, prompt, reply, None, scores)
    if whole and (reply is None or reply == whole):
        return _flat(columns, None, None, whole, scores)
    return None


def _all_chats(rows: Sequence[Row], name: str) -> bool:
    return bool(rows) and all(chat_of(row.get(name)) is not None for row in rows)


def _flat(
    columns: Sequence[str],
    prompt: str | None,
    reply: str | None,
    whole: str | None,
    scores: dict[str, dict[str, Path]],
) -> Layout:
    """Return the layout that keeps one row per row, with prompt, reply and scores as separate columns."""
    used = {name for name in (prompt, reply, whole, *scores) if name}
    kept = [name for name in columns if name not in used]
    fields: dict[str, tuple[str, Path]] = {}
    for source, paths in scores.items():
        for name, path in paths.items():
            column_name = name if name not in kept and name not in fields else dotted(path, f"{source}.")
            fields[column_name] = source, path

    def flatten(row: Row) -> list[dict[str, Any]]:
        if whole:
            texts = prompt_and_reply(row.get(whole), whole)
        else:
            texts = prompt_text(row.get(str(prompt))), reply_text(row.get(str(reply)))
        values = {name: at(decoded(row.get(source)), path) for name, (source, path) in fields.items()}
        return [{PROMPT: texts[0], REPLY: texts[1]} | {name: row.get(name) for name in kept if name in row} | values]

    what = (
        f"the last turn of {whole!r} is the reply and the turns before it are the prompt"
        if whole
        else f"{prompt!r} is the prompt and {reply!r} the reply, a chat's turns as one text"
    )
    named = {name: dotted(path, f"{source}.") for name, (source, path) in fields.items()}
    return Layout(f"In each row {what}{'; ' + named_values(named) if named else ''}.", flatten)
