"""The first reading of a file: which columns hold rewards, which prompts there are, and whether every cell can be used.

What it keeps a row is a few numbers, and a prompt a hash: texts are let go of. Constraint: once a survey is made the
second reading cannot fail, unless the file is changed meanwhile.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from map_core.data.importing.cells import LISTED, NumberColumn, rows_of, text_cells
from map_core.data.importing.column_roles import ColumnRoles
from map_core.data.importing.held_out import FlagColumn
from map_core.data.importing.readers import RowChunk, SourceFile
from map_core.errors import InputError

DEFAULT_USE_CASE = "All prompts"
Report = Callable[[str, float], None]
"""Told the stage and its share, 0 to 1."""


@dataclass(frozen=True, eq=False)
class FileScan:
    """What the first reading found.

    Args:
        roles: what each column is.
        rewards: the columns of rewards, in the order of the table's values.
        prompt_of: (row,) int32, the number of each row's prompt, in the order of first appearance.
        counts: (prompt,) how many replies each has.
        weights: (prompt,) how often each occurs in use; empty where nothing says so.
        held_out: (prompt,) bool, which are kept for checking; empty where none is.
        strips: replies repeat their prompt, which is taken off.
        notes: sentences that a person should read.
    """

    roles: ColumnRoles
    rewards: tuple[NumberColumn, ...]
    prompt_of: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    strips: bool
    notes: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """The replies to each prompt follow one another."""
        return bool(np.all(np.diff(self.prompt_of) >= 0))


def scan_file(source: SourceFile, roles: ColumnRoles, report: Report | None = None) -> FileScan:
    """Read a file through once.

    Raises:
        InputError: it cannot be read to its end, has no rows or no rewards, or a cell cannot be used.
    """
    where = str(source.path)
    seen = _Seen(source, roles)
    for chunk in source.chunks((*roles.texts, *roles.values)):
        seen.learn(chunk)
        if report is not None:
            report("reading", chunk.share)
    if not seen.rows:
        raise InputError(f"{where} has no rows. A table needs at least one reply.")
    columns = seen.numbers.values()
    chosen = tuple(one for one in columns if roles.asked or one.holds_numbers)
    if not chosen:
        raise InputError(
            f"{where} has no column of numbers that could be a value's rewards; it has "
            f"{', '.join((*roles.texts, *roles.values))}. Name columns with --values."
        )
    for one in chosen:
        one.refuse(where)
    if seen.fault is not None:
        raise seen.fault
    weights = seen.weights(where)
    held_out, told = seen.held_out(where)
    notes = [f"{one.name!r} holds true and false, taken as 1 and 0." for one in chosen if one.truths]
    if source.kind != "CSV":
        notes += [f"{one.name!r} holds numbers written as text, taken as numbers." for one in chosen if one.texts]
    notes += told
    strips = 2 * seen.whole < seen.rows
    if strips:
        notes.append(f"{seen.rows - seen.whole} replies repeat their prompt, which is taken off.")
        if seen.whole:
            notes.append(f"{seen.whole} do not and are kept whole, in rows {rows_of(seen.whole_rows, seen.whole)}.")
    prompt_of = np.frombuffer(seen.prompt_of, dtype=np.int32)
    return FileScan(seen.roles, chosen, prompt_of, np.bincount(prompt_of), weights, held_out, strips, tuple(notes))


@dataclass(eq=False)
class _Seen:
    """What is known so far."""

    source: SourceFile
    roles: ColumnRoles
    rows: int = 0
    whole: int = 0
    whole_rows: list[int] = field(default_factory=list)
    fault: InputError | None = None

    def __post_init__(self) -> None:
        commas = self.source.mark == ";"
        self.numbers = {name: NumberColumn(name, commas) for name in self.roles.values}
        self.prompt_of = array("i")
        self._prompts: dict[bytes, int] = {}
        self._weight = NumberColumn(self.roles.weight, commas) if self.roles.weight else None
        self._weights: list[Any] = []
        self._unlike: int | None = None
        self._flags = FlagColumn(self.roles.held_out) if self.roles.held_out else None
        self._held: list[bool] = []
        self._held_unlike: int | None = None

    def learn(self, chunk: RowChunk) -> None:
        for name, numbers in self.numbers.items():
            numbers.learn(chunk.columns[name], chunk.first)
        self.rows += chunk.rows
        if self.fault is not None:
            return
        try:
            prompts, replies, use_cases = texts(chunk, self.roles, str(self.source.path))
        except InputError as error:
            self.fault = error  # told only when no column of rewards is at fault
            return
        weights: Sequence[Any] | np.ndarray = chunk.columns[self.roles.weight] if self.roles.weight else ()
        if self._weight is not None:
            self._weight.learn(weights, chunk.first)
        flags = self._flags.read(chunk.columns[self._flags.name], chunk.first) if self._flags else []
        for row, (prompt, reply, use_case) in enumerate(zip(prompts, replies, use_cases, strict=True)):
            key = prompt_hash(use_case, prompt)
            number = self._prompts.setdefault(key, len(self._prompts))
            self.prompt_of.append(number)
            if self._weight is not None:
                if number == len(self._weights):
                    self._weights.append(weights[row])
                elif self._weights[number] != weights[row] and self._unlike is None:
                    self._unlike = chunk.first + row
            if flags:
                if number == len(self._held):
                    self._held.append(flags[row])
                elif self._held[number] != flags[row] and self._held_unlike is None:
                    self._held_unlike = chunk.first + row
            if without_prompt(prompt, reply) is None:
                self.whole += 1
                if len(self.whole_rows) <= LISTED:
                    self.whole_rows.append(chunk.first + row)

    def weights(self, where: str) -> np.ndarray:
        """(prompt,) how often each occurs, or nothing.

        Raises:
            InputError: a weight is no number above 0, or differs between replies to one prompt.
        """
        if self._weight is None:
            return np.empty(0)
        self._weight.refuse(where)
        if self._unlike is not None:
            raise InputError(
                f"{where}: row {self._unlike + 1}, column {self._weight.name!r} is another number than in an earlier "
                "row with the same prompt. A weight says how often a prompt occurs, so it is one number a prompt."
            )
        found = self._weight.read(self._weights)
        if np.any(found <= 0):
            number = int(np.argmax(found <= 0))
            row = self.prompt_of.index(number)
            raise InputError(
                f"{where}: row {row + 1}, column {self._weight.name!r} is {found[number]:g}; expected a weight "
                "above 0. Remove the prompts that do not count."
            )
        return found

    def held_out(self, where: str) -> tuple[np.ndarray, list[str]]:
        """(prompt,) bool, or nothing where none is held out, and what a person should read about it.

        Raises:
            InputError: a cell is neither yes nor no, replies to one prompt differ, or every prompt is held out.
        """
        if self._flags is None:
            return np.empty(0, dtype=bool), []
        name = self._flags.name
        if self.roles.split and not self._flags.clear:
            self.roles = replace(self.roles, held_out=None, split=False)
            return np.empty(0, dtype=bool), [f"{name!r} does not say train or test, so no prompt is held out by it."]
        self._flags.refuse(where)
        if self._held_unlike is not None:
            raise InputError(
                f"{where}: row {self._held_unlike + 1}, column {name!r} says another thing than an earlier row with "
                "the same prompt. A prompt is held out with all of its replies, or with none."
            )
        held_out = np.array(self._held)
        if held_out.all():
            raise InputError(
                f"{where}: the column {name!r} holds every prompt out, so there is none to solve on. Hold fewer "
                "prompts out, or choose another column or none."
            )
        count = int(held_out.sum())
        if not count:
            return np.empty(0, dtype=bool), [f"{name!r} holds no prompt out."]
        return held_out, [f"{name!r} holds {count} of {len(held_out)} prompts out: nothing is solved on them."]


def texts(chunk: RowChunk, roles: ColumnRoles, where: str) -> tuple[list[str], list[str], list[str]]:
    """Prompts, replies and use cases of a chunk.

    Raises:
        InputError: one is missing or no text.
    """
    prompts = text_cells(chunk.columns[roles.prompt], roles.prompt, where, False, chunk.first)
    replies = text_cells(chunk.columns[roles.reply], roles.reply, where, True, chunk.first)
    if roles.use_case is None:
        use_cases = [DEFAULT_USE_CASE] * chunk.rows
    else:
        use_cases = text_cells(chunk.columns[roles.use_case], roles.use_case, where, False, chunk.first)
    return [text.strip() for text in prompts], replies, use_cases


def prompt_hash(use_case: str, prompt: str) -> bytes:
    """What tells prompts apart: one text in two use cases is two prompts."""
    return hashlib.sha256(f"{use_case}\0{prompt}".encode()).digest()[:16]


def without_prompt(prompt: str, reply: str) -> str | None:
    """What follows the prompt in a reply, or None; spaces do not count, since tokenizers move them."""
    if reply.startswith(prompt):
        return reply[len(prompt) :].strip()
    if reply.lstrip()[:1] != prompt[:1]:
        return None
    at = 0
    for letter in "".join(prompt.split()):
        while at < len(reply) and reply[at].isspace():
            at += 1
        if at == len(reply) or reply[at] != letter:
            return None
        at += 1
    return reply[at:].strip()
