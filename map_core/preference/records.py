"""Choices as files and pages keep them: by prompt and candidate, and so by the same names on every machine.

A line of a file of choices:

    {"first": {"prompt_id": "work-03", "candidate": 5}, "second": {"prompt_id": "work-03", "candidate": 9},
     "answer": "first"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from map_core.data.reward_table import RewardTable
from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError
from map_core.preference.choices import PairChoice
from map_core.scoring.pairwise import PairAnswer


def reply_ids(table: RewardTable, choice: PairChoice) -> dict[str, Any]:
    """Return a choice as plain JSON values, see the module."""
    return {"first": _id(table, choice.first), "second": _id(table, choice.second), "answer": choice.answer.value}


def _id(table: RewardTable, row: int) -> dict[str, Any]:
    prompt = table.prompt_of(row)
    return {"prompt_id": table.prompt_ids[prompt], "candidate": row - int(table.offsets[prompt])}


def rows_of_choices(table: RewardTable, records: Iterable[Any]) -> tuple[PairChoice, ...]:
    """Return choices by row of a table.

    Raises:
        InputError: an entry is no such choice, is of a reply that the table lacks, or of replies to two prompts.
    """
    places = {name: number for number, name in enumerate(table.prompt_ids)}
    return tuple(_choice(table, places, record) for record in records)


def known_choices(table: RewardTable, records: Iterable[Any]) -> tuple[PairChoice, ...]:
    """Return the choices between replies that a table has, by row; others are left out."""
    choices: list[PairChoice] = []
    for record in records:
        try:
            choices += rows_of_choices(table, [record])
        except InputError:
            continue
    return tuple(choices)


def _choice(table: RewardTable, places: Mapping[str, int], record: Any) -> PairChoice:
    try:
        names = [(str(record[side]["prompt_id"]), int(record[side]["candidate"])) for side in ("first", "second")]
        answer = PairAnswer(record["answer"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{record!r} is no choice; expected {{"
            '"first": {"prompt_id": "...", "candidate": 3}, "second": {...}, "answer": "first", "neither" or "second"}.'
        ) from error
    rows = []
    for name, candidate in names:
        number = places.get(name)
        if number is None or not 0 <= candidate < table.candidates[number]:
            raise InputError(
                f"A choice is of candidate {candidate} of the prompt {name!r}, which the table lacks. Give the choices "
                "that were made on this very table."
            )
        rows.append(int(table.offsets[number]) + candidate)
    if names[0][0] != names[1][0] or rows[0] == rows[1]:
        raise InputError(f"{record!r} compares replies to two prompts, or a reply with itself; expected two to one.")
    return PairChoice(rows[0], rows[1], answer)


def read_choices(table: RewardTable, path: Path) -> tuple[PairChoice, ...]:
    """Read a file of choices, JSON lines, the first one first.

    Raises:
        InputError: no such file, or a line that is no choice of this table.
    """
    choices: list[PairChoice] = []
    for where, entry in json_records(read_text(path), path, "one a choice"):
        try:
            choices += rows_of_choices(table, [entry])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    return tuple(choices)
