"""First pass over a file: find the columns of rewards and the prompts, and check every cell.

Only a few numbers per row and one hash per prompt are kept in memory. Constraint: after a scan the second pass cannot
fail unless the file is changed in between.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from map_core.data.importing.candidates import CandidateNumbers
from map_core.data.importing.cells import NumberColumn, is_missing, text_cells
from map_core.data.importing.column_roles import ColumnRoles
from map_core.data.importing.echoes import EchoCount
from map_core.data.importing.held_out import FlagColumn
from map_core.data.importing.identity import PartOfPrompt, PromptIds, prompt_hash
from map_core.data.importing.layouts.advice import without_numbers
from map_core.data.importing.lookalikes import MERGE, Lookalikes
from map_core.data.importing.questions import Question, UnansweredError
from map_core.data.importing.readers import RowChunk, SourceFile
from map_core.data.importing.turns import as_prompt
from map_core.errors import InputError

DEFAULT_USE_CASE = "All prompts"
Report = Callable[[str, float], None]
"""Called with the stage and its share, 0 to 1."""


@dataclass(frozen=True, eq=False)
class FileScan:
    """Result of the first pass.

    Args:
        roles: the roles of the columns.
        rewards: the columns of rewards, in the order of the table's values.
        prompt_of: (row,) int32, the index of each row's prompt, in the order of first appearance.
        counts: (prompt,) number of replies.
        weights: (prompt,) how often each occurs in use; empty without such a column.
        held_out: (prompt,) bool, prompts kept for checking; empty where there are none.
        strips: whether prompts are removed from the replies that repeat them.
        notes: sentences for the user.
        own_ids: whether the table keeps the ids of the file.
        candidates: (row,) number of each among the replies to its prompt; empty for the file's order.
        spellings: indices of merged prompts with several spellings, of which the first is kept.
        read: number of rows of the file that were read.
        empty: number of those that hold no reply.
    """

    roles: ColumnRoles
    rewards: tuple[NumberColumn, ...]
    prompt_of: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    strips: bool
    notes: tuple[str, ...]
    own_ids: bool
    candidates: np.ndarray
    spellings: np.ndarray
    read: int
    empty: int

    @property
    def in_order(self) -> bool:
        """Whether the rows are in the order of the table."""
        return not len(self.candidates) and bool(np.all(np.diff(self.prompt_of) >= 0))


def scan_file(source: SourceFile, roles: ColumnRoles, report: Report | None = None) -> FileScan:
    """Read a file once and validate it.

    Raises:
        InputError: it cannot be read to its end, has no rows or no rewards, or a cell is unusable.
        UnansweredError: it is ambiguous in a way that changes a count or a value.
    """
    where = source.where
    scan = _Scan(source, roles)
    for chunk in source.chunks(dict.fromkeys((*roles.texts, *roles.values, *roles.left_out_parts))):
        scan.add(chunk)
        if report is not None:
            report("reading", chunk.share)
    if not scan.rows:
        raise InputError(f"{source.path} has no rows. A table needs at least one reply.")
    columns = scan.numbers.values()
    chosen = tuple(column for column in columns if roles.chosen or column.holds_numbers)
    if not chosen:
        for column in columns:
            column.refuse_number_like(where)
        raise InputError(without_numbers(source.path, where, (*roles.texts, *roles.values)))
    decided = any(column.decides for column in columns)
    questions = [question for column in chosen if not decided and (question := column.question())]
    if not questions:
        usable = [column.name for column in chosen if column.usable]
        for column in chosen:
            column.refuse(where, usable)
    if scan.fault is not None and not questions:
        raise scan.fault
    questions = [*questions[:1], *scan.questions()]  # one decimal mark applies to all columns
    if questions:
        raise UnansweredError(where, questions)
    scan.merge_lookalikes(where)
    weights, weight_notes = scan.weights(where)
    held_out, held_out_notes = scan.held_out(where)
    candidates, candidate_notes = scan.candidate_numbers()
    notes = [f"{column.name!r} holds true and false, taken as 1 and 0." for column in chosen if column.has_booleans]
    if source.kind != "CSV":
        notes += [
            f"{column.name!r} holds numbers written as text, taken as numbers." for column in chosen if column.has_text
        ]
    notes += scan.identity_notes()
    notes += weight_notes + held_out_notes + candidate_notes
    strips = scan.echoes.removed(roles.echoes)
    notes += scan.echoes.notes(roles.echoes)
    return FileScan(
        roles=scan.roles,
        rewards=chosen,
        prompt_of=scan.prompts_of_rows,
        counts=np.bincount(scan.prompts_of_rows),
        weights=weights,
        held_out=held_out,
        strips=strips,
        notes=tuple(notes),
        own_ids=scan.own_ids,
        candidates=candidates,
        spellings=scan.spellings,
        read=scan.read,
        empty=scan.empty,
    )


class RowPositions:
    """The positions of rows in a file, stored as the rows at which the number of skipped lines changes."""

    def __init__(self) -> None:
        self._count = 0
        self._from: list[int] = []
        self._skipped: list[int] = []

    def add(self, positions: Sequence[int]) -> None:
        """Add the positions of the next rows, counted from 0."""
        for position in positions if not isinstance(positions, range) else positions[:1]:
            if not self._skipped or position - self._count != self._skipped[-1]:
                self._from.append(self._count)
                self._skipped.append(position - self._count)
            self._count += 1
        self._count += max(0, len(positions) - 1) if isinstance(positions, range) else 0

    def of(self, row: int) -> int:
        """Return the position of an added row, both counted from 0."""
        return row + self._skipped[bisect_right(self._from, row) - 1]


@dataclass(eq=False)
class _Scan:
    """State of the first pass: prompts by hash, weights and flags as they are read."""

    source: SourceFile
    roles: ColumnRoles
    rows: int = 0
    read: int = 0
    empty: int = 0
    echoes: EchoCount = field(default_factory=EchoCount)
    lookalikes: Lookalikes = field(default_factory=Lookalikes)
    positions: RowPositions = field(default_factory=RowPositions)
    fault: InputError | None = None
    spellings: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    def __post_init__(self) -> None:
        delimiter, decimal = self.source.delimiter, self.roles.decimal
        self.numbers = {name: NumberColumn(name, delimiter, decimal) for name in self.roles.values}
        self.prompt_of = array("i")
        self._prompts: dict[bytes, int] = {}
        self._ids = PromptIds() if self.roles.prompt_id else None
        self._candidates = CandidateNumbers(self.roles.candidate) if self.roles.candidate else None
        self._parts = {name: PartOfPrompt(name) for name in self.roles.left_out_parts}
        self._weight = NumberColumn(self.roles.weight, delimiter, decimal) if self.roles.weight else None
        self._weights: list[Any] = []
        self._differing_weight: int | None = None
        self._flags = FlagColumn(self.roles.held_out) if self.roles.held_out else None
        self._held_out: list[bool] = []
        self._differing_held_out: int | None = None

    def add(self, chunk: RowChunk) -> None:
        """Add the rows of a chunk."""
        for name, numbers in self.numbers.items():
            numbers.add(chunk.columns[name], chunk.positions)
        self.rows += chunk.rows
        self.read += chunk.read
        self.empty += chunk.empty
        if self.fault is not None:
            return
        try:
            content = texts(chunk, self.roles, self.source.where)
        except InputError as error:
            self.fault = error  # raised later, as faults in columns of rewards are reported first
            return
        weights: Sequence[Any] | np.ndarray = chunk.columns[self.roles.weight] if self.roles.weight else ()
        if self._weight is not None:
            self._weight.add(weights, chunk.positions)
        if self._candidates is not None:
            self._candidates.add(chunk.columns[self._candidates.name])
        flags = self._flags.read(chunk.columns[self._flags.name], chunk.positions) if self._flags else []
        positions = chunk.positions
        self.positions.add(positions)
        keys = content.keys()
        for part in self._parts.values():
            part.add(keys, chunk.columns[part.name])
        for row, (key, text, reply) in enumerate(zip(keys, content.prompts, content.replies, strict=True)):
            prompt = self._prompts.setdefault(key, len(self._prompts))
            self.prompt_of.append(prompt)
            if prompt == self.lookalikes.count:
                self.lookalikes.add(content.use_cases[row], text, content.ids[row])
                if self._ids is not None:
                    self._ids.add(content.ids[row], content.use_cases[row], text)
            if self._weight is not None:
                if prompt == len(self._weights):
                    self._weights.append(weights[row])
                elif self._weights[prompt] != weights[row] and self._differing_weight is None:
                    self._differing_weight = positions[row]
            if flags:
                if prompt == len(self._held_out):
                    self._held_out.append(flags[row])
                elif self._held_out[prompt] != flags[row] and self._differing_held_out is None:
                    self._differing_held_out = positions[row]
            self.echoes.add(text.strip(), reply, positions[row])

    def _row_of(self, prompt: int) -> int:
        """Return the first row of a prompt as an editor counts, from 1."""
        return self.positions.of(self.prompt_of.index(prompt)) + 1

    @property
    def prompts_of_rows(self) -> np.ndarray:
        """(row,) int32, the index of each row's prompt."""
        return np.frombuffer(self.prompt_of, dtype=np.int32)

    @property
    def own_ids(self) -> bool:
        """Whether the ids of the file are unique, so that the table keeps them."""
        return self._ids is not None and self._ids.unique

    def questions(self) -> list[Question]:
        """Return the questions about the prompts."""
        if self.fault is not None:
            return []
        questions = [part.question(len(self._prompts)) for part in self._parts.values()]
        if self.roles.lookalikes is None:
            questions.append(self.lookalikes.question(self._row_of))
        return [question for question in questions if question is not None]

    def identity_notes(self) -> list[str]:
        """Return sentences about how rows were grouped by prompt."""
        notes = [] if self._ids is None else self._ids.notes(str(self.roles.prompt_id))
        if self.roles.lookalikes is not None and self.lookalikes.merged < self.lookalikes.count:
            notes.append(self.lookalikes.note(self.roles.lookalikes))
        return notes

    def merge_lookalikes(self, where: str) -> None:
        """Merge prompts that look alike, if that was the answer.

        Raises:
            InputError: a weight or a held-out flag differs between them.
        """
        if self.roles.lookalikes != MERGE or self.lookalikes.merged == self.lookalikes.count:
            return
        first = self.lookalikes.first_alike
        for cells, column in ((self._weights, self.roles.weight), (self._held_out, self.roles.held_out)):
            if differing := [k for k in range(len(cells)) if cells[k] != cells[first[k]]]:
                raise InputError(
                    f"{where}: row {self._row_of(differing[0])}, column {column!r} differs from that of "
                    "an earlier prompt that looks the same. Make them equal, or keep such prompts apart."
                )
        kept, merged = np.unique(first, return_inverse=True)
        self.spellings = np.flatnonzero(np.bincount(merged) > 1).astype(np.int32)
        self.prompt_of = array("i", merged.astype(np.int32)[self.prompts_of_rows].tobytes())
        self._weights = [self._weights[k] for k in kept] if self._weights else []
        self._held_out = [self._held_out[k] for k in kept] if self._held_out else []

    def candidate_numbers(self) -> tuple[np.ndarray, list[str]]:
        """Return (row,) int32 numbers of rows among their prompt's replies, empty for the file's order, and notes."""
        if self._candidates is None:
            return np.empty(0, dtype=np.int32), []
        return self._candidates.of_rows(self.prompts_of_rows)

    def weights(self, where: str) -> tuple[np.ndarray, list[str]]:
        """Return (prompt,) how often each prompt occurs, empty without such a column, and notes for the user.

        Raises:
            InputError: a weight is not a number above 0, or differs between replies to one prompt.
        """
        if self._weight is None:
            return np.empty(0), []
        guessed = "weight" in self.roles.guessed
        if guessed and (not self._weight.holds_numbers or self._weight.has_booleans):
            self.roles = replace(self.roles, weight=None)
            return np.empty(0), [f"{self._weight.name!r} holds no numbers, so every prompt counts alike."]
        leave_out = ' Or leave the column out: --weight-column "".' if guessed else ""
        self._weight.refuse(where)
        if self._differing_weight is not None:
            raise InputError(
                f"{where}: row {self._differing_weight + 1}, column {self._weight.name!r} differs from an "
                "earlier row with the same prompt. A weight says how often a prompt occurs, so it is one number per "
                f"prompt.{leave_out}"
            )
        weights = self._weight.read(self._weights)
        if np.any(weights <= 0):
            prompt = int(np.argmax(weights <= 0))
            raise InputError(
                f"{where}: row {self._row_of(prompt)}, column {self._weight.name!r} is {weights[prompt]:g}; expected a "
                f"weight above 0. Remove the prompts that do not count.{leave_out}"
            )
        return weights, []

    def held_out(self, where: str) -> tuple[np.ndarray, list[str]]:
        """Return (prompt,) bool the held-out prompts, empty where there are none, and notes for the user.

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
                f"{where}: row {self._differing_held_out + 1}, column {name!r} differs from an earlier row "
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
        return held_out, [f"{name!r} holds {count} of {len(held_out)} prompts out: they only check what is promised."]


@dataclass(frozen=True, eq=False)
class RowTexts:
    """The texts of a chunk's rows.

    Args:
        prompts, replies, use_cases: one text per row; a prompt includes its context and its system message.
        ids: one id per row; "" where there is none.
    """

    prompts: list[str]
    replies: list[str]
    use_cases: list[str]
    ids: list[str]

    def keys(self) -> list[bytes]:
        """Return the key of each row's prompt, see :func:`map_core.data.importing.identity.prompt_hash`."""
        return [prompt_hash(*row) for row in zip(self.use_cases, self.prompts, self.ids, strict=True)]


