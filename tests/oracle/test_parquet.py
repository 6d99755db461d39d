"""Tests of the oracle of a Parquet file: the laws of the contract for any row groups and batches, and refused files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from map_core.core.types import Form
from map_core.data import table_format
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.oracle.parquet import ParquetOracle
from map_core.solver.newton import Status, solve
from map_core.testing.oracle_laws import LAWS, Law
from map_core.testing.plain_tables import CASES, PlainTable
from tests.tables import make_table


def write_parquet(
    table: PlainTable, path: Path, rows: int = 7, text_ids: bool = False, dtype: type = np.float64
) -> Path:
    """Write the table to a file with ``rows`` rows per row group and return its path."""
    prompt = np.repeat(np.arange(table.prompts), table.counts)
    prompt_ids = pa.array([f"prompt {i}" for i in prompt]) if text_ids else pa.array(prompt)
    columns = {"prompt_id": prompt_ids} | {
        name: pa.array(table.rewards[:, j].astype(dtype)) for j, name in enumerate(table.values)
    }
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return path


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit batches to about twenty rows, so that prompts cross batches and row groups."""
    monkeypatch.setattr("map_core.oracle.parquet.BLOCK", 16)
    monkeypatch.setattr("map_core.oracle.parquet.LEAST_ROWS", 16)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(
    "name", ["even", "ragged", "ties", "one prompt", "ragged, pooled", "one reply a prompt, pooled"]
)
def test_laws_in_small_batches(law: Law, name: str, tmp_path: Path, few_rows: None):
    table = CASES[name]
    path = write_parquet(table, tmp_path / "table.parquet", text_ids=name == "ragged")
    law(ParquetOracle(path, table.values, table.form, threads=1), table)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["even", "ragged", "ragged, pooled"])
def test_laws_in_one_batch_of_float32_on_threads(law: Law, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("map_core.oracle.memory.BLOCK", 64)
    rewards = CASES[name].rewards.astype(np.float32)
    table = PlainTable(rewards, CASES[name].offsets, CASES[name].form)
    path = write_parquet(table, tmp_path / "table.parquet", rows=1000, dtype=np.float32)
    law(ParquetOracle(path, None, table.form, threads=2), table)


def test_a_saved_reward_table_can_be_opened(tmp_path: Path):
    table = make_table()
    table_format.save(table, tmp_path / "table.parquet")
    oracle, expected = ParquetOracle(tmp_path / "table.parquet"), MemoryOracle.of(table)
    assert oracle.values == table.values
    x = np.array([0.5, 1.0, 0.0, 0.2])
    np.testing.assert_allclose(oracle.moments(x).covariance, expected.moments(x).covariance, atol=1e-13)


def test_a_solve_is_the_same_as_in_memory(tmp_path: Path, few_rows: None):
    table = CASES["even"]
    path = write_parquet(table, tmp_path / "table.parquet")
    d = np.array([0.3, 0.2, 0.4])
    solution = solve(ParquetOracle(path, table.values), d)
    expected = solve(MemoryOracle(table.rewards, table.offsets, table.values, table.form), d)
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.weights, expected.weights, atol=1e-8)


def test_a_subsample_is_an_oracle_in_memory(tmp_path: Path, few_rows: None):
    table = CASES["even"]
    oracle = ParquetOracle(write_parquet(table, tmp_path / "table.parquet"), table.values)
    subsample = oracle.subsample(1 / 8)
    assert isinstance(subsample, MemoryOracle)
    assert subsample.prompts < oracle.prompts
    assert oracle.subsample(1.0) is None


def test_any_column_can_identify_the_prompts(tmp_path: Path):
    data = pa.table({"turn": ["a", "a", "b"], "kindness": pa.array([1.0, 2.0, 3.0], pa.float32())})
    pq.write_table(data, tmp_path / "t.parquet", use_dictionary=["turn"])
    oracle = ParquetOracle(tmp_path / "t.parquet", prompt="turn")
    assert (oracle.prompts, oracle.replies, oracle.values) == (2, 3, ("kindness",))


def assert_refused(path: Path, data: dict[str, object], message: str, **settings: object) -> None:
    pq.write_table(pa.table(data), path)
    with pytest.raises(InputError, match=message):
        ParquetOracle(path, **settings)  # type: ignore[arg-type]


def test_invalid_files_are_refused(tmp_path: Path):
    path = tmp_path / "t.parquet"
    ids = ["a", "a", "b", "b"]
    assert_refused(
        path, {"prompt_id": ["a", "b", "b", "a"], "v": [1.0, 2, 3, 4]}, r"Row 4 .* sort the file by 'prompt_id'"
    )
    assert_refused(path, {"prompt_id": ids, "v": [1.0, 2.0, np.nan, 4.0]}, r"row 3, value 'v' \(nan\)")
    assert_refused(path, {"prompt_id": ids, "v": [1.0, 2.0, 3.0, None]}, "row 4, value 'v'")
    assert_refused(path, {"prompt_id": ids, "v": [np.inf, 2.0, 3.0, 1.0]}, "row 1, value 'v'")
    assert_refused(path, {"prompt_id": ["a", None, "b", "b"], "v": [1.0, 2, 3, 4]}, "Row 2 .* names no prompt")
    assert_refused(path, {"prompt_id": ids, "v": [1.0, 2, 3, 4]}, "lacks the column 'w'", values=["w"])
    assert_refused(path, {"prompt_id": ids, "v": [1.0, 2, 3, 4]}, "different names; got v, v", values=["v", "v"])
    assert_refused(path, {"prompt_id": ids, "v": ids}, "holds string, not numbers", values=["v"])
    assert_refused(path, {"prompt_id": ids, "v": ids}, "no column of numbers")
    assert_refused(path, {"v": [1.0]}, "lacks the column 'prompt_id'")
    assert_refused(path, {"prompt_id": pa.array([], pa.string()), "v": pa.array([], pa.float64())}, "no rows")
    assert_refused(path, {"prompt_id": ["a", "b"], "v": [1.0, 2.0]}, "two replies or more")
    assert_refused(path, {"prompt_id": ids, "v": [1.0, 2, 3, 4]}, "Allow at least", memory=10_000)
    path.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not a Parquet file"):
        ParquetOracle(path)
    with pytest.raises(InputError, match="There is no table"):
        ParquetOracle(tmp_path / "none.parquet")


def test_a_prompt_with_more_replies_than_fit_in_memory_is_refused(tmp_path: Path, few_rows: None):
    assert_refused(
        tmp_path / "t.parquet", {"prompt_id": ["a"] * 5000, "v": np.arange(5000.0)}, "more replies than the memory"
    )


def test_a_file_changed_after_opening_is_refused(tmp_path: Path):
    path = write_parquet(CASES["even"], tmp_path / "t.parquet")
    oracle = ParquetOracle(path)
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="was changed"):
        oracle.moments(np.zeros(3))


def test_the_pooled_form_accepts_single_replies(tmp_path: Path):
    path = write_parquet(CASES["one reply a prompt, pooled"], tmp_path / "t.parquet")
    assert ParquetOracle(path, form=Form.POOLED).prompts == 200
