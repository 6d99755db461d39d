"""A table in a Parquet file, streamed for every pass within a memory limit.

The first pass finds where prompts begin and the statistics of the rewards, and keeps a subsample for starting points;
later passes read the values' columns alone. One thread reads ahead while others compute. Constraint: the replies to a
prompt are consecutive in the file; everything is summed in float64.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Moments, Oracle, PromptMoments
from map_core.oracle.block import Block
from map_core.oracle.combine import combine_batches, combine_best, combine_moments, combine_prompts
from map_core.oracle.memory import BLOCK, MemoryOracle, block_cuts, check_form
from map_core.oracle.parquet_reader import (
    columns_of,
    load_schema,
    new_prompt_weights,
    new_prompts,
    read_ahead,
    refuse_returning_prompts,
    rewards_in,
    streamed_values,
    weight_columns,
)
from map_core.oracle.reward_stats import RewardStats, combine_stats
from map_core.oracle.threads import available_threads, map_threads
from map_core.oracle.weighted import apply_prompt_weights

T = TypeVar("T")

#: Fewest rows of a batch, and the bytes that each of its numbers may take while it is read and computed.
LEAST_ROWS, BYTES_A_NUMBER = 1024, 32
#: The largest share of the prompts that is kept in memory as a subsample, and of the memory limit that it may take.
SUBSAMPLE, SUBSAMPLE_MEMORY = 1 / 8, 1 / 8


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive whole prompts: the number of the first, reply counts (prompt,), and a column (reply,) a value."""

    first: int
    counts: np.ndarray
    columns: Sequence[np.ndarray]


