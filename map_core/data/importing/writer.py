"""The second reading of a file: its rows as a reward table, in the order of their prompts.

Where the replies to a prompt do not follow one another, rows go into pieces of the disk first, each with some
prompts, and each piece is put in order by itself. Constraint: a piece or a few chunks are in memory at a time, and the
table appears by one rename at the end.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.core.types import Form
from map_core.data.importing.readers import RowChunk, SourceFile
from map_core.data.importing.scan import FileScan, Report, prompt_hash, texts, without_prompt
from map_core.data.reward_table import table_notes, table_schema
from map_core.errors import InputError

#: Rows of a row group, and most pieces that are written at once.
GROUP, PIECES = 2**15, 64
#: Rows of a piece, unless that made too many pieces.
PIECE = 2**17


@dataclass(frozen=True, eq=False)
class ImportResult:
    """What became of a file.

    Args:
        prompts, replies: how many.
        values: their names.
        form: of the table, pooled when most prompts have one reply.
        notes: sentences that a person should read.
    """

    prompts: int
    replies: int
    values: tuple[str, ...]
    form: Form
    notes: tuple[str, ...]


def write(
    source: SourceFile,
    found: FileScan,
    names: Mapping[str, str],
    out: Path,
    metadata: Mapping[str, Any],
    report: Report | None = None,
) -> ImportResult:
    """Write the table.

    Args:
        source, found: the file and what its first reading found.
        names: of the value of each column of rewards.
        out: the Parquet file; one that is there is replaced at the end.
        metadata: of the table, plain JSON values.
        report: told how far it is.

    Raises:
        InputError: the disk is full or cannot be written, or the file was changed since its first reading.
    """
    values = tuple(names.values())
    schema = table_schema(values, metadata, bool(len(found.weights) or len(found.held_out)))
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    rows = _Rows(source, found, values, schema, report)
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as file:
            for batch in _grouped(rows.in_order() if found.in_order else rows.put_in_order(out.parent)):
                file.write_table(batch, row_group_size=GROUP)
        partial.replace(out)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"The table cannot be written to {out} ({error}). Make room or choose another place."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    single = int(np.sum(found.counts == 1))
    notes = (*rows.notes(), *table_notes(values, rows.low == rows.high, 0, single, len(found.counts)))
    form = Form.POOLED if 2 * single > len(found.counts) else Form.PER_PROMPT
    return ImportResult(len(found.counts), len(found.prompt_of), values, form, notes)


@dataclass(eq=False)
class _Rows:
    """The rows of the file as those of the table."""

    source: SourceFile
    found: FileScan
    values: tuple[str, ...]
    schema: pa.Schema
    report: Report | None

    def __post_init__(self) -> None:
        count, size = len(self.found.prompt_of), len(self.values)
        self.low, self.high = np.full(size, np.inf), np.full(size, -np.inf)
        self._offsets = np.concatenate([[0], np.cumsum(self.found.counts)])
        self._next = np.zeros(len(self.found.counts), dtype=np.int32)
        self._texts, self._wholes = np.zeros(count, dtype=np.uint64), np.zeros(count, dtype=np.uint64)

    def in_order(self) -> Iterator[pa.Table]:
        """As they come."""
        wanted = (*self.found.roles.texts, *(one.name for one in self.found.rewards))
        rows = 0
        for chunk in self.source.chunks(wanted):
            rows += chunk.rows
            if rows > len(self.found.prompt_of):
                break
            yield self._table(chunk)
            if self.report is not None:
                self.report("writing", chunk.share)
        if rows != len(self.found.prompt_of):
            raise InputError(f"{self.source.path} was changed while it was read. Import it again.")

    def put_in_order(self, folder: Path) -> Iterator[pa.Table]:
        """In the order of their prompts, by way of pieces on the disk."""
        size = max(PIECE, -(-len(self.found.prompt_of) // PIECES))
        piece_of = self._offsets[:-1] // size
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as held, ExitStack() as open_files:
            writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
            for table in self.in_order():
                numbers = table["number"].to_numpy()
                for piece in np.unique(piece_of[numbers]):
                    if piece not in writers:
                        path = f"{held}/{piece}.arrow"
                        writers[piece] = open_files.enter_context(pa.ipc.new_file(path, table.schema))
                    writers[piece].write_table(table.filter(pa.array(piece_of[numbers] == piece)))
            open_files.close()
            for piece in sorted(writers):
                with pa.memory_map(f"{held}/{piece}.arrow") as file:
                    table = pa.ipc.open_file(file).read_all()
                    yield table.take(pc.sort_indices(table, [("number", "ascending"), ("candidate", "ascending")]))
                Path(f"{held}/{piece}.arrow").unlink()

    def _table(self, chunk: RowChunk) -> pa.Table:
        roles = self.found.roles
        prompts, replies, use_cases = texts(chunk, roles, str(self.source.path))
        rows = slice(chunk.first, chunk.first + chunk.rows)
        numbers = self.found.prompt_of[rows]
        rewards = np.column_stack([one.read(chunk.columns[one.name]) for one in self.found.rewards])
        self.low, self.high = np.minimum(self.low, rewards.min(axis=0)), np.maximum(self.high, rewards.max(axis=0))
        if self.found.strips:
            stripped = map(without_prompt, prompts, replies)
            replies = [reply if text is None else text for text, reply in zip(stripped, replies, strict=True)]
        keys = [prompt_hash(*both) for both in zip(use_cases, prompts, strict=True)]
        for at, (key, reply, row) in enumerate(zip(keys, replies, rewards, strict=True), start=chunk.first):
            digest = hashlib.blake2b(key + reply.encode(), digest_size=8)
            self._texts[at] = int.from_bytes(digest.digest())
            digest.update(row.tobytes())
            self._wholes[at] = int.from_bytes(digest.digest())
        candidate = np.empty(chunk.rows, dtype=np.int32)
        for row, number in enumerate(numbers):
            candidate[row] = self._next[number]
            self._next[number] += 1
        columns: dict[str, Any] = {
            "prompt_id": [key.hex()[:16] for key in keys],
            "prompt": prompts,
            "use_case": use_cases,
            "candidate": candidate,
            "reply": replies,
            "tokens": [()] * chunk.rows,
            "log_prob": np.full(chunk.rows, np.nan),
        } | dict(zip(self.values, rewards.T, strict=True))
        if "weight" in self.schema.names:
            count = len(self.found.counts)
            weights = self.found.weights if len(self.found.weights) else np.ones(count)
            held_out = self.found.held_out if len(self.found.held_out) else np.zeros(count, dtype=bool)
            columns |= {"weight": weights[numbers], "held_out": held_out[numbers]}
        schema = pa.schema([*self.schema, pa.field("number", pa.int32())])
        return pa.Table.from_pydict(columns | {"number": numbers}, schema)

    def notes(self) -> list[str]:
        """Rows that come again, once all have been read."""
        notes = []
        whole, unlike = len(np.unique(self._wholes)), len(np.unique(self._texts))
        if repeated := len(self._wholes) - whole:
            notes.append(f"{repeated} rows repeat another row, prompt, reply and rewards; each counts.")
        if whole > unlike:
            notes.append(f"{whole - unlike} replies come again with other rewards for the same prompt; each counts.")
        return notes


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of a row group's size, without the prompts' numbers."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        held.append(table.drop_columns(["number"]))
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= GROUP or size >= 2**26:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)
