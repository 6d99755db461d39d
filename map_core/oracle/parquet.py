"""A table in a Parquet file that is read again for every pass, within a memory cap.

The first pass finds where prompts begin, where the rewards lie, and keeps a small part for starting points; later
passes read the values' columns alone. One thread reads ahead while others compute. Constraint: the file's rows are
ordered so that the replies to a prompt follow one another; everything is summed in float64.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments, is_singular
from map_core.oracle.block import Block
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.memory import BLOCK, CLEARING, MemoryOracle, block_cuts, check_form, shows_full_rank
from map_core.oracle.parquet_reader import (
    ahead,
    counting,
    counting_columns,
    load_schema,
    new_prompts,
    numbers,
    refuse_returning_prompts,
    rewards_in,
    value_columns,
)
from map_core.oracle.reward_stats import Spread, combine_spreads
from map_core.oracle.threads import available_threads, each
from map_core.oracle.weighted import apply_prompt_weights

T = TypeVar("T")

#: Fewest rows that are worth reading at once, and the bytes that each number of a batch may take on its way.
LEAST_ROWS, BYTES_A_NUMBER = 1024, 32
#: The largest share of the prompts that is kept in memory for starting points, and of the cap that it may take.
KEPT, KEPT_MEMORY = 1 / 8, 1 / 8


@dataclass(frozen=True, eq=False)
class Rows:
    """Some whole prompts: where they stand among all, and a column of rewards (reply,) a value."""

    first: int
    counts: np.ndarray
    columns: Sequence[np.ndarray]


class ParquetOracle(Oracle):
    """A table in one Parquet file, a row a reply.

    Args:
        path: the file; rows of a prompt follow one another, also across row groups.
        values: names of the columns that hold the values' rewards; by default those that the file's metadata names,
            or else all columns of fractional numbers.
        form: per prompt or pooled.
        prompt: name of the column whose equal neighbours are replies to one prompt.
        memory: bytes that reading and computing may take, beside some 30 bytes a prompt.
        threads: most threads that compute; the cores of this machine by default.
        weights_applied: the caller sees to it that prompts count by ``prompt_weights``, as :meth:`of` does.

    Attributes:
        prompt_weights: (prompt,) each prompt's weight, 0 where it is held out; None where the file says nothing of it.

    Raises:
        InputError: no such file or column; a reward is missing or not finite; a prompt comes back after others; the
            memory cannot hold what has to be read at once; prompts count differently and nobody heeds it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        values: Sequence[str] | None = None,
        form: Form = Form.PER_PROMPT,
        *,
        prompt: str = "prompt_id",
        memory: int = 2**30,
        threads: int | None = None,
        weights_applied: bool = False,
    ) -> None:
        form, self._path, self._prompt = Form(form), Path(path), prompt
        self._threads = available_threads() if threads is None else threads
        self._stamp = self._now()
        schema = load_schema(self._path)
        self._columns = tuple(values) if values is not None else value_columns(self._path, schema, prompt)
        if len(set(self._columns)) < len(self._columns):
            raise InputError(f"Values must have different names; got {', '.join(self._columns)}.")
        self._counting = counting_columns(self._path, schema, self._columns)
        if self._counting and not weights_applied:
            raise InputError(
                f"{path} gives its prompts a {' and a '.join(self._counting)}, by which they have to count. Open it "
                "with ParquetOracle.of, or leave these columns out."
            )
        missing = [name for name in (*self._columns, prompt) if name not in schema.names]
        if missing:
            raise InputError(
                f"{path} lacks the column {', '.join(map(repr, missing))}; it has {', '.join(schema.names)}. "
                "Name the columns of the values and the one that tells prompts apart."
            )
        for name in self._columns:
            if not (pa.types.is_floating(schema.field(name).type) or pa.types.is_integer(schema.field(name).type)):
                raise InputError(f"The column {name!r} of {path} holds {schema.field(name).type}, not numbers.")
        self._rows = self._rows_at_once(memory)
        self.spread, self._kept = self._first_pass(form, KEPT_MEMORY * memory)
        self._describe(self._columns, form, self.spread)
        check_form(form, int(np.diff(self._offsets).max()))

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        values: Sequence[str] | None = None,
        form: Form = Form.PER_PROMPT,
        **settings: Any,
    ) -> Oracle:
        """The oracle of a file; where its prompts have weights or some are held out, each counts by that.

        Args:
            path, values, form, settings: as above.

        Raises:
            InputError: as above, or every prompt is held out.
        """
        plain = cls(path, values, form, weights_applied=True, **settings)
        return apply_prompt_weights(plain, plain.prompt_weights)

    def in_units_of(self, spread: Spread) -> ParquetOracle:
        """The same rows as a part of a larger table with this spread."""
        part = copy(self)
        for cached in ("_part", "base_moments", "has_redundant_values"):
            part.__dict__.pop(cached, None)
        part.spread, part.base, part.scale, part.constant = spread, spread.mean, spread.scale, spread.constant
        return part

    def moments(self, weights: np.ndarray) -> Moments:
        weights = np.asarray(weights, dtype=np.float64)
        sizes, parts = self._pass(lambda block, rows: block.moments(weights))
        return combine_moments(self.form, sizes, parts)

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        weights = np.asarray(weights, dtype=np.float64)

        def ask(block: Block, rows: Rows) -> BatchMoments:
            counted = None
            if multiplicity is not None:
                counted = np.asarray(multiplicity[:, rows.first : rows.first + block.prompts], dtype=np.float64)
            return block.batch_moments(weights, counted, covariance)

        return combine_batches(self.form, self._pass(ask)[1])

    def best(self, weights: np.ndarray) -> np.ndarray:
        sizes, parts = self._pass(lambda block, rows: block.best(weights))
        return combine_best(self.form, weights, sizes, parts)

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        weights = np.asarray(weights, dtype=np.float64)
        return combine_prompts(self.form, self._pass(lambda block, rows: block.by_prompt(weights))[1])

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate(self._pass(lambda block, rows: block.best_by_prompt(weights))[1])

    def subsample(self, share: float) -> Oracle | None:
        """The part that was kept in memory by the first pass, or a part of that."""
        if share > 0.5 or self._part.prompts == self.prompts:
            return None
        kept = self._part.prompts / self.prompts
        return self._part if share >= kept else self._part.subsample(share / kept) or self._part

    @cached_property
    def has_redundant_values(self) -> bool:
        return not shows_full_rank(self.subsample(CLEARING)) and is_singular(self.base_moments.covariance)

    @cached_property
    def _part(self) -> MemoryOracle:
        return MemoryOracle.part(self._kept, self._columns, self.form, self.spread, threads=self._threads)

    def _pass(self, ask: Callable[[Block, Rows], T]) -> tuple[list[int], list[T]]:
        """Sizes and answers of all blocks, in order."""
        if self._now() != self._stamp:
            raise InputError(f"{self._path} was changed after it was opened. Open it again.")
        sizes: list[int] = []
        answers: list[T] = []

        def of_part(rows: Rows) -> tuple[int, T]:
            block = Block.passing(rows.columns, rows.counts, self.spread, self.form)
            return block.size, ask(block, rows)

        for rows in ahead(self._whole_prompts()):
            for size, answer in each(of_part, self._cut(rows), self._threads):
                sizes.append(size)
                answers.append(answer)
        return sizes, answers

    def _cut(self, rows: Rows) -> list[Rows]:
        """Rows in parts that threads can share."""
        offsets = np.concatenate([[0], np.cumsum(rows.counts)])
        return [
            Rows(rows.first + a, rows.counts[a:b], [column[offsets[a] : offsets[b]] for column in rows.columns])
            for a, b in block_cuts(offsets, len(self._columns), self._threads)
        ]

    def _whole_prompts(self) -> Iterator[Rows]:
        """The rows of the file, prompts whole."""
        left, first, row = [np.empty(0)] * len(self._columns), 0, 0
        for batch in self._batches(self._columns):
            columns = [np.concatenate([a, b]) if len(a) else b for a, b in zip(left, numbers(batch), strict=True)]
            last = int(np.searchsorted(self._offsets, row + len(columns[0]), side="right")) - 1
            end = int(self._offsets[last]) - row
            if last > first:
                counts = np.diff(self._offsets[first : last + 1])
                yield Rows(first, counts, [column[:end] for column in columns])
            left, first, row = [column[end:] for column in columns], last, row + end

    def _first_pass(self, form: Form, memory: float) -> tuple[Spread, list[tuple[np.ndarray, np.ndarray]]]:
        """Find where prompts begin and where rewards lie, and keep the first prompts of every batch."""
        starts: list[np.ndarray] = []
        names: list[np.ndarray] = []
        counts_of: list[np.ndarray] = []
        spreads: list[Spread] = []
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        share = min(KEPT, memory / (self._total * len(self._columns) * 8))
        left, last_name, row = [np.empty(0)] * len(self._columns), None, 0

        def take(columns: Sequence[np.ndarray], counts: np.ndarray) -> None:
            rewards = np.column_stack(columns)
            offsets = np.concatenate([[0], np.cumsum(counts)])
            parts = [
                (rewards[offsets[a] : offsets[b]], counts[a:b])
                for a, b in block_cuts(offsets, len(columns), self._threads)
            ]
            spreads.extend(each(lambda part: Spread.of(*part, form), parts, self._threads))
            some = max(1, int(share * len(counts)))
            kept.append((rewards[: offsets[some]].copy(), counts[:some]))

        for batch in ahead(self._batches((*self._columns, self._prompt, *self._counting))):
            new, hashes, last_name = new_prompts(batch.column(self._prompt), last_name, row, self._path)
            starts.append(row + new)
            names.append(hashes)
            if self._counting:
                counts_of.append(counting(batch, new, self._counting, row, self._path))
            columns = [
                np.concatenate([a, b]) if len(a) else b
                for a, b in zip(left, rewards_in(batch, self._columns, row, self._path), strict=True)
            ]
            row += batch.num_rows
            # What was left of the batch before is one prompt, which this batch may go on with.
            begun = row - len(columns[0])
            cuts = np.concatenate([[0] if len(left[0]) else [], starts[-1] - begun]).astype(np.int64)
            cuts = np.unique(cuts)
            if len(cuts) > 1:
                take([column[: cuts[-1]] for column in columns], np.diff(cuts))
            left = [column[cuts[-1] :] for column in columns]
            if len(left[0]) > 4 * self._rows:
                raise InputError(
                    f"The prompt at row {begun + int(cuts[-1]) + 1} of {self._path} has more replies than the memory "
                    f"cap can hold ({len(left[0])} so far). Allow more memory."
                )
        take(left, np.array([len(left[0])]))
        self._offsets = np.concatenate([*starts, [row]])
        self.prompt_weights = np.concatenate(counts_of) if self._counting else None
        refuse_returning_prompts(np.concatenate(names), self._offsets, self._path, self._prompt)
        return combine_spreads(form, spreads), kept

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The file in batches of at most so many rows as the memory allows."""
        try:
            # Without pre_buffer: it would hold the whole file.
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=2**20) as file:
                yield from file.iter_batches(self._rows, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self._path} cannot be read ({error}). Write the file again.") from error

    def _rows_at_once(self, memory: int) -> int:
        """Rows a batch that keep within so many bytes."""
        with pq.ParquetFile(self._path) as file:
            self._total = file.metadata.num_rows
        if self._total == 0:
            raise InputError(f"{self._path} has no rows. A table needs at least one reply.")
        width = len(self._columns)
        page = 2**20 * (width + 1)
        room = (1 - 2 * KEPT_MEMORY) * memory - page
        rows = int(room / 2 / (BYTES_A_NUMBER * width))
        rows = min(rows, 4 * self._threads * BLOCK // width, max(LEAST_ROWS, self._total))
        if rows < LEAST_ROWS:
            needed = int((2 * BYTES_A_NUMBER * width * LEAST_ROWS + page) / (1 - 2 * KEPT_MEMORY)) + 1
            raise InputError(
                f"{memory} bytes cannot hold {LEAST_ROWS} rows of {width} values while they are read and computed. "
                f"Allow at least {needed} bytes."
            )
        return rows

    def _now(self) -> tuple[int, int]:
        try:
            state = self._path.stat()
        except OSError as error:
            raise InputError(f"There is no table at {self._path}. Give the path of a Parquet file.") from error
        return state.st_size, state.st_mtime_ns
