"""What reading a Parquet file of rewards takes: its columns by name, numbers out of them, and where prompts begin.

Constraint: a file may be larger than memory, so nothing here reads more than a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.data.reward_table import REPLY_COLUMNS, load_metadata
from map_core.errors import InputError

T = TypeVar("T")


def load_schema(path: Path) -> pa.Schema:
    """Names and types of the columns of a Parquet file.

    Raises:
        InputError: it is none.
    """
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read ({error}). Give a reward table.") from error


def value_columns(path: Path, schema: pa.Schema, prompt: str) -> tuple[str, ...]:
    """The values that the metadata names, or all columns of fractional numbers.

    Raises:
        InputError: there are none.
    """
    named = tuple(load_metadata(path).get("values", ()))
    other = {*REPLY_COLUMNS, prompt}
    found = named or tuple(f.name for f in schema if pa.types.is_floating(f.type) and f.name not in other)
    if not found:
        raise InputError(f"{path} has no column of numbers that could be a value's rewards. Name the columns.")
    return found


def counting_columns(path: Path, schema: pa.Schema, values: Sequence[str]) -> tuple[str, ...]:
    """The columns by which prompts count differently; none of the values.

    Raises:
        InputError: one holds something else than weights, or true and false.
    """
    found = tuple(name for name in ("weight", "held_out") if name in schema.names and name not in values)
    for name in found:
        kind = schema.field(name).type
        number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        if not (number if name == "weight" else pa.types.is_boolean(kind)):
            expected = "numbers" if name == "weight" else "true or false"
            raise InputError(f"The column {name!r} of {path} holds {kind}, not {expected}.")
    return found


def counting(batch: pa.RecordBatch, new: np.ndarray, columns: Sequence[str], row: int, path: Path) -> np.ndarray:
    """(new prompt,) weight of each prompt that begins in a batch, from its first row; 0 when it is held out.

    Args:
        batch: of rows, the first of which is number ``row`` of the file.
        new: where prompts begin in it.
        columns: as :func:`counting_columns` gives them.

    Raises:
        InputError: a weight is no number above 0.
    """
    first = pa.array(new)
    weights = np.ones(len(new))
    if "weight" in columns:
        weights = column_of(batch.column("weight").take(first)).astype(np.float64)
        wrong = ~((weights > 0) & np.isfinite(weights))
        if wrong.any():
            at = row + int(new[np.argmax(wrong)]) + 1
            raise InputError(
                f"The weight in row {at} of {path} is {weights[wrong][0]:g}; expected a number above 0, such as how "
                "often the prompt occurs."
            )
    if "held_out" in columns:
        held_out = batch.column("held_out").take(first).fill_null(False)
        weights[held_out.to_numpy(zero_copy_only=False)] = 0.0
    return weights


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made by another thread while the one before is in use."""
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        coming = reader.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = reader.submit(next, items, end)
            yield item


def numbers(batch: pa.RecordBatch) -> list[np.ndarray]:
    return [column_of(column) for column in batch.columns]


def column_of(column: pa.Array) -> np.ndarray:
    """(row,) float32 as it is, all else float64; missing is NaN."""
    if column.type != pa.float32():
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def new_prompts(column: pa.Array, before: Any, row: int, path: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """Rows of a batch where a prompt begins, 64-bit hashes of their names, and the last name."""
    if column.null_count:
        missing = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) + 1
        raise InputError(f"Row {missing} of {path} names no prompt. Each row needs the prompt that it replies to.")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    changes = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    new = np.flatnonzero(np.concatenate([[column[0].as_py() != before or row == 0], changes]))
    hashes = pd.util.hash_array(column.take(pa.array(new)).to_numpy(zero_copy_only=False))
    return new, hashes, column[-1].as_py()


def rewards_in(batch: pa.RecordBatch, columns: Sequence[str], row: int, path: Path) -> list[np.ndarray]:
    """The values' columns of a batch, the first row of which is number ``row`` of the file.

    Raises:
        InputError: a reward is missing or not finite.
    """
    found = []
    for name in columns:
        column = column_of(batch.column(name))
        bad = ~np.isfinite(column)
        if bad.any():
            first = int(np.argmax(bad))
            raise InputError(
                f"A reward of {path} is missing or not finite: row {row + first + 1}, value {name!r} "
                f"({column[first]}). Score this reply again or remove its row."
            )
        found.append(column)
    return found


def refuse_returning_prompts(names: np.ndarray, offsets: np.ndarray, path: Path, prompt: str) -> None:
    """Refuse a file that goes back to a prompt that others have followed.

    Names are 64-bit hashes: among three million prompts two are mistaken for one at odds of 1 in 4 million.

    Raises:
        InputError: it does so.
    """
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again):
        row = int(offsets[order[again + 1].min()])
        raise InputError(
            f"Row {row + 1} of {path} goes back to a prompt that other prompts have followed. Rows of a prompt must "
            f"follow one another: sort the file by {prompt!r}."
        )
