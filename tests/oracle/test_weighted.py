"""Tests of prompt weights: a prompt of weight v counts as v copies of it, and a held-out prompt does not count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from map_core.analysis.baselines import win_rates
from map_core.core.types import Form
from map_core.data import table_format
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels
from map_core.oracle import MemoryOracle, Oracle, memory, torch_oracle
from map_core.oracle.parquet import ParquetOracle
from map_core.oracle.torch_oracle import TorchOracle
from map_core.oracle.weighted import WeightedOracle, apply_prompt_weights
from map_core.solver.newton import Status, solve
from map_core.testing.oracle_laws import LAWS
from map_core.testing.plain_tables import WEIGHTED, PlainTable
from tests.oracle.test_parquet import write_parquet
from tests.weighted_pairs import COPIES, TARGETS, uneven_table, weighted, with_prompts_copied


@pytest.mark.parametrize("form", list(Form))
def test_weights_are_equivalent_to_copies(form: Form) -> None:
    table = uneven_table()
    by_weight, by_copies = (
        MemoryOracle.of(weighted(table), form),
        MemoryOracle.of(with_prompts_copied(table, COPIES), form),
    )
    assert isinstance(by_weight, WeightedOracle)
    assert by_weight.prompts == 8
    for name in ("base", "scale"):
        np.testing.assert_allclose(getattr(by_weight, name), getattr(by_copies, name), rtol=1e-12)
    assert by_weight.log_candidates == pytest.approx(by_copies.log_candidates)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 3))
    weighted_moments, copied_moments = (
        by_weight.batch_moments(x, covariance=True),
        by_copies.batch_moments(x, covariance=True),
    )
    for name in ("log_normaliser", "levels", "covariance"):
        np.testing.assert_allclose(
            getattr(weighted_moments, name), getattr(copied_moments, name), rtol=1e-9, atol=1e-12
        )
    # Copies add no information, so weights give a smaller sample size, by Kish's effective number of prompts.
    kish_ratio = COPIES.sum() / (COPIES @ COPIES)
    expected = copied_moments.ess if form is Form.PER_PROMPT else copied_moments.ess * kish_ratio
    np.testing.assert_allclose(weighted_moments.ess, expected, rtol=1e-9)
    pooled_sizes = [
        by_weight.sample_sizes(weighted_moments)[0].pooled,
        by_copies.sample_sizes(copied_moments)[0].pooled * kish_ratio,
    ]
    assert pooled_sizes[0] == pytest.approx(pooled_sizes[1])
    for row in x:
        np.testing.assert_allclose(
            by_weight.moments(row).covariance, by_copies.moments(row).covariance, rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(by_weight.best(row), by_copies.best(row), rtol=1e-9, atol=1e-12)
        by_prompt = by_weight.by_prompt(row)
        assert by_prompt.mass.sum() == pytest.approx(1.0)
        np.testing.assert_array_equal(by_prompt.mass[COPIES == 0], 0.0)
        np.testing.assert_allclose(
            by_prompt.mass @ by_prompt.levels, by_weight.moments(row).levels, rtol=1e-9, atol=1e-12
        )
    assert by_weight.has_redundant_values == by_copies.has_redundant_values


@pytest.mark.parametrize("form", list(Form))
def test_a_weighted_solve_is_that_of_the_copies(form: Form) -> None:
    table = uneven_table()
    by_weight, by_copies = (
        MemoryOracle.of(weighted(table), form),
        MemoryOracle.of(with_prompts_copied(table, COPIES), form),
    )
    weighted_solution, copied_solution = solve(by_weight, TARGETS), solve(by_copies, TARGETS)
    assert weighted_solution.status is copied_solution.status is Status.CONVERGED
    np.testing.assert_allclose(weighted_solution.weights, copied_solution.weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(weighted_solution.levels, copied_solution.levels, rtol=1e-6, atol=1e-9)
    for targets in (TARGETS, np.array([1.4, 1.2, np.nan])):
        margins = [AttainableLevels(oracle).margin(targets) for oracle in (by_weight, by_copies)]
        assert margins[0].value == pytest.approx(margins[1].value, abs=1e-7)
        np.testing.assert_allclose(margins[0].certificate, margins[1].certificate, atol=1e-5)
    unweighted_solution = solve(MemoryOracle.of(table, form), TARGETS)
    assert np.abs(unweighted_solution.weights - weighted_solution.weights).max() > 0.01, (
        "the weights make no difference here"
    )


def test_held_out_prompts_do_not_affect_a_solve() -> None:
    table = weighted(uneven_table())
    rng = np.random.default_rng(2)
    changed_rewards = table.rewards.copy()
    for prompt in np.flatnonzero(COPIES == 0):
        changed_rewards[table.rows(prompt)] = rng.normal(size=changed_rewards[table.rows(prompt)].shape) * 100
    original_solution, changed_solution = (
        solve(MemoryOracle.of(variant), TARGETS) for variant in (table, replace(table, rewards=changed_rewards))
    )
    np.testing.assert_allclose(original_solution.weights, changed_solution.weights, rtol=1e-7)


def test_equal_weights_are_dropped() -> None:
    table = uneven_table()
    for equal in (replace(table, weights=np.full(8, 7.0)), replace(table, held_out=np.zeros(8, dtype=bool))):
        assert equal.prompt_weights is None
        assert type(MemoryOracle.of(equal)) is MemoryOracle


def test_weights_are_saved_and_selected_with_their_prompts(tmp_path: Path) -> None:
    table = weighted(uneven_table())
    table_format.save(table, tmp_path / "t.parquet")
    loaded = table_format.load(tmp_path / "t.parquet")
    np.testing.assert_array_equal(loaded.weights, table.weights)
    np.testing.assert_array_equal(loaded.held_out, table.held_out)
    np.testing.assert_array_equal(loaded.take([4, 2]).weights, [5.0, 9.0])
    np.testing.assert_array_equal(loaded.select("v").held_out, (COPIES == 0)[1::2])
    subsampled = subsample_candidates(loaded, 2, subsets=3)
    np.testing.assert_array_equal(subsampled.weights, np.repeat(table.weights, 3))
    unweighted = uneven_table()
    table_format.save(unweighted, tmp_path / "plain.parquet")
    assert "weight" not in pq.read_schema(tmp_path / "plain.parquet").names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(3)}, "weights has 3 entries; expected 8"),
        ({"held_out": np.ones(8, dtype=bool)}, "Every prompt is held out"),
        (
            {"weights": np.array([1.0, 2, 3, 0, 1, 1, 1, 1])},
            "The weight of the prompt 'p3' is 0; expected a",
        ),
        ({"weights": np.array([1.0, 2, 3, np.inf, 1, 1, 1, 1])}, "The weight of the prompt 'p3' is inf"),
        ({"weights": np.array([1.0, 2, 3, np.nan, 1, 1, 1, 1])}, "The weight of the prompt 'p3' is nan"),
    ],
)
def test_bad_weights_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(uneven_table(), **change)


def test_a_held_out_column_that_is_not_boolean_is_refused(tmp_path: Path) -> None:
    table_format.save(uneven_table(), tmp_path / "t.parquet")
    data = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(data.append_column("held_out", pa.array(["maybe"] * data.num_rows)), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"'held_out' of .* holds no true or false"):
        table_format.load(tmp_path / "t.parquet")


def test_invalid_weights_of_an_oracle_are_refused() -> None:
    oracle = MemoryOracle.of(uneven_table())
    for weights in (np.ones(3), np.zeros(8), np.full(8, -1.0), np.full(8, np.nan)):
        with pytest.raises(InputError, match="expected one a prompt, each 0 or more"):
            WeightedOracle(oracle, weights)


def streamed_oracle(table: PlainTable, path: Path) -> Oracle:
    """Write a file in which prompts of weight 0 are held out; return its oracle, which reads several batches."""
    data = pq.read_table(write_parquet(table, path))
    weights = np.repeat(np.ones(table.prompts) if table.weights is None else table.weights, table.counts)
    data = data.append_column("weight", pa.array(np.where(weights > 0, weights, 1.0)))
    data = data.append_column("held_out", pa.array(weights == 0))
    pq.write_table(data, path, row_group_size=100)
    return ParquetOracle.of(path, table.values, table.form, threads=2)


def memory_oracle(table: PlainTable, precision: type = np.float64) -> Oracle:
    oracle = MemoryOracle(table.rewards.astype(precision), table.offsets, table.values, table.form)
    return apply_prompt_weights(oracle, table.weights)


STORAGES: dict[str, Callable[[PlainTable, Path], Oracle]] = {
    "memory": lambda table, path: memory_oracle(table),
    "memory, float32": lambda table, path: memory_oracle(table, np.float32),
    "torch": lambda table, path: apply_prompt_weights(
        TorchOracle(table.rewards, table.offsets, table.values, table.form, precision=torch.float64), table.weights
    ),
    "a file": streamed_oracle,
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("storage", STORAGES)
def test_the_laws_hold_with_weights_in_every_storage(
    name: str, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are applied alike in every storage."""
    table = WEIGHTED[name]
    if "float32" in storage:
        if "any size" in name:
            pytest.skip("float32 cannot hold these rewards")
        table = replace(table, rewards=table.rewards.astype(np.float32))
    monkeypatch.setattr(memory, "BLOCK", 128)
    monkeypatch.setitem(torch_oracle.BLOCK, "cpu", 100)
    oracle = STORAGES[storage](table, tmp_path / "t.parquet")
    for law in LAWS:
        law(oracle, table)


