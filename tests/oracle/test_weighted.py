"""Tests of prompt weights: weight v counts as v copies of the prompt, and a held-out prompt not at all."""

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
from tests.oracle.test_parquet import write
from tests.weighted_pairs import COPIES, TARGETS, uneven_table, weighted, with_prompts_copied


@pytest.mark.parametrize("form", list(Form))
def test_weights_equal_copies(form: Form) -> None:
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
    # Copies add no information, so the count of prompts is Kish's effective number.
    kish = COPIES.sum() / (COPIES @ COPIES)
    expected = copied_moments.ess if form is Form.PER_PROMPT else copied_moments.ess * kish
    np.testing.assert_allclose(weighted_moments.ess, expected, rtol=1e-9)
    pooled = [
        by_weight.sample_sizes(weighted_moments)[0].pooled,
        by_copies.sample_sizes(copied_moments)[0].pooled * kish,
    ]
    assert pooled[0] == pytest.approx(pooled[1])
    for row in x:
        np.testing.assert_allclose(
            by_weight.moments(row).covariance, by_copies.moments(row).covariance, rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(by_weight.best(row), by_copies.best(row), rtol=1e-9, atol=1e-12)
        at = by_weight.by_prompt(row)
        assert at.mass.sum() == pytest.approx(1.0)
        np.testing.assert_array_equal(at.mass[COPIES == 0], 0.0)
        np.testing.assert_allclose(at.mass @ at.levels, by_weight.moments(row).levels, rtol=1e-9, atol=1e-12)
    assert by_weight.has_redundant_values == by_copies.has_redundant_values


@pytest.mark.parametrize("form", list(Form))
def test_solve_equals_that_of_copies(form: Form) -> None:
    table = uneven_table()
    by_weight, by_copies = (
        MemoryOracle.of(weighted(table), form),
        MemoryOracle.of(with_prompts_copied(table, COPIES), form),
    )
    solution, expected = solve(by_weight, TARGETS), solve(by_copies, TARGETS)
    assert solution.status is expected.status is Status.CONVERGED
    np.testing.assert_allclose(solution.weights, expected.weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(solution.levels, expected.levels, rtol=1e-6, atol=1e-9)
    for targets in (TARGETS, np.array([1.4, 1.2, np.nan])):
        margins = [AttainableLevels(oracle).margin(targets) for oracle in (by_weight, by_copies)]
        assert margins[0].value == pytest.approx(margins[1].value, abs=1e-7)
        np.testing.assert_allclose(margins[0].certificate, margins[1].certificate, atol=1e-5)
    plain = solve(MemoryOracle.of(table, form), TARGETS)
    assert np.abs(plain.weights - solution.weights).max() > 0.01, "the weights make no difference here"


def test_held_out_prompts_do_not_affect_a_solve() -> None:
    table = weighted(uneven_table())
    rng = np.random.default_rng(2)
    other_rewards = table.rewards.copy()
    for prompt in np.flatnonzero(COPIES == 0):
        other_rewards[table.rows(prompt)] = rng.normal(size=other_rewards[table.rows(prompt)].shape) * 100
    solution, solution_with_other_rewards = (
        solve(MemoryOracle.of(held), TARGETS) for held in (table, replace(table, rewards=other_rewards))
    )
    np.testing.assert_allclose(solution.weights, solution_with_other_rewards.weights, rtol=1e-7)


def test_equal_weights_count_as_none() -> None:
    table = uneven_table()
    for same in (replace(table, weights=np.full(8, 7.0)), replace(table, held_out=np.zeros(8, dtype=bool))):
        assert same.prompt_weights is None
        assert type(MemoryOracle.of(same)) is MemoryOracle


def test_weights_follow_their_prompts(tmp_path: Path) -> None:
    table = weighted(uneven_table())
    table_format.save(table, tmp_path / "t.parquet")
    restored = table_format.load(tmp_path / "t.parquet")
    np.testing.assert_array_equal(restored.weights, table.weights)
    np.testing.assert_array_equal(restored.held_out, table.held_out)
    np.testing.assert_array_equal(restored.take([4, 2]).weights, [5.0, 9.0])
    np.testing.assert_array_equal(restored.select("v").held_out, (COPIES == 0)[1::2])
    dealt = subsample_candidates(restored, 2, subsets=3)
    np.testing.assert_array_equal(dealt.weights, np.repeat(table.weights, 3))
    plain = uneven_table()
    table_format.save(plain, tmp_path / "plain.parquet")
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


def test_invalid_held_out_column_is_refused(tmp_path: Path) -> None:
    table_format.save(uneven_table(), tmp_path / "t.parquet")
    data = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(data.append_column("held_out", pa.array(["maybe"] * data.num_rows)), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"'held_out' of .* holds no true or false"):
        table_format.load(tmp_path / "t.parquet")


def test_mismatched_weights_are_refused() -> None:
    plain = MemoryOracle.of(uneven_table())
    for wrong in (np.ones(3), np.zeros(8), np.full(8, -1.0), np.full(8, np.nan)):
        with pytest.raises(InputError, match="expected one a prompt, each 0 or more"):
            WeightedOracle(plain, wrong)


def streamed(table: PlainTable, path: Path) -> Oracle:
    """Return the oracle of a file that holds out prompts of weight 0, read in several batches."""
    data = pq.read_table(write(table, path))
    weights = np.repeat(np.ones(table.prompts) if table.weights is None else table.weights, table.counts)
    data = data.append_column("weight", pa.array(np.where(weights > 0, weights, 1.0)))
    data = data.append_column("held_out", pa.array(weights == 0))
    pq.write_table(data, path, row_group_size=100)
    return ParquetOracle.of(path, table.values, table.form, threads=2)


def in_memory(table: PlainTable, precision: type = np.float64) -> Oracle:
    plain = MemoryOracle(table.rewards.astype(precision), table.offsets, table.values, table.form)
    return apply_prompt_weights(plain, table.weights)


HOMES: dict[str, Callable[[PlainTable, Path], Oracle]] = {
    "memory": lambda table, path: in_memory(table),
    "memory, float32": lambda table, path: in_memory(table, np.float32),
    "torch": lambda table, path: apply_prompt_weights(
        TorchOracle(table.rewards, table.offsets, table.values, table.form, precision=torch.float64), table.weights
    ),
    "a file": streamed,
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("home", HOMES)
def test_laws_with_weights_in_every_storage(
    name: str, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights act alike in every storage."""
    table = WEIGHTED[name]
    if "float32" in home:
        if "any size" in name:
            pytest.skip("float32 cannot hold these rewards")
        table = replace(table, rewards=table.rewards.astype(np.float32))
    monkeypatch.setattr(memory, "BLOCK", 128)
    monkeypatch.setitem(torch_oracle.BLOCK, "cpu", 100)
    oracle = HOMES[home](table, tmp_path / "t.parquet")
    for law in LAWS:
        law(oracle, table)


@pytest.mark.parametrize("home", HOMES)
def test_two_prompts_by_hand(home: str, tmp_path: Path) -> None:
    """Replies 0 and 1 to a prompt that counts three times, 0 and 4 to one that counts once, one that is held out.

    The base level is (3/2 + 2) / 4 = 7/8. With u the logistic function, lambda = log 3 gives the level
    (3 u(log 3) + 4 u(4 log 3)) / 4 = (9/4 + 4 * 81/82) / 4, and the log-normaliser of lambda . (r - 7/8) is
    (3 log 2 + log 41) / 4 - 7/8 log 3. The best that can be had is (3 + 4) / 4.
    """
    rewards = np.array([0.0, 1.0, 0.0, 4.0, 9.0, -9.0])[:, None]
    table = PlainTable(rewards, np.array([0, 2, 4, 6]), Form.PER_PROMPT, np.array([3.0, 1.0, 0.0]))
    oracle = HOMES[home](table, tmp_path / "t.parquet")
    room = 10 * oracle.resolution
    assert oracle.base[0] == pytest.approx(7 / 8, abs=room)
    assert oracle.scale[0] ** 2 == pytest.approx(103 / 64, abs=room)
    x = np.log(3.0) * oracle.scale
    at = oracle.moments(x)
    assert oracle.rewards_at(at.levels)[0] == pytest.approx((9 / 4 + 4 * 81 / 82) / 4, abs=room)
    assert at.log_normaliser == pytest.approx((3 * np.log(2) + np.log(41)) / 4 - 7 / 8 * np.log(3), abs=room)
    assert oracle.rewards_at(oracle.best(x))[0] == pytest.approx(7 / 4, abs=room)
    assert oracle.effective_sample_size(np.zeros(1)).pooled == pytest.approx(2 * 16 / 10, abs=room)


def test_a_streamed_file_is_never_read_past_its_weights(tmp_path: Path) -> None:
    table_format.save(weighted(uneven_table()), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"a weight and a held_out, by which they have to count. Open it with Par"):
        ParquetOracle(tmp_path / "t.parquet")
    solution, expected = ParquetOracle.of(tmp_path / "t.parquet"), MemoryOracle.of(weighted(uneven_table()))
    np.testing.assert_allclose(solve(solution, TARGETS).weights, solve(expected, TARGETS).weights, rtol=1e-6)
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
def test_files_with_odd_weights(column: str, cells: list[object], message: str, tmp_path: Path) -> None:
    table_format.save(uneven_table(), tmp_path / "t.parquet")
    kind = pa.float64() if cells[0] is None else None
    data = pq.read_table(tmp_path / "t.parquet").append_column(column, pa.array(cells, kind))
    pq.write_table(data, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        ParquetOracle.of(tmp_path / "t.parquet")


@pytest.mark.parametrize("form", list(Form))
def test_win_rates_equal_those_of_copies(form: Form) -> None:
    table = uneven_table()
    by_weight, by_copies = weighted(table), with_prompts_copied(table, COPIES)
    lambdas = np.array([[0.0, 0.0, 0.0], [0.5, 0.01, 2.0]])
    rates = [win_rates(some, lambdas * MemoryOracle.of(some, form).scale, form) for some in (by_weight, by_copies)]
    np.testing.assert_allclose(rates[0][0], 0.5)
    np.testing.assert_allclose(rates[0], rates[1], atol=1e-9)
