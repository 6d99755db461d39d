"""What reading a Parquet file of rewards takes: its columns by name, numbers out of them, and where prompts begin.

Constraint: a file may be larger than memory, so nothing here reads more than a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from map_core.errors import InputError
from map_core.rewards import REPLY_COLUMNS, load_metadata

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
