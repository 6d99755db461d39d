"""Tests of files written by pandas, with every kind of column and index: an import equals what pandas reads back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from map_core.data import table_file
from map_core.data.importing import import_table
from map_core.errors import InputError

PROMPTS = ["How?", "Why?", "How?", "Why?"]
HUMOR = [0.25, 1.5, -2.0, 4.0]


def frame() -> pd.DataFrame:
    return pd.DataFrame({"prompt": PROMPTS, "reply": list("abcd"), "humor": HUMOR})


#: A column of four rewards in each of pandas' types, and its numbers.
DTYPES: dict[str, pd.Series] = {
    "float64": pd.Series(HUMOR),
    "float32": pd.Series(HUMOR, dtype="float32"),
    "int8": pd.Series([1, 2, 3, 4], dtype="int8"),
    "uint64": pd.Series([1, 2, 3, 4], dtype="uint64"),
    "bool": pd.Series([True, False, True, True]),
    "Int64": pd.Series([1, 2, 3, 4], dtype="Int64"),
    "Float64": pd.Series(HUMOR, dtype="Float64"),
    "boolean": pd.Series([True, False, True, True], dtype="boolean"),
    "int64[pyarrow]": pd.Series([1, 2, 3, 4], dtype=pd.ArrowDtype(pa.int64())),
    "double[pyarrow]": pd.Series(HUMOR, dtype=pd.ArrowDtype(pa.float64())),
    "bool[pyarrow]": pd.Series([True, False, True, True], dtype=pd.ArrowDtype(pa.bool_())),
    "decimal[pyarrow]": pd.Series(HUMOR, dtype=pd.ArrowDtype(pa.decimal128(6, 2))),
    "category of numbers": pd.Series(pd.Categorical([1.5, 2.5, 1.5, 2.5])),
}
TEXTS = [
    "object",
    "string",
    "string[pyarrow]",
    "category",
    pd.ArrowDtype(pa.string()),
    pd.ArrowDtype(pa.large_string()),
]

WRITE: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "parquet": lambda data, path: data.to_parquet(path),
    "parquet without an index": lambda data, path: data.to_parquet(path, index=False),
    "csv": lambda data, path: data.to_csv(path),
    "csv without an index": lambda data, path: data.to_csv(path, index=False),
    "csv with semicolons and decimal commas": lambda data, path: data.to_csv(path, sep=";", decimal=",", index=False),
    "csv with tabs": lambda data, path: data.to_csv(path, sep="\t"),
    "json records": lambda data, path: data.to_json(path, orient="records"),
    "json lines": lambda data, path: data.to_json(path, orient="records", lines=True),
}


def written(data: pd.DataFrame, folder: Path, how: str) -> Path:
    suffix = {"parquet": "parquet", "csv": "csv", "json": "json"}[how.split()[0]]
    path = folder / f"data.{suffix}"
    WRITE[how](data, path)
    return path


def assert_rewards(path: Path, rewards: dict[str, pd.Series]) -> None:
    """Check that the file's values are these columns, in the order of their prompts."""
    for read in (import_table, table_file.load) if path.suffix == ".parquet" else (import_table,):
        table = read(path)
        table = getattr(table, "table", table)
        assert table.prompts == ("How?", "Why?")
        assert table.replies == ("a", "c", "b", "d")
        assert table.values == tuple(rewards)
        expected = [pd.to_numeric(column).astype(float).to_numpy()[[0, 2, 1, 3]] for column in rewards.values()]
        np.testing.assert_array_equal(table.rewards, np.array(expected).T)


