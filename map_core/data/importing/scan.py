"""First pass over a file: find the columns of rewards and the prompts, and check every cell.

Only a few numbers a row and a hash a prompt are kept in memory. Constraint: after a scan the second pass cannot fail,
unless the file is changed meanwhile.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from map_core.data.importing.cells import NumberColumn, is_empty, text_cells
from map_core.data.importing.column_roles import ColumnRoles
from map_core.data.importing.echoes import EchoCount
from map_core.data.importing.held_out import FlagColumn
from map_core.data.importing.readers import RowChunk, SourceFile
from map_core.errors import InputError

DEFAULT_USE_CASE = "All prompts"
Report = Callable[[str, float], None]
"""Called with the stage and its share, 0 to 1."""


@dataclass(frozen=True, eq=False)
class FileScan:
    """Result of the first pass.

    Args:
        roles: of the columns.
        rewards: the columns of rewards, in the order of the table's values.
        prompt_of: (row,) int32, the number of each row's prompt, in the order of first appearance.
        counts: (prompt,) how many replies each has.
        weights: (prompt,) how often each occurs in use; empty where nothing says so.
        held_out: (prompt,) bool, which are kept for checking; empty where none is.
        strips: replies repeat their prompt, which is removed.
        notes: sentences for a person.
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
        """Whether the replies to each prompt are consecutive."""
        return bool(np.all(np.diff(self.prompt_of) >= 0))


def scan_file(source: SourceFile, roles: ColumnRoles, report: Report | None = None) -> FileScan:
    """Read a file once and validate it.

    Raises:
        InputError: it cannot be read to its end, has no rows or no rewards, or a cell is unusable.
    """
    where = str(source.path)
    scan = _Scan(source, roles)
    for chunk in source.chunks((*roles.texts, *roles.values)):
        scan.add(chunk)
        if report is not None:
            report("reading", chunk.share)
    if not scan.rows:
        raise InputError(f"{where} has no rows. A table needs at least one reply.")
    columns = scan.numbers.values()
    chosen = tuple(column for column in columns if roles.chosen or column.holds_numbers)
    if not chosen:
        for column in columns:
            column.refuse_number_like(where)
        raise InputError(
            f"{where} has no column of numbers that could be a value's rewards; it has "
            f"{', '.join((*roles.texts, *roles.values))}. Name columns with --values."
        )
    decided = any(column.decides for column in columns)
    for column in chosen:
        column.refuse(where, decided)
    if scan.fault is not None:
        raise scan.fault
    weights = scan.weights(where)
    held_out, held_out_notes = scan.held_out(where)
    notes = [f"{column.name!r} holds true and false, taken as 1 and 0." for column in chosen if column.has_booleans]
    if source.kind != "CSV":
        notes += [
            f"{column.name!r} holds numbers written as text, taken as numbers." for column in chosen if column.has_text
        ]
    notes += held_out_notes
    strips = scan.echoes.removed(roles.echoes)
    notes += scan.echoes.notes(roles.echoes)
    prompt_of = np.frombuffer(scan.prompt_of, dtype=np.int32)
    return FileScan(scan.roles, chosen, prompt_of, np.bincount(prompt_of), weights, held_out, strips, tuple(notes))