class ParquetOracle(Oracle):
    """A table in one Parquet file, a row a reply.

    Args:
        path: the file; rows of a prompt follow one another, also across row groups.
        values: names of the columns of rewards; by default those that the file's metadata names, or else all columns
            of fractional numbers.
        form: per prompt or pooled.
        prompt: name of the column that identifies the prompt.
        memory: bytes that reading and computing may take, beside some 30 bytes a prompt.
        threads: most threads that compute; the cores of this machine by default.
        weights_applied: the caller applies ``prompt_weights``, as :meth:`of` does.

    Attributes:
        prompt_weights: (prompt,) each prompt's weight, 0 when held out; None where the file has no such column.

    Raises:
        InputError: no such file or column; a reward is missing or not finite; the rows of a prompt are not consecutive;
            the memory limit is too small; prompts have weights and ``weights_applied`` is not set.
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
        self._stamp = self._file_stamp()
        schema = load_schema(self._path)
        self._columns = tuple(values) if values is not None else streamed_values(self._path, schema, prompt)
        if len(set(self._columns)) < len(self._columns):
            raise InputError(f"Values must have different names; got {', '.join(self._columns)}.")
        self._weight_columns = weight_columns(self._path, schema, self._columns)
        if self._weight_columns and not weights_applied:
            raise InputError(
                f"{path} gives its prompts a {' and a '.join(self._weight_columns)}, by which they have to count. Open "
                "it with ParquetOracle.of, or leave these columns out."
            )
        missing = [name for name in (*self._columns, prompt) if name not in schema.names]
        if missing:
            raise InputError(
                f"{path} lacks the column {', '.join(map(repr, missing))}; it has {', '.join(schema.names)}. "
                "Name the columns of the values and the one that identifies the prompt."
            )
        for name in self._columns:
            if not (pa.types.is_floating(schema.field(name).type) or pa.types.is_integer(schema.field(name).type)):
                raise InputError(f"The column {name!r} of {path} holds {schema.field(name).type}, not numbers.")
        self._rows = self._rows_at_once(memory)
        self.stats, self._kept = self._first_pass(form, SUBSAMPLE_MEMORY * memory)
        self._describe(self._columns, form, self.stats)
        check_form(form, int(np.diff(self._offsets).max()))

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        values: Sequence[str] | None = None,
        form: Form = Form.PER_PROMPT,
        **settings: Any,
    ) -> Oracle:
        """Open a file and apply its prompt weights and held-out flags.

        Args:
            path: the file.
            values: as for the class.
            form: as for the class.
            **settings: further arguments of the class.

        Raises:
            InputError: as for the class, or every prompt is held out.
        """
        plain = cls(path, values, form, weights_applied=True, **settings)
        return apply_prompt_weights(plain, plain.prompt_weights)

    def in_units_of(self, stats: RewardStats) -> ParquetOracle:
        """Return the rows in the units of a larger table with these statistics, of which they are a part."""
        part = self._uncached_copy()
        part.stats, part.base, part.scale, part.constant = stats, stats.mean, stats.scale, stats.constant
        return part

    def moments(self, weights: np.ndarray) -> Moments:
        """Return the moments at x, see :meth:`Oracle.moments`."""
        weights = np.asarray(weights, dtype=np.float64)
        sizes, parts = self._pass(lambda block, rows: block.moments(weights))
        return combine_moments(self.form, sizes, parts)

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors, see :meth:`Oracle.batch_moments`."""
        weights = np.asarray(weights, dtype=np.float64)

        def evaluate(block: Block, rows: Rows) -> BatchMoments:
            counted = None
            if multiplicity is not None:
                counted = np.asarray(multiplicity[:, rows.first : rows.first + block.prompts], dtype=np.float64)
            return block.batch_moments(weights, counted, covariance)

        return combine_batches(self.form, self._pass(evaluate)[1])

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels of the best replies, see :meth:`Oracle.best`."""
        sizes, parts = self._pass(lambda block, rows: block.best(weights))
        return combine_best(self.form, weights, sizes, parts)

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's moments, see :meth:`Oracle.by_prompt`."""
        weights = np.asarray(weights, dtype=np.float64)
        return combine_prompts(self.form, self._pass(lambda block, rows: block.by_prompt(weights))[1])

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return each prompt's best levels, see :meth:`Oracle.best_by_prompt`."""
        return np.concatenate(self._pass(lambda block, rows: block.best_by_prompt(weights))[1])

    def subsample(self, share: float) -> Oracle | None:
        """Return the subsample that the first pass kept in memory, or a part of it."""
        if share > 0.5 or self._subsample.prompts == self.prompts:
            return None
        kept = self._subsample.prompts / self.prompts
        return self._subsample if share >= kept else self._subsample.subsample(share / kept) or self._subsample

    def of_values(self, which: np.ndarray) -> ParquetOracle:
        """Return an oracle that reads the columns of some of the values alone, see :meth:`Oracle.of_values`."""
        part = self._copy_of_values(which)
        part._columns = part.values
        part.stats = self.stats.of_values(which)
        part._kept = [(rewards[:, which], counts) for rewards, counts in self._kept]
        return part

    @cached_property
    def _subsample(self) -> MemoryOracle:
        return MemoryOracle.part(self._kept, self._columns, self.form, self.stats, threads=self._threads)

    def _pass(self, evaluate: Callable[[Block, Rows], T]) -> tuple[list[int], list[T]]:
        """Return the sizes and results of all blocks, in order."""
        if self._file_stamp() != self._stamp:
            raise InputError(f"{self._path} was changed after it was opened. Open it again.")
        sizes: list[int] = []
        results: list[T] = []

        def evaluate_block(rows: Rows) -> tuple[int, T]:
            block = Block.streamed(rows.columns, rows.counts, self.stats, self.form)
            return block.size, evaluate(block, rows)

        for rows in read_ahead(self._whole_prompts()):
            for size, result in map_threads(evaluate_block, self._blocks(rows), self._threads):
                sizes.append(size)
                results.append(result)
        return sizes, results

    def _blocks(self, rows: Rows) -> list[Rows]:
        """Split rows into blocks for threads."""
        offsets = np.concatenate([[0], np.cumsum(rows.counts)])
        return [
            Rows(rows.first + a, rows.counts[a:b], [column[offsets[a] : offsets[b]] for column in rows.columns])
            for a, b in block_cuts(offsets, len(self._columns), self._threads)
        ]

    def _whole_prompts(self) -> Iterator[Rows]:
        """Yield the rows of the file, a batch at a time, cut so that each batch holds whole prompts."""
        remainder, first, row = [np.empty(0)] * len(self._columns), 0, 0
        for batch in self._batches(self._columns):
            columns = [
                np.concatenate([a, b]) if len(a) else b for a, b in zip(remainder, columns_of(batch), strict=True)
            ]
            last = int(np.searchsorted(self._offsets, row + len(columns[0]), side="right")) - 1
            end = int(self._offsets[last]) - row
            if last > first:
                counts = np.diff(self._offsets[first : last + 1])
                yield Rows(first, counts, [column[:end] for column in columns])
            remainder, first, row = [column[end:] for column in columns], last, row + end

    def _first_pass(self, form: Form, memory: float) -> tuple[RewardStats, list[tuple[np.ndarray, np.ndarray]]]:
        """Find where prompts begin and the statistics of rewards, and keep the first prompts of every batch."""
        starts: list[np.ndarray] = []
        names: list[np.ndarray] = []
        prompt_weights: list[np.ndarray] = []
        stats: list[RewardStats] = []
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        share = min(SUBSAMPLE, memory / (self._total * len(self._columns) * 8))
        remainder, last_name, row = [np.empty(0)] * len(self._columns), None, 0

        def add_prompts(columns: Sequence[np.ndarray], counts: np.ndarray) -> None:
            rewards = np.column_stack(columns)
            offsets = np.concatenate([[0], np.cumsum(counts)])
            parts = [
                (rewards[offsets[a] : offsets[b]], counts[a:b])
                for a, b in block_cuts(offsets, len(columns), self._threads)
            ]
            stats.extend(map_threads(lambda part: RewardStats.of(*part, form), parts, self._threads))
            first = max(1, int(share * len(counts)))
            kept.append((rewards[: offsets[first]].copy(), counts[:first]))

        for batch in read_ahead(self._batches((*self._columns, self._prompt, *self._weight_columns))):
            new, hashes, last_name = new_prompts(batch.column(self._prompt), last_name, row, self._path)
            starts.append(row + new)
            names.append(hashes)
            if self._weight_columns:
                prompt_weights.append(new_prompt_weights(batch, new, self._weight_columns, row, self._path))
            columns = [
                np.concatenate([a, b]) if len(a) else b
                for a, b in zip(remainder, rewards_in(batch, self._columns, row, self._path), strict=True)
            ]
            row += batch.num_rows
            # The remainder of the batch before is one prompt, which this batch may continue.
            begun = row - len(columns[0])
            cuts = np.concatenate([[0] if len(remainder[0]) else [], starts[-1] - begun]).astype(np.int64)
            cuts = np.unique(cuts)
            if len(cuts) > 1:
                add_prompts([column[: cuts[-1]] for column in columns], np.diff(cuts))
            remainder = [column[cuts[-1] :] for column in columns]
            if len(remainder[0]) > 4 * self._rows:
                raise InputError(
                    f"The prompt at row {begun + int(cuts[-1]) + 1} of {self._path} has more replies than the memory "
                    f"limit can hold ({len(remainder[0])} so far). Allow more memory."
                )
        add_prompts(remainder, np.array([len(remainder[0])]))
        self._offsets = np.concatenate([*starts, [row]])
        self.prompt_weights = np.concatenate(prompt_weights) if self._weight_columns else None
        refuse_returning_prompts(np.concatenate(names), self._offsets, self._path, self._prompt)
        return combine_stats(form, stats), kept

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the file in batches of as many rows as the memory limit allows."""
        try:
            # Without pre_buffer: it would hold the whole file.
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=2**20) as file:
                yield from file.iter_batches(self._rows, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self._path} cannot be read ({error}). Write the file again.") from error

    def _rows_at_once(self, memory: int) -> int:
        """Return the number of rows of a batch that fit the memory limit, in bytes."""
        with pq.ParquetFile(self._path) as file:
            self._total = file.metadata.num_rows
        if self._total == 0:
            raise InputError(f"{self._path} has no rows. A table needs at least one reply.")
        width = len(self._columns)
        page = 2**20 * (width + 1)
        available = (1 - 2 * SUBSAMPLE_MEMORY) * memory - page
        rows = int(available / 2 / (BYTES_A_NUMBER * width))
        rows = min(rows, 4 * self._threads * BLOCK // width, max(LEAST_ROWS, self._total))
        if rows < LEAST_ROWS:
            needed = int((2 * BYTES_A_NUMBER * width * LEAST_ROWS + page) / (1 - 2 * SUBSAMPLE_MEMORY)) + 1
            raise InputError(
                f"{memory} bytes cannot hold {LEAST_ROWS} rows of {width} values while they are read and computed. "
                f"Allow at least {needed} bytes."
            )
        return rows

    def _file_stamp(self) -> tuple[int, int]:
        try:
            state = self._path.stat()
        except OSError as error:
            raise InputError(f"There is no table at {self._path}. Give the path of a Parquet file.") from error
        return state.st_size, state.st_mtime_ns
