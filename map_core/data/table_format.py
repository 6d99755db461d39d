"""The file format of reward tables: load, save, schema and metadata.

The format is Parquet: one row per reply, one column per value, the provenance in the metadata. A file that another
program wrote is loaded by :mod:`map_core.data.table_file`, which imports it if it departs from this format.
Constraint: no model library is imported here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core import remedies
from map_core.core.amounts import counted
from map_core.core.assets import DEFAULTS
from map_core.core.atomic_files import atomic_write
from map_core.data.reward_table import READING, RewardTable, refuse_unusable
from map_core.data.table_columns import REPLY_COLUMNS, REQUIRED_COLUMNS, departure, is_counter, is_number, is_text
from map_core.errors import InputError

#: The embedded table, which is opened by default.
DEFAULT_TABLE = DEFAULTS / "default.parquet"
#: Key of the table's metadata in the file's metadata.
METADATA_KEY = b"value_palette"
#: Version of this format; files of a later one are refused.
FORMAT = 1


def load(path: str | os.PathLike[str]) -> RewardTable:
    """Read a reward table.

    Rows are sorted by their prompts' first appearance, then by candidate number. Values are the columns that the
    metadata names, else every column of numbers that is not part of the format.

    Args:
        path: a Parquet file in the format of this module.

    Raises:
        InputError: no such file, not Parquet, a column is missing, a reward is not a finite number, or one candidate of
            a prompt appears twice.

    Example:
        >>> load("assets/default.parquet").values  # doctest: +SKIP
        ('helpfulness', 'kindness', ...)
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(remedies.NO_TABLE.of(path))
    try:
        data = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read ({error}). Give a reward table.") from error
    missing = [name for name in REQUIRED_COLUMNS if name not in data.column_names]
    if missing:
        raise InputError(
            f"{path} lacks the column {', '.join(map(repr, missing))}; it has {', '.join(data.column_names)}. "
            "A table has one row per reply, with prompt, reply and one column per value."
        )
    if data.num_rows == 0:
        raise InputError(f"{path} has no rows. A table needs at least one reply.")
    metadata = _metadata(data.schema, path)
    for name in REPLY_COLUMNS[:-1]:  # _weights_and_flags checks the type of held_out
        if name in data.column_names and (reason := departure(data.schema.field(name))):
            raise InputError(f"{path} cannot be read: {reason}. Save the column with that type, or import the file.")
    labels = _labels(data)
    values, added = value_columns(data.schema, metadata, path, labels)
    if added:
        metadata = {**metadata, READING: [*metadata.get(READING, ()), *added]}
    rewards = np.column_stack([_numbers(data, name) for name in values])
    refuse_unusable(rewards, values)  # before rows are sorted, so that the message has the row of the file

    for name in ("prompt", "reply", "use_case", "prompt_id"):
        if name in data.column_names and (empty := data[name].null_count):
            row = data[name].is_null().to_pylist().index(True) + 1
            rows = counted(empty, "row has", "rows have")
            raise InputError(f"{path}: {rows} no {name}, the first is row {row}. Fill or remove them.")
    prompts = data["prompt"].to_pylist()
    ids = [str(i) for i in data["prompt_id"].to_pylist()] if "prompt_id" in data.column_names else prompts
    candidate = data["candidate"].to_numpy() if "candidate" in data.column_names else np.zeros(data.num_rows)
    if "candidate" in data.column_names and len(set(zip(ids, candidate.tolist(), strict=True))) < len(ids):
        raise InputError(f"{path} holds one candidate of a prompt twice. Each (prompt_id, candidate) may appear once.")
    prompt_indices = {name: index for index, name in enumerate(dict.fromkeys(ids))}
    prompt_of = np.fromiter((prompt_indices[name] for name in ids), dtype=np.int64, count=len(ids))
    order = np.lexsort((candidate, prompt_of))
    if prompts is not ids:
        _refuse_two_texts(ids, prompts, path)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(prompt_of))])
    first = order[offsets[:-1]]

    def column(name: str, default: Any) -> list[Any]:
        return data[name].to_pylist() if name in data.column_names else [default] * data.num_rows

    weights, held_out = _weights_and_flags(data, values, prompt_of, first, path)
    use_cases, replies = column("use_case", "All prompts"), data["reply"].to_pylist()
    tokens = column("tokens", ())
    return RewardTable(
        values=values,
        rewards=rewards[order],
        offsets=offsets,
        prompt_ids=tuple(prompt_indices),
        prompts=tuple(prompts[i] for i in first),
        use_cases=tuple(str(use_cases[i]) for i in first),
        replies=tuple(str(replies[i]) for i in order),
        tokens=tuple(tuple(tokens[i] or ()) for i in order),
        log_probs=np.asarray(column("log_prob", math.nan), dtype=float)[order],
        metadata=metadata,
        weights=weights,
        held_out=held_out,
        labels={name: tuple(str(label) for label in data[name].take(first).to_pylist()) for name in labels},
        numbers=_with_gaps(candidate[order], offsets) if "candidate" in data.column_names else np.empty(0, np.int64),
    )