@pytest.mark.parametrize("storage", STORAGES)
def test_two_prompts_by_hand(storage: str, tmp_path: Path) -> None:
    """Replies 0 and 1 to a prompt that counts three times, 0 and 4 to one that counts once, one that is held out.

    The base level is (3/2 + 2) / 4 = 7/8. With u the logistic function, lambda = log 3 gives the level
    (3 u(log 3) + 4 u(4 log 3)) / 4 = (9/4 + 4 * 81/82) / 4, and the log-normaliser of lambda . (r - 7/8) is
    (3 log 2 + log 41) / 4 - 7/8 log 3. The highest level is (3 + 4) / 4.
    """
    rewards = np.array([0.0, 1.0, 0.0, 4.0, 9.0, -9.0])[:, None]
    table = PlainTable(rewards, np.array([0, 2, 4, 6]), Form.PER_PROMPT, np.array([3.0, 1.0, 0.0]))
    oracle = STORAGES[storage](table, tmp_path / "t.parquet")
    tolerance = 10 * oracle.resolution
    assert oracle.base[0] == pytest.approx(7 / 8, abs=tolerance)
    assert oracle.scale[0] ** 2 == pytest.approx(103 / 64, abs=tolerance)
    x = np.log(3.0) * oracle.scale
    moments = oracle.moments(x)
    assert oracle.rewards_at(moments.levels)[0] == pytest.approx((9 / 4 + 4 * 81 / 82) / 4, abs=tolerance)
    assert moments.log_normaliser == pytest.approx((3 * np.log(2) + np.log(41)) / 4 - 7 / 8 * np.log(3), abs=tolerance)
    assert oracle.rewards_at(oracle.best(x))[0] == pytest.approx(7 / 4, abs=tolerance)
    assert oracle.effective_sample_size(np.zeros(1)).pooled == pytest.approx(2 * 16 / 10, abs=tolerance)


