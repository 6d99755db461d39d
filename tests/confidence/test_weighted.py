"""Tests of error bars, folds and held-out levels of weighted prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from map_core.cli.confidence import confidence as command
from map_core.confidence import confidence, sandwich
from map_core.confidence.cross_fit import cross_fit_folds
from map_core.confidence.holdout_levels import holdout_levels
from map_core.core.types import Form
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.oracle.weighted import WeightedOracle
from map_core.solver.batched import solve_many
from map_core.solver.newton import Status, solve
from tests.weighted_pairs import COPIES, TARGETS, uneven_table, weighted, with_prompts_copied


def test_error_bars_follow_the_weights() -> None:
    """By simulation, the standard deviation over tables equals the sandwich estimate from one table."""
    counts = np.tile([1.0, 1.0, 6.0, 2.0], 60)
    levels, errors, kl_errors, kls = [], [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        middle = rng.normal(scale=0.5, size=(240, 1, 3))
        table = rng.normal(size=(240, 6, 3)) + middle
        rewards, offsets = table.reshape(-1, 3), np.arange(0, 241 * 6, 6)
        plain = MemoryOracle(rewards, offsets, ("a", "b", "c"), Form.PER_PROMPT, threads=1)
        oracle = WeightedOracle(plain, counts)
        target = oracle.standardise(np.array([0.45, 0.2, -9.0]))
        solution = solve(oracle, np.array([*target[:2], np.nan]))
        assert solution.status is Status.CONVERGED
        errors.append(sandwich(oracle, solution).weights[0] / oracle.scale[0])
        levels.append(solution.weights[0] / oracle.scale[0])
        kls.append(solution.kl)
        kl_errors.append(sandwich(oracle, solution).kl)
    assert np.mean(errors) == pytest.approx(np.std(levels, ddof=1), rel=0.2)
    assert np.mean(kl_errors) == pytest.approx(np.std(kls, ddof=1), rel=0.25)


def test_confidence_in_a_weighted_palette() -> None:
    """All results of the confidence page are present for few prompts, some of which are held out."""
    oracle = MemoryOracle.of(weighted(uneven_table()))
    solution = confidence(oracle, TARGETS, draws=200, folds=4, seed=1)
    assert solution.prompts == 6  # held-out prompts do not count
    assert np.isfinite(solution.margin.low)
    assert solution.margin.low < solution.margin.estimate < solution.margin.high
    assert sum(solution.probability.values()) == pytest.approx(1.0)


def test_bootstrap_budget_follows_the_heavy_prompts() -> None:
    """A prompt with many replies and nearly all the weight makes a palette attainable on every draw with it."""
    sizes = (64, 2, 2, 2)
    rng = np.random.default_rng(0)
    table = RewardTable(
        ("a",), rng.normal(size=(sum(sizes), 1)), np.concatenate([[0], np.cumsum(sizes)]), *3 * [tuple("wxyz")]
    )
    oracle = MemoryOracle.of(replace(table, weights=np.array([1000.0, 1, 1, 1])))
    targets = 0.97 * oracle.best(np.ones(1))
    nats = solve(oracle, targets).kl
    assert nats > np.log(sizes).mean() > np.log(2)
    for multiplicities in (np.ones((2, 4)), np.array([[1.0, 2, 1, 0], [1, 0, 0, 3]])):
        assert solve_many(oracle, targets, multiplicity=multiplicities).converged.all()


@pytest.mark.parametrize("form", list(Form))
def test_folds_of_weighted_prompts_equal_folds_of_copies(form: Form) -> None:
    """Each prompt counts by its weight on both sides of a fold, and a held-out one on neither."""
    table, fold = uneven_table(), np.array([0, 1, -1, 2, 0, 1, -1, 2])
    oracle, copies = MemoryOracle.of(weighted(table), form), MemoryOracle.of(with_prompts_copied(table, COPIES), form)
    weighted_folds = cross_fit_folds(oracle, TARGETS / 2, fold)
    copied_folds = cross_fit_folds(copies, TARGETS / 2, np.repeat(fold, COPIES))
    assert weighted_folds.solved == copied_folds.solved == 3
    np.testing.assert_allclose(weighted_folds.in_sample, copied_folds.in_sample, atol=1e-6)
    np.testing.assert_allclose(weighted_folds.levels.estimate, copied_folds.levels.estimate, atol=1e-6)
    if form is Form.PER_PROMPT:  # each prompt's held-out level uses the weights that were solved without it
        rows = solve_many(oracle, TARGETS / 2, multiplicity=(fold != np.arange(3)[:, None]) * 1.0).weights
        held_out_levels = np.stack([oracle.by_prompt(row).levels for row in rows])[fold, np.arange(8)]
        np.testing.assert_allclose(weighted_folds.levels.estimate, COPIES @ held_out_levels / COPIES.sum(), atol=1e-6)


def test_held_out_prompts_are_ignored() -> None:
    """Error bars of a table with held-out prompts are those of the table without them."""
    table = replace(uneven_table(), held_out=COPIES == 0)
    results = [
        confidence(
            MemoryOracle.of(part_of_table), TARGETS / 2, draws=40, folds=2, seed=4, strata=part_of_table.use_cases
        )
        for part_of_table in (table, table.without_held_out())
    ]
    for name in ("margin", "weights", "kl", "levels"):
        for end in ("estimate", "low", "high"):
            with_held_out, without_held_out = (getattr(getattr(result, name), end) for result in results)
            np.testing.assert_allclose(with_held_out, without_held_out, rtol=1e-4, atol=1e-6, err_msg=f"{name} {end}")
    assert results[0].prompts == results[1].prompts == 6
    assert results[0].probability == pytest.approx(results[1].probability, abs=1e-6)
    assert results[0].prompts_needed == pytest.approx(results[1].prompts_needed, rel=1e-3)
    np.testing.assert_allclose(results[0].held_out.levels.high, results[1].held_out.levels.high, atol=1e-6)
    np.testing.assert_allclose(results[0].held_out.in_sample, results[1].held_out.in_sample, atol=1e-6)


def test_levels_on_held_out_prompts_by_hand() -> None:
    """By hand: two held-out prompts with levels 1 and 3 at no weight."""
    table = RewardTable(
        values=("a",),
        rewards=np.array([[-1.0], [1.0], [-1.0], [1.0], [1.0], [1.0], [3.0], [3.0]]),
        offsets=np.array([0, 2, 4, 6, 8]),
        prompt_ids=tuple("wxyz"),
        prompts=tuple("wxyz"),
        use_cases=("u",) * 4,
        held_out=np.array([False, False, True, True]),
    )
    oracle = MemoryOracle.of(table)
    assert (oracle.base[0], oracle.scale[0]) == (0.0, 1.0)
    solution = holdout_levels(oracle, table.held_out, np.zeros(1), np.array([2.5]))
    assert solution.prompts == 2
    assert solution.levels.estimate[0] == pytest.approx(2.0)
    assert (solution.missed[0], solution.surely[0]) == (True, False)
    counted = holdout_levels(oracle, table.held_out, np.zeros(1), np.array([np.nan]), counted=np.array([1, 1, 3, 1]))
    assert counted.levels.estimate[0] == pytest.approx(1.5)
    assert not counted.missed[0]
    with pytest.raises(InputError, match="1 prompts are held out; a check with an interval needs 2"):
        holdout_levels(oracle, np.array([False, False, False, True]), np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match="the pooled form chooses among prompts too"):
        holdout_levels(MemoryOracle.of(table, Form.POOLED), table.held_out, np.zeros(1), np.zeros(1))


def test_command_reports_held_out_prompts(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table_format.save(weighted(uneven_table()), path)
    options = [str(path), "--target", "a=p55", "--draws", "200"]
    result = CliRunner().invoke(command, options, catch_exceptions=False)
    assert "On the 2 prompts that the table holds out, which nothing was solved on:" in result.output
    held_out = json.loads(CliRunner().invoke(command, [*options, "--json"], catch_exceptions=False).output)[
        "kept_apart"
    ]
    assert held_out["prompts"] == 2
    assert set(held_out["levels"]) == {"a", "b", "c"}
