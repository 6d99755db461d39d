"""Tests of the baselines: two replies by hand, properties of each baseline, invalid input and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.analysis import baselines
from map_core.cli import main
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table

TABLE = make_table(prompts=20, candidates=16, seed=4)
ORACLE = MemoryOracle.of(TABLE)
TARGETS = np.array([0.3, 0.2, 0.25, math.nan])


def small_table(rewards: list[list[float]], offsets: list[int], values: tuple[str, ...]) -> RewardTable:
    names = tuple(f"p{i}" for i in range(len(offsets) - 1))
    return RewardTable(values, np.array(rewards), np.array(offsets), names, names, names)


def test_win_rate_of_two_replies_by_hand():
    """P = (1/4, 3/4): the better reply beats the worse and ties with itself, 1/4 * 1/4 + 3/4 * 3/4 = 5/8."""
    table = small_table([[0.0, 1.0], [1.0, 1.0]], [0, 2], ("kind", "same"))
    x = np.array([math.atanh(0.5), 0.0])
    assert baselines.win_rates(table, x) == pytest.approx([5 / 8, 1 / 2])
    assert baselines.win_rates(table, np.zeros(2)) == pytest.approx([0.5, 0.5], abs=1e-15)
    # With all weight on the better reply it wins or ties: 1/2 * 1 + 1/2 * 1/2.
    assert baselines.win_rates(table, np.array([1e4, 0.0]))[0] == pytest.approx(0.75)


def test_ranks_with_ties_and_uneven_prompts_by_hand():
    table = small_table([[3.0], [3.0], [5.0], [2.0], [9.0]], [0, 3, 5], ("a",))
    assert baselines.base_ranks(table)[:, 0] == pytest.approx([1 / 3, 1 / 3, 5 / 6, 1 / 4, 3 / 4])
    assert baselines.base_ranks(table, Form.POOLED)[:, 0] == pytest.approx([0.4, 0.4, 0.7, 0.1, 0.9])


@pytest.mark.parametrize("form", Form)
def test_win_rates_are_the_double_sum_over_replies(form: Form):
    rng = np.random.default_rng(0)
    table = replace(TABLE, rewards=np.round(TABLE.rewards, 1))  # ties
    oracle = MemoryOracle.of(table, form)
    weights = rng.uniform(0, 1, (3, 4))
    z = oracle.standardise(table.rewards)
    groups = [table.rows(i) for i in range(20)] if form is Form.PER_PROMPT else [slice(0, len(z))]
    for x, result in zip(weights, baselines.win_rates(table, weights, form), strict=True):
        total = np.zeros(4)
        for rows in groups:
            p = np.exp(z[rows] @ x)
            p /= p.sum()
            r = table.rewards[rows]
            beats = (r[:, None] > r[None]) + 0.5 * (r[:, None] == r[None])
            total += p @ beats.mean(axis=1) / len(groups)
        assert result == pytest.approx(total, abs=1e-12)


def test_weight_on_one_value_raises_its_win_rate():
    x = np.linspace(0, 3, 7)[:, None] * np.eye(4)[1]
    rates = baselines.win_rates(TABLE, x)
    assert np.all(np.diff(rates[:, 1]) > 0)
    assert np.all((rates >= 0) & (rates <= 1))


def test_random_weights_have_their_distribution_and_their_seed():
    weights = baselines.random_weights(4000, 3, largest=2.0, seed=1)
    assert np.all(weights >= 0)
    assert weights.sum(axis=1).max() <= 2.0
    assert weights.sum(axis=1).mean() == pytest.approx(1.0, abs=0.05)
    assert weights.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.05)
    assert np.array_equal(weights, baselines.random_weights(4000, 3, largest=2.0, seed=1))
    assert not np.array_equal(weights, baselines.random_weights(4000, 3, largest=2.0, seed=2))


def test_evaluation_counts_met_targets_and_improved_values():
    solved = solve(ORACLE, TARGETS).weights
    evaluation = baselines.evaluate_weights(ORACLE, np.vstack([solved, np.zeros(4), 3 * np.eye(4)[0]]), TARGETS)
    assert evaluation.meets.all(axis=1).tolist() == [True, False, False]
    assert evaluation.improves[:, :3].all(axis=1).tolist() == [True, False, False]
    assert evaluation.meets_all == evaluation.improves_all == pytest.approx(1 / 3)
    assert evaluation.meets[:, 3].all()
    # Without targets every value is compared, and every target is met.
    without_targets = baselines.evaluate_weights(ORACLE, solved)
    assert without_targets.compared.all()
    assert without_targets.meets_all == 1.0


def test_only_the_solved_weights_meet_every_target_at_their_cost():
    rows = {row.name: row for row in baselines.compare_baselines(TABLE, TARGETS, count=300, seed=5)}
    assert list(rows) == [
        *("solved", "random", "random at the same cost", "equal"),
        *("only helpfulness", "only harmlessness", "only humor"),
    ]
    solved = rows["solved"].evaluation
    assert solved.meets_all == solved.improves_all == 1.0
    for name, row in rows.items():
        assert np.all(row.evaluation.weights[:, 3] == 0)
        if name != "random":
            assert row.evaluation.kl == pytest.approx(np.full(len(row.wins), solved.kl[0]), abs=1e-8)
        if name.startswith(("only", "equal", "random at")):
            # The solved palette has the least cost of all that meet the targets, so at its cost nothing else does.
            assert row.evaluation.meets_all == 0.0
    assert rows["random"].evaluation.improves_all < 0.9
    assert rows["random"].wins.shape == (300, 4)
    repeated = baselines.compare_baselines(TABLE, TARGETS, count=300, seed=5)
    assert np.array_equal(rows["random"].wins, repeated[1].wins)


def test_targets_out_of_reach_have_no_solved_row():
    rows = baselines.compare_baselines(TABLE, np.array([3.0, 3.0, math.nan, math.nan]), count=5)
    assert rows[0].name == "random"
    assert rows[1].evaluation.kl == pytest.approx(np.full(5, 0.5 * ORACLE.log_candidates), abs=1e-6)


def test_tables_of_one_reply_per_prompt_compare_across_prompts():
    table = make_table(prompts=200, candidates=1)
    rates = baselines.win_rates(table, np.eye(4))
    assert np.all(np.diag(rates) > 0.6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: baselines.random_weights(0, 3), "count is 0"),
        (lambda: baselines.random_weights(3, 3, largest=math.inf), "largest total inf"),
        (lambda: baselines.random_weights(3, 3, largest=-1.0), "above 0"),
        (lambda: baselines.compare_baselines(TABLE, np.full(4, math.nan)), "one target at least"),
        (lambda: baselines.compare_baselines(TABLE, np.array([0.1])), "4 finite numbers"),
        (lambda: baselines.compare_baselines(TABLE, TARGETS, count=0), "count is 0"),
        (lambda: baselines.compare_baselines(TABLE, TARGETS, budget=-1.0), "-1.0"),
        (lambda: baselines.compare_baselines(TABLE, TARGETS, budget=math.nan), "nan"),
    ],
)
def test_invalid_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_command_prints_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "table.parquet"
    save(TABLE, path)
    options = ["baselines", str(path), "--target", "helpfulness=+0.3sd", "--target", "humor=+0.25sd", "--count", "50"]
    assert main([*options, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["ways"]
    targets = np.array([0.3, math.nan, 0.25, math.nan])
    expected = baselines.compare_baselines(TABLE, targets, count=50)
    assert list(printed) == [row.name for row in expected]
    assert printed["random"]["meets_all"] == expected[1].evaluation.meets_all
    assert printed["solved"]["meets_all"] == 1.0
    assert printed["solved"]["win_rates"]["humor"] == pytest.approx(expected[0].wins[0, 2])
    assert main(options) == 0
    assert "only helpfulness" in capsys.readouterr().out
    assert main(["baselines", str(path), "--target", "helpfulness=1e6"]) == 0
    assert "not possible" in capsys.readouterr().out
    assert main(["baselines", str(path), "--target", "wit=1"]) == 2
