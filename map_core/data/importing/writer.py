"""Second pass over a file: write its rows as a reward table, grouped by prompt.

If the replies to a prompt are not consecutive, rows are first partitioned by prompt into files on the disk, and each
partition is sorted separately (an external bucket sort). Constraint: at most one partition or a few chunks are in
memory, and the table is renamed into place at the end.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.core.amounts import counted
from map_core.core.atomic_files import atomic_write
from map_core.core.types import Form
from map_core.data.importing.echoes import without_prompt
from map_core.data.importing.readers import RowChunk, SourceFile
from map_core.data.importing.scan import FileScan, Report, texts
from map_core.data.reward_table import table_notes
from map_core.data.table_format import table_schema
from map_core.errors import InputError

#: Rows of a row group, and maximum number of partitions that are open at once.
GROUP, PARTITIONS = 2**15, 64
#: Rows of a partition; more if there would be too many partitions.
PARTITION = 2**17


@dataclass(frozen=True, eq=False)
class ImportResult:
    """Summary of an import.

    Args:
        prompts, replies: their numbers.
        values: names of the values.
        form: the table's form, pooled when most prompts have one reply.
        notes: sentences for the user.
        rows: number of rows of the file that were read.
        empty: number of those that hold no reply and are left out.
    """

    prompts: int
    replies: int
    values: tuple[str, ...]
    form: Form
    notes: tuple[str, ...]
    rows: int = 0
    empty: int = 0

    @property
    def counts(self) -> str:
        """A sentence about the rows read and the table's size."""
        prompts, replies = counted(self.prompts, "prompt"), counted(self.replies, "reply", "replies")
        values = counted(len(self.values), "value")
        left_out = f"{self.empty} left out, which hold no reply" if self.empty else "none left out"
        return f"{counted(self.rows, 'row')} read, {left_out}; {prompts}, {replies}, {values}; {self.form.value} form."


def write(
    source: SourceFile,
    scan: FileScan,
    names: Mapping[str, str],
    out: Path,
    *,
    metadata: Mapping[str, Any],
    report: Report | None = None,
) -> ImportResult:
    """Write the table.

    Args:
        source: the file.
        scan: result of its first pass.
        names: value names by column of rewards.
        out: the Parquet file, atomically replaced.
        metadata: the table's metadata, plain JSON values.
        report: called with the stage and its share.

    Raises:
        InputError: the disk is full or cannot be written, or the file was changed since its first pass.
    """
    values = tuple(names.values())
    schema = table_schema(values, metadata, bool(len(scan.weights) or len(scan.held_out)))
    rows = _Rows(source, scan, values, schema, report)
    try:
        with atomic_write(out) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
            for batch in _row_groups(rows.in_order() if scan.in_order else rows.sorted_by_prompt(out.parent)):
                file.write_table(batch, row_group_size=GROUP)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"The table cannot be written to {out} ({error}). Make room or choose another place."
        ) from error
    single = int(np.sum(scan.counts == 1))
    notes = (*rows.notes(), *table_notes(values, rows.low == rows.high, 0, single, len(scan.counts)))
    form = Form.POOLED if 2 * single > len(scan.counts) else Form.PER_PROMPT
    return ImportResult(len(scan.counts), len(scan.prompt_of), values, form, notes)