def texts(chunk: RowChunk, roles: ColumnRoles, where: str) -> RowTexts:
    """Return the prompts, replies, use cases and ids of a chunk.

    Raises:
        InputError: a prompt, reply or use case is missing or not text.
    """
    prompts = text_cells(chunk.columns[roles.prompt], roles.prompt, where, False, chunk.positions)
    replies = text_cells(chunk.columns[roles.reply], roles.reply, where, True, chunk.positions)
    use_cases, ids = [DEFAULT_USE_CASE] * chunk.rows, [""] * chunk.rows
    if roles.use_case is not None:
        use_cases = text_cells(chunk.columns[roles.use_case], roles.use_case, where, False, chunk.positions)
    if roles.prompt_id is not None:
        ids_of_rows = chunk.columns[roles.prompt_id]
        listed = ids_of_rows.tolist() if isinstance(ids_of_rows, np.ndarray) else ids_of_rows
        cells = ["" if is_missing(cell) else cell for cell in listed]
        ids = text_cells(cells, roles.prompt_id, where, True, chunk.positions)
    if roles.context is not None:
        for row, context in enumerate(_optional_texts(chunk.columns[roles.context])):
            prompts[row] = f"{prompts[row].strip()}\n\n{context}" if context else prompts[row]
    if roles.system is not None:
        for row, system in enumerate(_optional_texts(chunk.columns[roles.system])):
            prompts[row] = as_prompt((("system", system), ("user", prompts[row].strip()))) if system else prompts[row]
    return RowTexts(prompts, replies, use_cases, ids)


def _optional_texts(cells: Iterable[Any]) -> list[str]:
    return ["" if is_missing(cell) else str(cell).strip() for cell in cells]
