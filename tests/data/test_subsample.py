"""Tests of random subsets of K replies: disjoint until all are used, and forecasts for choosing among K."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table


def one_prompt(rewards: list[float]) -> RewardTable:
    return RewardTable(("humor",), np.array(rewards)[:, None], np.array([0, len(rewards)]), ("a",), ("A?",), ("All",))


def test_pairs_of_three_replies_by_hand():
    # Rewards 0, 0, 1. Of the three pairs two hold the good reply: choosing the best of 2 gives level 2/3 on average.
    table = one_prompt([0.0, 0.0, 1.0])
    smaller = subsample_candidates(table, 2, subsets=30_000)
    level = MemoryOracle.of(smaller).best(np.ones(1))
    oracle = MemoryOracle.of(smaller)
    assert oracle.rewards_at(level)[0] == pytest.approx(2 / 3, abs=0.01)
    assert oracle.log_candidates == pytest.approx(math.log(2))


def test_subsets_of_a_shuffle_partition_the_replies():
    table = make_table(prompts=5, candidates=16)
    smaller = subsample_candidates(table, 4, subsets=8)
    assert smaller.candidates.tolist() == [4] * 40
    for prompt in range(5):
        rows = table.rewards[table.rows(prompt)]
        for first in (0, 4):  # four subsets use every reply once
            rows_of_four = smaller.rewards[
                smaller.offsets[8 * prompt + first] : smaller.offsets[8 * prompt + first + 4]
            ]
            np.testing.assert_array_equal(np.sort(rows_of_four, axis=0), np.sort(rows, axis=0))
    np.testing.assert_allclose(MemoryOracle.of(smaller).base, MemoryOracle.of(table).base)
    assert smaller.prompts[8] == table.prompts[1]
    assert smaller.use_cases[-1] == table.use_cases[-1]


def test_forecast_averages_over_all_subsets():
    # Three of six replies are drawn: all twenty subsets enumerated, at fixed weights.
    table = one_prompt([0.1, 0.4, 0.2, 0.9, 0.7, 0.3])
    weight = 3.0
    levels = []
    for subset in combinations(table.rewards[:, 0], 3):
        tilted = np.exp(weight * np.array(subset))
        levels.append(tilted @ subset / tilted.sum())
    oracle = MemoryOracle.of(subsample_candidates(table, 3, subsets=20_000))
    level = oracle.rewards_at(oracle.moments(weight * oracle.scale).levels)
    assert level[0] == pytest.approx(np.mean(levels), abs=2e-3)


def test_fewer_candidates_need_more_weight_for_the_same_level():
    table = make_table(prompts=40, candidates=32)
    target = MemoryOracle.of(table).base + 0.4 * MemoryOracle.of(table).scale
    weights = []
    for candidates in (32, 16, 8, 4):
        oracle = MemoryOracle.of(subsample_candidates(table, candidates))
        targets = oracle.standardise(target)
        targets[1:] = np.nan
        weights.append(solve(oracle, targets).weights[0] / oracle.scale[0])
    assert weights == sorted(weights)
    assert weights[-1] > 1.05 * weights[0]


def test_prompts_with_few_replies_keep_them_and_count_the_same():
    rewards = np.arange(7.0)[:, None]
    table = RewardTable(("a",), rewards, np.array([0, 5, 7]), ("x", "y"), ("X", "Y"), ("All", "All"))
    smaller = subsample_candidates(table, 3, subsets=4)
    assert smaller.candidates.tolist() == [3] * 4 + [2] * 4
    np.testing.assert_array_equal(smaller.rewards[12:14, 0], [5.0, 6.0])
    assert MemoryOracle.of(smaller, Form.PER_PROMPT).prompts == 8


def test_all_candidates_change_nothing_and_seeds_are_reproducible():
    table = make_table(prompts=4, candidates=8)
    assert subsample_candidates(table, 8) is table
    np.testing.assert_array_equal(
        subsample_candidates(table, 4, seed=1).rewards, subsample_candidates(table, 4, seed=1).rewards
    )
    assert np.any(subsample_candidates(table, 4, seed=1).rewards != subsample_candidates(table, 4, seed=2).rewards)


@pytest.mark.parametrize(("candidates", "subsets"), [(0, 8), (4, 0)])
def test_numbers_below_one_are_refused(candidates: int, subsets: int):
    with pytest.raises(InputError, match="expected a whole number from 1"):
        subsample_candidates(make_table(), candidates, subsets=subsets)