@dataclass(eq=False)
class _Rows:
    """Converts the rows of the file to rows of the table."""

    source: SourceFile
    scan: FileScan
    values: tuple[str, ...]
    schema: pa.Schema
    report: Report | None

    def __post_init__(self) -> None:
        count, size = len(self.scan.prompt_of), len(self.values)
        self.low, self.high = np.full(size, np.inf), np.full(size, -np.inf)
        self._offsets = np.concatenate([[0], np.cumsum(self.scan.counts)])
        self._next = np.zeros(len(self.scan.counts), dtype=np.int32)
        #: The first spelling of prompts that have several; "" until it is read.
        self._spelling: dict[int, str] = dict.fromkeys(self.scan.spellings.tolist(), "")
        self._texts, self._wholes = np.zeros(count, dtype=np.uint64), np.zeros(count, dtype=np.uint64)

    def in_order(self) -> Iterator[pa.Table]:
        """Yield the rows in the order of the file."""
        columns = (*self.scan.roles.texts, *self.passed, *(column.name for column in self.scan.rewards))
        rows = 0
        for chunk in self.source.chunks(columns):
            rows += chunk.rows
            if rows > len(self.scan.prompt_of):
                break
            if chunk.rows:  # a chunk is empty if the last rows of a file hold no reply
                yield self._table(chunk)
            if self.report is not None:
                self.report("writing", chunk.share)
        if rows != len(self.scan.prompt_of):
            raise InputError(f"{self.source.path} was changed while it was read. Import it again.")

    def sorted_by_prompt(self, folder: Path) -> Iterator[pa.Table]:
        """Yield the rows sorted by prompt, by way of partitions on the disk."""
        size = max(PARTITION, -(-len(self.scan.prompt_of) // PARTITIONS))
        partition_of = self._offsets[:-1] // size
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as scratch, ExitStack() as open_files:
            writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
            for table in self.in_order():
                prompts = table["number"].to_numpy()
                for partition in np.unique(partition_of[prompts]):
                    if partition not in writers:
                        path = f"{scratch}/{partition}.arrow"
                        writers[partition] = open_files.enter_context(pa.ipc.new_file(path, table.schema))
                    writers[partition].write_table(table.filter(pa.array(partition_of[prompts] == partition)))
            open_files.close()
            for partition in sorted(writers):
                with pa.memory_map(f"{scratch}/{partition}.arrow") as file:
                    table = pa.ipc.open_file(file).read_all()
                    yield table.take(pc.sort_indices(table, [("number", "ascending"), ("candidate", "ascending")]))
                Path(f"{scratch}/{partition}.arrow").unlink()

    def _table(self, chunk: RowChunk) -> pa.Table:
        roles = self.scan.roles
        content = texts(chunk, roles, self.source.where)
        prompts, replies, use_cases = content.prompts, content.replies, content.use_cases
        rows = slice(chunk.first, chunk.first + chunk.rows)
        prompt_of = self.scan.prompt_of[rows]
        rewards = np.column_stack([column.read(chunk.columns[column.name]) for column in self.scan.rewards])
        self.low, self.high = np.minimum(self.low, rewards.min(axis=0)), np.maximum(self.high, rewards.max(axis=0))
        if self.scan.strips:
            stripped = map(without_prompt, map(str.strip, prompts), replies)
            replies = [reply if text is None else text for text, reply in zip(stripped, replies, strict=True)]
        for row, prompt in enumerate(prompt_of):
            if prompt in self._spelling:
                self._spelling[prompt] = self._spelling[prompt] or prompts[row]
                prompts[row] = self._spelling[prompt]
        keys = content.keys()
        for row, (key, reply, numbers) in enumerate(zip(keys, replies, rewards, strict=True), start=chunk.first):
            digest = hashlib.blake2b(key + reply.encode(), digest_size=8)
            self._texts[row] = int.from_bytes(digest.digest())
            digest.update(numbers.tobytes())
            self._wholes[row] = int.from_bytes(digest.digest())
        if len(self.scan.candidates):
            candidate = self.scan.candidates[rows]
        else:
            candidate = np.empty(chunk.rows, dtype=np.int32)
            for row, prompt in enumerate(prompt_of):
                candidate[row] = self._next[prompt]
                self._next[prompt] += 1
        columns: dict[str, Any] = {
            "prompt_id": content.ids if self.scan.own_ids else [key.hex()[:16] for key in keys],
            "prompt": prompts,
            "use_case": use_cases,
            "candidate": candidate,
            "reply": replies,
            "tokens": self._lists(chunk, "tokens"),
            "log_prob": self._numbers(chunk, "log_prob"),
        } | dict(zip(self.values, rewards.T, strict=True))
        if "weight" in self.schema.names:
            count = len(self.scan.counts)
            weights = self.scan.weights if len(self.scan.weights) else np.ones(count)
            held_out = self.scan.held_out if len(self.scan.held_out) else np.zeros(count, dtype=bool)
            columns |= {"weight": weights[prompt_of], "held_out": held_out[prompt_of]}
        schema = pa.schema([*self.schema, pa.field("number", pa.int32())])
        return pa.Table.from_pydict(columns | {"number": prompt_of}, schema)

    @property
    def passed(self) -> tuple[str, ...]:
        """Columns that the table takes over: token ids and log-probabilities, if replies are unchanged."""
        return () if self.scan.strips else self.source.whole_replies

    def _lists(self, chunk: RowChunk, name: str) -> list[Any]:
        return [cell or () for cell in chunk.columns[name]] if name in self.passed else [()] * chunk.rows

    def _numbers(self, chunk: RowChunk, name: str) -> Sequence[Any] | np.ndarray:
        if name not in self.passed:
            return np.full(chunk.rows, np.nan)
        return [math.nan if cell is None else float(cell) for cell in chunk.columns[name]]

    def notes(self) -> list[str]:
        """Return notes on repeated rows, once all rows have been read."""
        notes = []
        distinct_rows, distinct_texts = len(np.unique(self._wholes)), len(np.unique(self._texts))
        if repeated := len(self._wholes) - distinct_rows:
            rows = "1 row repeats" if repeated == 1 else f"{repeated} rows repeat"
            notes.append(f"{rows} another row, prompt, reply and rewards; each counts.")
        if repeated := distinct_rows - distinct_texts:
            replies = "1 reply comes" if repeated == 1 else f"{repeated} replies come"
            notes.append(f"{replies} again with other rewards for the same prompt; each counts.")
        return notes


def _row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Merge tables into row groups and drop the column of prompt indices."""
    pending: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        pending.append(table.drop_columns(["number"]))
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= GROUP or size >= 2**26:
            yield pa.concat_tables(pending)
            pending, rows, size = [], 0, 0
    if pending:
        yield pa.concat_tables(pending)