def test_a_streamed_file_is_never_read_without_its_weights(tmp_path: Path) -> None:
    table_format.save(weighted(uneven_table()), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"a weight and a held_out, by which they have to count. Open it with Par"):
        ParquetOracle(tmp_path / "t.parquet")
    streamed, in_memory = ParquetOracle.of(tmp_path / "t.parquet"), MemoryOracle.of(weighted(uneven_table()))
    np.testing.assert_allclose(solve(streamed, TARGETS).weights, solve(in_memory, TARGETS).weights, rtol=1e-6)
    table_format.save(uneven_table(), tmp_path / "plain.parquet")
    assert type(ParquetOracle.of(tmp_path / "plain.parquet")) is ParquetOracle


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("weight", [1.0] * 4 + [0.0] * 33, "The weight in row 5 of .* is 0; expected a number above 0"),
        ("weight", [None] * 37, "The weight in row 1 of .* is nan"),
        ("weight", ["often"] * 37, "The column 'weight' of .* holds string, not numbers"),
        ("held_out", ["no"] * 37, "The column 'held_out' of .* holds string, not true or false"),
        ("held_out", [True] * 37, "and one at least above 0. Hold fewer prompts out"),
    ],
)
def test_files_with_invalid_weights_are_refused(column: str, cells: list[object], message: str, tmp_path: Path) -> None:
    table_format.save(uneven_table(), tmp_path / "t.parquet")
    cell_type = pa.float64() if cells[0] is None else None
    data = pq.read_table(tmp_path / "t.parquet").append_column(column, pa.array(cells, cell_type))
    pq.write_table(data, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        ParquetOracle.of(tmp_path / "t.parquet")


@pytest.mark.parametrize("form", list(Form))
def test_weighted_win_rates_are_those_of_the_copies(form: Form) -> None:
    table = uneven_table()
    by_weight, by_copies = weighted(table), with_prompts_copied(table, COPIES)
    lambdas = np.array([[0.0, 0.0, 0.0], [0.5, 0.01, 2.0]])
    rates = [
        win_rates(variant, lambdas * MemoryOracle.of(variant, form).scale, form) for variant in (by_weight, by_copies)
    ]
    np.testing.assert_allclose(rates[0][0], 0.5)
    np.testing.assert_allclose(rates[0], rates[1], atol=1e-9)