@pytest.mark.parametrize("how", WRITE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rewards_of_every_type(dtype: str, how: str, tmp_path: Path) -> None:
    column = DTYPES[dtype]
    assert_rewards(written(frame().assign(humor=column), tmp_path, how), {"humor": column.astype(float)})


@pytest.mark.parametrize("how", WRITE)
@pytest.mark.parametrize("dtype", TEXTS, ids=str)
def test_texts_of_every_type(dtype: object, how: str, tmp_path: Path) -> None:
    data = frame().astype({"prompt": dtype, "reply": dtype})
    assert_rewards(written(data, tmp_path, how), {"humor": pd.Series(HUMOR)})


INDEXES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "rows that were filtered": lambda data: pd.concat([data.iloc[[0]], data]).iloc[1:].set_axis([3, 5, 8, 9]),
    "a named index": lambda data: data.set_index(pd.Index([3, 5, 8, 9], name="place")),
    "an index of texts": lambda data: data.set_index(pd.Index(list("wxyz"), name="name")),
    "two levels": lambda data: data.set_index(
        [pd.Index([1, 1, 2, 2], name="run"), pd.Index([0, 1, 0, 1], name="turn")]
    ),
    "two levels without names": lambda data: data.set_index([[1, 1, 2, 2], [0, 1, 0, 1]]),
    "an index of dates": lambda data: data.set_index(pd.date_range("2026-01-01", periods=4)),
    "prompts as the index": lambda data: data.set_index("prompt"),
    "prompts and replies as the index": lambda data: data.set_index(["prompt", "reply"]),
}


@pytest.mark.parametrize("how", ["parquet", "csv"])
@pytest.mark.parametrize("index", INDEXES)
def test_an_index_is_no_value(index: str, how: str, tmp_path: Path) -> None:
    data = INDEXES[index](frame())
    path = written(data, tmp_path, how)
    if how == "csv" and index == "two levels without names":
        with pytest.raises(InputError, match="has the column '' twice"):
            import_table(path)
        return
    named = [name for name in data.index.names if name in ("place", "run", "turn")]
    if how == "csv" and named:  # in CSV they cannot be distinguished from other columns
        assert import_table(path).table.values == (*named, "humor")
    else:
        assert_rewards(path, {"humor": pd.Series(HUMOR)})


@pytest.mark.parametrize("how", [how for how in WRITE if not how.startswith("json")])
def test_dates_are_no_values(how: str, tmp_path: Path) -> None:
    spans = pd.to_timedelta([1, 2, 3, 4], "h")
    data = frame().assign(begun=pd.date_range("2026-01-01", periods=4), spent=spans)
    assert_rewards(written(data, tmp_path, how), {"humor": pd.Series(HUMOR)})


@pytest.mark.parametrize("style", ["iso", "epoch"])
@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.filterwarnings("ignore:The default 'epoch' date format|.*epoch.*")
def test_dates_of_json_are_no_values(lines: bool, style: Literal["iso", "epoch"], tmp_path: Path) -> None:
    """As numbers of milliseconds, only usual column names identify them."""
    data = frame().assign(created_at=pd.date_range("2026-01-01", periods=4))
    data.to_json(tmp_path / "data.json", orient="records", lines=lines, date_format=style)
    assert_rewards(tmp_path / "data.json", {"humor": pd.Series(HUMOR)})


@pytest.mark.parametrize("how", WRITE)
@pytest.mark.parametrize("dtype", ["float64", "Int64", "boolean", "Float64", "int64[pyarrow]", "double[pyarrow]"])
def test_missing_reward_is_refused_with_its_row(dtype: str, how: str, tmp_path: Path) -> None:
    column = DTYPES[dtype].astype("float64" if dtype == "float64" else DTYPES[dtype].dtype)
    column[2] = np.nan if dtype == "float64" else pd.NA
    path = written(frame().assign(humor=column), tmp_path, how)
    # A spreadsheet counts the header of a CSV file as its first row.
    row = 4 if path.suffix in (".csv", ".tsv", ".txt") else 3
    for read in (import_table, table_file.load) if path.suffix == ".parquet" else (import_table,):
        with pytest.raises(InputError, match=rf"row {row}, column 'humor' is empty|first in row {row}, value 'humor'"):
            read(path)


@pytest.mark.parametrize("orient", ["table", "split", "columns", "index"])
def test_other_orientations_are_refused_with_a_conversion(orient: str, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    frame().to_json(path, orient=orient)  # type: ignore[call-overload]
    with pytest.raises(InputError, match=rf'orient="{orient}"'):
        import_table(path)
    frame().to_json(path, orient="values")
    with pytest.raises(InputError, match=r"Entry 1 of .* expected an object"):
        import_table(path)