def _with_gaps(candidate: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return (reply,) numbers of candidates; empty where each prompt's are 0, 1, 2 and so on, or one is missing."""
    plain = np.arange(len(candidate)) - np.repeat(offsets[:-1], np.diff(offsets))
    usual = not np.issubdtype(candidate.dtype, np.integer) or np.array_equal(candidate, plain)
    return np.empty(0, dtype=np.int64) if usual else candidate.astype(np.int64)


def _labels(data: pa.Table) -> tuple[str, ...]:
    """Return the further columns of text with one entry per prompt, such as its language or segment."""
    key = "prompt_id" if "prompt_id" in data.column_names else "prompt"
    texts = [name for name in data.column_names if is_text(data.schema.field(name).type)]
    prompts = len(data[key].unique())

    def is_label(name: str) -> bool:
        pairs = pa.table({"prompt": data[key], "label": data[name].cast(pa.string())})
        one_each = pairs.group_by(["prompt", "label"]).aggregate([]).num_rows == prompts
        return one_each and not data[name].null_count and len(data[name].unique()) > 1

    return tuple(name for name in texts if name not in REPLY_COLUMNS and is_label(name))


def _refuse_two_texts(ids: Sequence[str], prompts: Sequence[str], path: Path) -> None:
    """Refuse an id with two prompts, as in files that were concatenated."""
    text_of: dict[str, tuple[str, int]] = {}
    for row, (name, text) in enumerate(zip(ids, prompts, strict=True), start=1):
        first, before = text_of.setdefault(name, (text, row))
        if first != text:
            raise InputError(
                f"{path}: the prompt_id {name!r} comes with two prompts, in row {before} and in row {row}. Give each "
                "prompt an id of its own, or leave the column prompt_id out: then a prompt is its text."
            )


def _refuse_differing(differs: np.ndarray, name: str, path: Path) -> None:
    """Refuse a column with one entry per prompt in which some rows, (row,) bool, differ from the prompt's first row."""
    if differs.any():
        raise InputError(
            f"{path}: row {int(np.argmax(differs)) + 1} has another {name} than an earlier reply to the same prompt. "
            "There is one per prompt: make them equal."
        )


def _weights_and_flags(
    data: pa.Table, values: Sequence[str], prompt_of: np.ndarray, first: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and held-out flags, (prompt,) each; empty where all prompts count equally.

    Args:
        data: the rows.
        values: names of the values.
        prompt_of: (row,) the index of each row's prompt.
        first: (prompt,) the first row of each prompt.
        path: the file, for messages.
    """
    weights, held_out = np.empty(0), np.empty(0, dtype=bool)
    if "weight" in data.column_names and "weight" not in values:
        row_weights = _numbers(data, "weight")
        weights = row_weights[first]
        _refuse_differing(row_weights != weights[prompt_of], "weight", path)
        if np.all(weights == 1.0):
            weights = np.empty(0)
    if "held_out" in data.column_names and "held_out" not in values:
        if not pa.types.is_boolean(data.schema.field("held_out").type):
            raise InputError(f"The column 'held_out' of {path} holds no true or false. Save it as booleans.")
        flags = data["held_out"].fill_null(False).to_numpy()
        held_out = flags[first]
        _refuse_differing(flags != held_out[prompt_of], "held_out", path)
        if not held_out.any():
            held_out = np.empty(0, dtype=bool)
    return weights, held_out


def table_schema(values: Sequence[str], metadata: Mapping[str, Any], weighted: bool) -> pa.Schema:
    """Return the Arrow schema of a table's file, with the metadata.

    Args:
        values: names of the values.
        metadata: plain JSON values.
        weighted: whether prompts have weights or some are held out.
    """
    fields = {
        "prompt_id": pa.string(),
        "prompt": pa.string(),
        "use_case": pa.string(),
        "candidate": pa.int32(),
        "reply": pa.string(),
        "tokens": pa.list_(pa.int32()),
        "log_prob": pa.float64(),
    }
    if weighted:
        fields |= {"weight": pa.float64(), "held_out": pa.bool_()}
    fields |= dict.fromkeys(values, pa.float64())
    content = {"format": FORMAT, "values": list(values), **metadata}
    return pa.schema(fields, {METADATA_KEY: json.dumps(content, allow_nan=False).encode()})


def as_arrow(table: RewardTable) -> pa.Table:
    """Return the table as its file stores it, with the metadata."""
    counts = table.candidates
    repeat = np.repeat(np.arange(len(counts)), counts)
    rows = len(repeat)
    columns: dict[str, Any] = {
        "prompt_id": [table.prompt_ids[i] for i in repeat],
        "prompt": [table.prompts[i] for i in repeat],
        "use_case": [table.use_cases[i] for i in repeat],
        "candidate": table.numbers if table.numbers.size else np.arange(rows) - table.offsets[repeat],
        "reply": table.replies or [""] * rows,
        "tokens": table.tokens or [()] * rows,
        "log_prob": table.log_probs if table.log_probs.size else np.full(rows, np.nan),
    }
    weighted = bool(table.weights.size or table.held_out.size)
    if weighted:
        weights = table.weights if table.weights.size else np.ones(len(counts))
        held_out = table.held_out if table.held_out.size else np.zeros(len(counts), dtype=bool)
        columns |= {"weight": weights[repeat], "held_out": held_out[repeat]}
    columns |= {name: table.rewards[:, j] for j, name in enumerate(table.values)}
    schema = table_schema(table.values, table.metadata, weighted)
    for name, entries in table.labels.items():
        schema = schema.append(pa.field(name, pa.string()))
        columns[name] = [entries[i] for i in repeat]
    return pa.table(columns, schema=schema)


def save(table: RewardTable, path: str | os.PathLike[str]) -> None:
    """Write a reward table, atomically replacing a file at ``path``.

    Raises:
        InputError: the folder cannot be written.
    """
    data = as_arrow(table)
    try:
        with atomic_write(Path(path)) as partial:
            pq.write_table(data, partial, compression="zstd")
    except OSError as error:
        raise InputError(f"The table cannot be written to {path} ({error}). Choose another place.") from error


def load_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a table's metadata without its rows.

    Raises:
        InputError: no such file, or not Parquet.
    """
    try:
        return _metadata(pq.read_schema(path), Path(path))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read ({error}).") from error


def _metadata(schema: pa.Schema, path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"The metadata of {path} is not JSON ({error}). Build the table again.") from error
    if not isinstance(metadata, dict):
        raise InputError(f"The metadata of {path} is no JSON object. Build the table again.")
    written = metadata.get("format", FORMAT)
    if not isinstance(written, int) or written > FORMAT:
        raise InputError(f"{path} has format {written!r}; this version reads up to {FORMAT}. Update the app.")
    return metadata


def value_columns(
    schema: pa.Schema, metadata: Mapping[str, Any], path: Path, labels: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns of values, and sentences about columns that the metadata do not name.

    Args:
        schema: the file's schema.
        metadata: the table's metadata.
        path: the file, for messages.
        labels: columns of text with one entry per prompt.

    Raises:
        InputError: there are no values, or the file lacks one that the metadata name.
    """
    named: Sequence[str] = metadata.get("values", ())
    if not isinstance(named, list | tuple) or not all(isinstance(name, str) for name in named):
        raise InputError(f"The metadata of {path} names no list of values. Build the table again.")
    missing = [name for name in named if name not in schema.names]
    if missing:
        raise InputError(f"{path} lacks the rewards of {', '.join(missing)}, which its metadata names.")
    others = [name for name in schema.names if name not in (*REPLY_COLUMNS, *named)]
    counters = [name for name in others if named and is_number(schema.field(name).type) and is_counter(name)]
    numeric = tuple(name for name in others if is_number(schema.field(name).type) and name not in counters)
    if not named and not numeric:
        raise InputError(f"{path} has no column of numbers that could be a value's rewards.")
    left_out = [name for name in others if name not in (*numeric, *counters, *labels)]
    added = numeric if named else ()
    notes = [f"{name!r} was added to the file after it was built, and is taken as a value." for name in added]
    if left_out:
        notes.append(f"Left out, because they hold no numbers: {', '.join(map(repr, left_out))}.")
    if counters:
        notes.append(f"Left out, because they number rows or name models: {', '.join(map(repr, counters))}.")
    return (*named, *numeric), tuple(notes)


def _numbers(data: pa.Table, name: str) -> np.ndarray:
    """Return a column as float64; missing cells become NaN, which validation refuses by row."""
    try:
        # Large integers are rounded to the nearest float.
        return data[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise InputError(f"The rewards of {name!r} are not numbers ({error}).") from error