@dataclass(eq=False)
class _Scan:
    """State of the first pass: prompts by hash, weights and flags as they are read."""

    source: SourceFile
    roles: ColumnRoles
    rows: int = 0
    echoes: EchoCount = field(default_factory=EchoCount)
    fault: InputError | None = None

    def __post_init__(self) -> None:
        delimiter, decimal = self.source.delimiter, self.roles.decimal
        self.numbers = {name: NumberColumn(name, delimiter, decimal) for name in self.roles.values}
        self.prompt_of = array("i")
        self._prompts: dict[bytes, int] = {}
        self._weight = NumberColumn(self.roles.weight, delimiter, decimal) if self.roles.weight else None
        self._weights: list[Any] = []
        self._differing_weight: int | None = None
        self._flags = FlagColumn(self.roles.held_out) if self.roles.held_out else None
        self._held_out: list[bool] = []
        self._differing_held_out: int | None = None

    def add(self, chunk: RowChunk) -> None:
        """Add the rows of a chunk."""
        for name, numbers in self.numbers.items():
            numbers.add(chunk.columns[name], chunk.first)
        self.rows += chunk.rows
        if self.fault is not None:
            return
        try:
            prompts, replies, use_cases = texts(chunk, self.roles, str(self.source.path))
        except InputError as error:
            self.fault = error  # raised only when no column of rewards is at fault
            return
        weights: Sequence[Any] | np.ndarray = chunk.columns[self.roles.weight] if self.roles.weight else ()
        if self._weight is not None:
            self._weight.add(weights, chunk.first)
        flags = self._flags.read(chunk.columns[self._flags.name], chunk.first) if self._flags else []
        for row, (prompt, reply, use_case) in enumerate(zip(prompts, replies, use_cases, strict=True)):
            key = prompt_hash(use_case, prompt)
            number = self._prompts.setdefault(key, len(self._prompts))
            self.prompt_of.append(number)
            if self._weight is not None:
                if number == len(self._weights):
                    self._weights.append(weights[row])
                elif self._weights[number] != weights[row] and self._differing_weight is None:
                    self._differing_weight = chunk.first + row
            if flags:
                if number == len(self._held_out):
                    self._held_out.append(flags[row])
                elif self._held_out[number] != flags[row] and self._differing_held_out is None:
                    self._differing_held_out = chunk.first + row
            self.echoes.add(prompt, reply, chunk.first + row)

    def weights(self, where: str) -> np.ndarray:
        """Return how often each prompt occurs, (prompt,); empty where no column says so.

        Raises:
            InputError: a weight is no number above 0, or differs between replies to one prompt.
        """
        if self._weight is None:
            return np.empty(0)
        self._weight.refuse(where)
        if self._differing_weight is not None:
            raise InputError(
                f"{where}: row {self._differing_weight + 1}, column {self._weight.name!r} is another number than in "
                "an earlier row with the same prompt. A weight says how often a prompt occurs, so it is one number a "
                "prompt."
            )
        weights = self._weight.read(self._weights)
        if np.any(weights <= 0):
            number = int(np.argmax(weights <= 0))
            row = self.prompt_of.index(number)
            raise InputError(
                f"{where}: row {row + 1}, column {self._weight.name!r} is {weights[number]:g}; expected a weight "
                "above 0. Remove the prompts that do not count."
            )
        return weights

    def held_out(self, where: str) -> tuple[np.ndarray, list[str]]:
        """Return which prompts are held out, (prompt,) bool, empty where none is, and notes for a person.

        Raises:
            InputError: a cell is neither yes nor no, replies to one prompt differ, or every prompt is held out.
        """
        if self._flags is None:
            return np.empty(0, dtype=bool), []
        name = self._flags.name
        if self.roles.split and not self._flags.valid:
            self.roles = replace(self.roles, held_out=None, split=False)
            return np.empty(0, dtype=bool), [f"{name!r} does not say train or test, so no prompt is held out by it."]
        self._flags.refuse(where)
        if self._differing_held_out is not None:
            raise InputError(
                f"{where}: row {self._differing_held_out + 1}, column {name!r} says another thing than an earlier row "
                "with the same prompt. A prompt is held out with all of its replies, or with none."
            )
        held_out = np.array(self._held_out)
        if self.roles.split and held_out.all():
            self.roles = replace(self.roles, held_out=None, split=False)
            return np.empty(0, dtype=bool), [f"{name!r} is the same in every row, so no prompt is held out by it."]
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
    """Return the prompts, replies and use cases of a chunk.

    Raises:
        InputError: one is missing or no text.
    """
    prompts = text_cells(chunk.columns[roles.prompt], roles.prompt, where, False, chunk.first)
    replies = text_cells(chunk.columns[roles.reply], roles.reply, where, True, chunk.first)
    if roles.use_case is None:
        use_cases = [DEFAULT_USE_CASE] * chunk.rows
    else:
        use_cases = text_cells(chunk.columns[roles.use_case], roles.use_case, where, False, chunk.first)
    prompts = [text.strip() for text in prompts]
    if roles.context is not None:
        contexts = ["" if is_empty(cell) else str(cell).strip() for cell in chunk.columns[roles.context]]
        prompts = [
            f"{prompt}\n\n{context}" if context else prompt for prompt, context in zip(prompts, contexts, strict=True)
        ]
    return prompts, replies, use_cases


def prompt_hash(use_case: str, prompt: str) -> bytes:
    """Return the key of a prompt: one text in two use cases is two prompts."""
    return hashlib.sha256(f"{use_case}\0{prompt}".encode()).digest()[:16]
