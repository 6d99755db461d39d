"""Reward tables from files of other people: Parquet, CSV, JSON lines, or a JSON list of objects.

A row is one reply: the prompt, the reply and a number a value, higher is better. Replies to the same prompt text
are put together; a reply that repeats its prompt loses it. Constraint: nothing is guessed without being said, and no
reward is invented: a cell that is no finite number is refused by row and column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from map_core.errors import InputError
from map_core.importing.cells import first_twice, holds_numbers, numbers, rows_of, text_cells
from map_core.importing.files import read_bytes, read_rows
from map_core.rewards import REPLY_COLUMNS, RewardTable

#: Names that a column goes by, the likelier first; compared in lower case with _ for spaces and dashes.
PROMPT_NAMES = ("prompt", "question", "instruction", "query", "input", "user", "prompts", "user_prompt", "prompt_text")
REPLY_NAMES = (
    *("reply", "response", "generated", "completion", "output", "answer", "generation", "generated_text"),
    *("assistant", "reply_text", "response_text", "text", "replies", "responses"),
)
USE_CASE_NAMES = ("use_case", "usecase")
#: Columns of numbers that are no rewards unless they are asked for by name.
COUNTERS = frozenset({"", "id", "idx", "index", "row", "row_id", "unnamed:_0", "__index_level_0__", "seed"})


@dataclass(frozen=True, eq=False)
class Imported:
    """A table and what was made of the file's columns.

    Args:
        table: the validated table; its metadata say where it came from.
        notes: sentences that a person should read: what was taken for what, left out, stripped or repeated.
    """

    table: RewardTable
    notes: tuple[str, ...]


def import_table(
    path: Path,
    *,
    values: Sequence[str] | None = None,
    prompt_column: str | None = None,
    reply_column: str | None = None,
    use_case_column: str | None = None,
    date: str = "",
) -> Imported:
    """Read a file of scored replies as a reward table.

    Args:
        path: Parquet, CSV (commas, semicolons or tabs), JSON lines or a JSON list of objects; told by its content.
        values: the columns of rewards, in this order; every column of numbers by default.
        prompt_column, reply_column, use_case_column: where these stand; guessed by name by default.
        date: when this was done, for the metadata.

    Returns:
        The table and notes.

    Raises:
        InputError: the file cannot be read, a column is missing, or a cell cannot be used.

    Example:
        >>> import_table(Path("scored.csv"), values=["humor", "tact"]).table.values  # doctest: +SKIP
        ('humor', 'tact')
    """
    content = read_bytes(path)
    kind, data = read_rows(content, path)
    if not len(data):
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    notes: list[str] = []
    named = {reply_column, use_case_column} - {prompt_column}
    prompt = _column(data, path, "prompt", PROMPT_NAMES, prompt_column, named)
    reply = _column(data, path, "reply", REPLY_NAMES, reply_column, {prompt, use_case_column})
    use_case = _column(data, path, "use case", USE_CASE_NAMES, use_case_column, {prompt, reply})
    texts = [name for name in (prompt, reply, use_case) if name]
    rewards = _rewards(kind, data, path, values, texts, notes)
    left = [str(name) for name in data.columns if name not in texts and name not in rewards]

    prompts = [text.strip() for text in text_cells(data, str(prompt), path, empty=False)]
    replies = _without_prompts(prompts, text_cells(data, str(reply), path, empty=True), notes)
    use_cases = text_cells(data, use_case, path, empty=False) if use_case else ["All prompts"] * len(data)
    names = {name: f"value_{name}" if name in REPLY_COLUMNS else name for name in rewards}
    if len(set(names.values())) < len(names):
        raise InputError(f"{path}: two values would be called {first_twice(names.values())!r}. Rename one column.")
    cases = f", {use_case!r} the use cases" if use_case else ""
    first = [
        f"{prompt!r} holds the prompts, {reply!r} the replies{cases}; values: {', '.join(names.values())}.",
        f"Left out: {', '.join(left)}." if left else "Nothing is left out.",
    ]
    notes += [
        f"The column {name!r} bears a name of the table's own, so the value is called {called!r}."
        for name, called in names.items()
        if name != called
    ]
    metadata = {
        "source": {
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "format": kind,
            "imported": date,
            "columns": {"prompt": prompt, "reply": reply, "use_case": use_case}
            | {"values": {called: name for name, called in names.items()}},
            "left_out": left,
        }
    }
    columns = np.column_stack(list(rewards.values()))
    table = _assemble(tuple(names.values()), prompts, replies, use_cases, columns, metadata, notes)
    return Imported(table, (*first, *notes, *table.notes))


def _column(
    data: pd.DataFrame,
    path: Path,
    what: str,
    names: Sequence[str],
    asked: str | None,
    taken: Collection[str | None],
) -> str | None:
    """The column that holds prompts, replies or use cases; None where there are no use cases."""
    columns = {str(name): _plain(str(name)) for name in data.columns if name not in taken}
    if asked is not None:
        if asked in taken:
            raise InputError(f"The column {asked!r} is taken already; it cannot hold the {what} too.")
        if asked not in columns:
            raise InputError(
                f"{path} has no column {asked!r} for the {what}; it has {', '.join(map(str, data.columns))}."
            )
        return asked
    for name in names:
        for column, plain in columns.items():
            if plain == name:
                return column
    if what == "use case":
        return None
    raise InputError(
        f"None of the columns of {path} is known to hold the {what}: {', '.join(map(str, data.columns))}. "
        f"Name it with --{what}-column."
    )


def _rewards(
    kind: str, data: pd.DataFrame, path: Path, asked: Sequence[str] | None, texts: Sequence[str], notes: list[str]
) -> dict[str, np.ndarray]:
    """The columns of rewards as float64, by name."""
    if asked is not None:
        unknown = [name for name in asked if name not in data.columns]
        if unknown or not asked:
            raise InputError(
                f"{path} has no column {unknown[0]!r}; it has {', '.join(map(str, data.columns))}."
                if unknown
                else "No values are named; leave --values out to take every column of numbers."
            )
        if len(set(asked)) < len(asked):
            raise InputError(f"The value {first_twice(asked)!r} is named twice.")
        if clash := next((name for name in asked if name in texts), None):
            raise InputError(f"The column {clash!r} holds text of the table, so it cannot be a value.")
        chosen = list(asked)
    else:
        chosen = [
            name
            for name in map(str, data.columns)
            if name not in (*texts, *REPLY_COLUMNS) and _plain(name) not in COUNTERS and holds_numbers(data[name])
        ]
        if not chosen:
            raise InputError(
                f"{path} has no column of numbers that could be a value's rewards; it has "
                f"{', '.join(map(str, data.columns))}. Name columns with --values."
            )
    for name in chosen:
        if kind != "CSV" and any(isinstance(cell, str) for cell in data[name]):
            notes.append(f"{name!r} holds numbers written as text, taken as numbers.")
    return {name: numbers(data[name], path, notes) for name in chosen}


def _without_prompts(prompts: Sequence[str], replies: Sequence[str], notes: list[str]) -> list[str]:
    """The replies without the prompt that they repeat, where most of them do so."""
    stripped = [_after(prompt, reply) for prompt, reply in zip(prompts, replies, strict=True)]
    kept = [row for row, text in enumerate(stripped) if text is None]
    if 2 * len(kept) >= len(replies):
        return list(replies)
    notes.append(f"{len(replies) - len(kept)} replies repeat their prompt, which is taken off.")
    if kept:
        notes.append(f"{len(kept)} do not and are kept whole, in rows {rows_of(kept)}.")
    return [reply if text is None else text for text, reply in zip(stripped, replies, strict=True)]


def _after(prompt: str, reply: str) -> str | None:
    """What follows the prompt in a reply, or None; spaces do not count, since tokenizers move them."""
    if reply.startswith(prompt):
        return reply[len(prompt) :].strip()
    at = 0
    for letter in "".join(prompt.split()):
        while at < len(reply) and reply[at].isspace():
            at += 1
        if at == len(reply) or reply[at] != letter:
            return None
        at += 1
    return reply[at:].strip()


def _assemble(
    values: tuple[str, ...],
    prompts: Sequence[str],
    replies: Sequence[str],
    use_cases: Sequence[str],
    rewards: np.ndarray,
    metadata: Mapping[str, Any],
    notes: list[str],
) -> RewardTable:
    """Replies put together by prompt, in the order of the prompts' first appearance."""
    keys = list(zip(use_cases, prompts, strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number = np.array([numbers[key] for key in keys])
    whole = list(zip(keys, replies, map(tuple, rewards.tolist()), strict=True))
    if repeated := len(whole) - len(set(whole)):
        notes.append(f"{repeated} rows repeat another row, prompt, reply and rewards; each counts.")
    if unlike := len(set(whole)) - len({row[:2] for row in whole}):
        notes.append(f"{unlike} replies come again with other rewards for the same prompt; each counts.")
    order = np.argsort(number, kind="stable")
    return RewardTable(
        values=values,
        rewards=rewards[order],
        offsets=np.concatenate([[0], np.cumsum(np.bincount(number))]),
        prompt_ids=tuple(hashlib.sha256("\0".join(key).encode()).hexdigest()[:16] for key in numbers),
        prompts=tuple(text for _, text in numbers),
        use_cases=tuple(name for name, _ in numbers),
        replies=tuple(replies[row] for row in order),
        metadata=metadata,
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
