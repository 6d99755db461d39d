"""Read a Parquet file of rewards batch by batch: columns by name, their numbers, and where prompts begin.

Constraint: a file may be larger than memory, so nothing here reads more than a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.data.table_columns import REPLY_COLUMNS, departure, is_counter, is_number
from map_core.data.table_format import load_metadata
from map_core.errors import InputError

T = TypeVar("T")


def load_schema(path: Path) -> pa.Schema:
    """Read the names and types of the columns of a Parquet file.

    Raises:
        InputError: it is no Parquet file.
    """
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read ({error}). Give a reward table.") from error


def streamed_values(path: Path, schema: pa.Schema, prompt: str) -> tuple[str, ...]:
    """Return the values that the metadata names, or all columns of numbers that belong to nothing else.

    Raises:
        InputError: there are none, or a column of the format holds another type: such a file has to be imported first.
    """
    named = tuple(load_metadata(path).get("values", ()))
    other = {*REPLY_COLUMNS, prompt}
    # Weights and held-out flags are checked by weight_columns.
    checked = [column for column in schema if column.name not in ("weight", "held_out")]
    reasons = [reason for reason in map(departure, checked) if reason]
    if reasons:
        raise InputError(f"{path} is no table that can be streamed: {'; '.join(reasons)}. Import it first.")
    values = named or tuple(
        column.name
        for column in schema
        if is_number(column.type) and column.name not in other and not is_counter(column.name)
    )
    if not values:
        raise InputError(f"{path} has no column of numbers that could be a value's rewards. Name the columns.")
    return values


def weight_columns(path: Path, schema: pa.Schema, values: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of prompt weights and held-out flags; none of the values.

    Raises:
        InputError: one has the wrong type.
    """
    columns = tuple(name for name in ("weight", "held_out") if name in schema.names and name not in values)
    for name in columns:
        kind = schema.field(name).type
        number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        if not (number if name == "weight" else pa.types.is_boolean(kind)):
            expected = "numbers" if name == "weight" else "true or false"
            raise InputError(f"The column {name!r} of {path} holds {kind}, not {expected}.")
    return columns


def new_prompt_weights(
    batch: pa.RecordBatch, new: np.ndarray, columns: Sequence[str], row: int, path: Path
) -> np.ndarray:
    """Return the weight of each prompt that begins in a batch, (new prompt,), from its first row; 0 when held out.

    Args:
        batch: of rows.
        new: rows of the batch where prompts begin.
        columns: as :func:`weight_columns` returns them.
        row: number of the batch's first row in the file.
        path: of the file, for messages.

    Raises:
        InputError: a weight is no number above 0.
    """
    first = pa.array(new)
    weights = np.ones(len(new))
    if "weight" in columns:
        weights = column_of(batch.column("weight").take(first)).astype(np.float64)
        invalid = ~((weights > 0) & np.isfinite(weights))
        if invalid.any():
            row_number = row + int(new[np.argmax(invalid)]) + 1
            raise InputError(
                f"The weight in row {row_number} of {path} is {weights[invalid][0]:g}; expected a number above 0, such "
                "as how often the prompt occurs."
            )
    if "held_out" in columns:
        held_out = batch.column("held_out").take(first).fill_null(False)
        weights[held_out.to_numpy(zero_copy_only=False)] = 0.0
    return weights


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items; another thread produces the next one while one is in use."""
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        pending = reader.submit(next, items, end)
        while (item := pending.result()) is not end:
            pending = reader.submit(next, items, end)
            yield item


def columns_of(batch: pa.RecordBatch) -> list[np.ndarray]:
    """Return the columns of a batch as arrays, see :func:`column_of`."""
    return [column_of(column) for column in batch.columns]


def column_of(column: pa.Array) -> np.ndarray:
    """Return a column as an array, (row,): float32 unchanged, all else float64; missing is NaN."""
    if column.type != pa.float32():
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def new_prompts(column: pa.Array, before: Any, row: int, path: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the rows of a batch where a prompt begins, 64-bit hashes of their names, and the last name.

    Args:
        column: of prompt names.
        before: the last name of the batch before.
        row: number of the batch's first row in the file.
        path: of the file, for messages.

    Raises:
        InputError: a row names no prompt.
    """
    from pandas.util import hash_array  # most programs open no table as a stream, and pandas is long to import

    if column.null_count:
        missing = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) + 1
        raise InputError(f"Row {missing} of {path} names no prompt. Each row needs the prompt that it replies to.")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    changes = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    new = np.flatnonzero(np.concatenate([[column[0].as_py() != before or row == 0], changes]))
    hashes = hash_array(column.take(pa.array(new)).to_numpy(zero_copy_only=False))
    return new, hashes, column[-1].as_py()


def rewards_in(batch: pa.RecordBatch, columns: Sequence[str], row: int, path: Path) -> list[np.ndarray]:
    """Return the values' columns of a batch, (row,) each.

    Args:
        batch: of rows.
        columns: names of the values' columns.
        row: number of the batch's first row in the file.
        path: of the file, for messages.

    Raises:
        InputError: a reward is missing or not finite.
    """
    rewards = []
    for name in columns:
        column = column_of(batch.column(name))
        missing = ~np.isfinite(column)
        if missing.any():
            first = int(np.argmax(missing))
            raise InputError(
                f"A reward of {path} is missing or not finite: row {row + first + 1}, value {name!r} "
                f"({column[first]}). Score this reply again or remove its row."
            )
        rewards.append(column)
    return rewards


def refuse_returning_prompts(names: np.ndarray, offsets: np.ndarray, path: Path, prompt: str) -> None:
    """Refuse a file in which the rows of a prompt are not consecutive.

    Names are 64-bit hashes: among three million prompts two collide with a probability of 1 in 4 million.

    Raises:
        InputError: a prompt returns after others.
    """
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again):
        row = int(offsets[order[again + 1].min()])
        raise InputError(
            f"Row {row + 1} of {path} returns to a prompt after rows of others. Rows of a prompt must follow one "
            f"another: sort the file by {prompt!r}."
        )
