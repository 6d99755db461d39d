"""Read and write choices by prompt and candidate, which identify replies on every machine.

A line of a file of choices:

    {"first": {"prompt_id": "work-03", "candidate": 5}, "second": {"prompt_id": "work-03", "candidate": 9},
     "answer": "first"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
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
    return {"prompt_id": table.prompt_ids[prompt], "candidate": table.candidate_of(row)}


def rows_of_choices(table: RewardTable, records: Iterable[Any]) -> tuple[PairChoice, ...]:
    """Return choices by row of a table.

    Raises:
        InputError: an entry is not a choice, names a reply that the table lacks, or replies to two prompts.
    """
    prompts = {name: index for index, name in enumerate(table.prompt_ids)}
    return tuple(_choice(table, prompts, record) for record in records)


def known_choices(table: RewardTable, records: Iterable[Any]) -> tuple[PairChoice, ...]:
    """Return the choices between replies that a table has, by row; others are left out."""
    return tuple(choice for _, choice in numbered_choices(table, records))


def numbered_choices(table: RewardTable, records: Iterable[Any]) -> tuple[tuple[int, PairChoice], ...]:
    """Return the choices of :func:`known_choices`, each with the index of its record."""
    prompts = {name: index for index, name in enumerate(table.prompt_ids)}
    known = []
    for index, record in enumerate(records):
        with suppress(InputError):
            known.append((index, _choice(table, prompts, record)))
    return tuple(known)


def _choice(table: RewardTable, prompts: Mapping[str, int], record: Any) -> PairChoice:
    """Read one choice, given the index of each prompt by its id."""
    try:
        names = [(str(record[side]["prompt_id"]), _whole(record[side]["candidate"])) for side in ("first", "second")]
        answer = PairAnswer(record["answer"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{record!r} is not a choice; expected {{"
            '"first": {"prompt_id": "...", "candidate": 3}, "second": {...}, "answer": "first", "neither" or "second"}.'
        ) from error
    rows = []
    for name, candidate in names:
        prompt = prompts.get(name)
        row = None if prompt is None else table.row_of(prompt, candidate)
        if row is None:
            raise InputError(
                f"A choice names candidate {candidate} of the prompt {name!r}, which the table lacks. Give choices "
                "that were made on this table."
            )
        rows.append(row)
    if names[0][0] != names[1][0] or rows[0] == rows[1]:
        raise InputError(f"{record!r} compares replies to two prompts, or a reply with itself; expected two to one.")
    return PairChoice(rows[0], rows[1], answer)


def _whole(number: Any) -> int:
    """Return a whole number, whether it is written as one, as text or with a fraction of 0."""
    integer = int(number)
    if not isinstance(number, str) and integer != number:
        raise ValueError(f"{number} is no whole number")
    return integer


def read_choices(table: RewardTable, path: Path) -> tuple[PairChoice, ...]:
    """Read a file of choices, JSON lines in order.

    Raises:
        InputError: no such file, or a line that is not a choice of this table.
    """
    choices: list[PairChoice] = []
    for where, entry in json_records(read_text(path), path, "one a choice"):
        try:
            choices += rows_of_choices(table, [entry])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    return tuple(choices)
