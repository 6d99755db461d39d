"""Tests of error bars in edge cases: out of reach, no targets, constant values, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.cli import main
from map_core.confidence import confidence, sandwich
from map_core.core.types import Form, Verdict
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table

FREE = np.nan


# Edge cases of the verdict


def test_out_of_reach_has_a_margin_and_no_weights():
    outcome = confidence(MemoryOracle.of(make_table()), np.full(4, 3.0), draws=40)
    assert outcome.verdict is Verdict.OUT_OF_REACH
    assert outcome.probability[Verdict.OUT_OF_REACH] == 1.0
    assert outcome.weights is outcome.kl is outcome.levels is None
    assert outcome.margin is not None
    assert outcome.margin.high < 0
    assert outcome.prompts_needed <= outcome.prompts


def test_at_the_edge_weights_have_no_upper_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = make_table(prompts=30)
    oracle = MemoryOracle.of(table)
    d = np.array([0.5, 0.5, FREE, FREE])
    d[:2] += margin(oracle, d).value - 0.001
    outcome = confidence(oracle, d, draws=200)
    assert outcome.verdict is Verdict.ON_PAPER
    assert outcome.probability[Verdict.OUT_OF_REACH] > 0.2
    assert outcome.prompts_needed > outcome.prompts
    assert outcome.kl is not None
    assert outcome.weights is not None
    assert outcome.kl.high == pytest.approx(math.log(16))
    assert np.array_equal(outcome.weights.high, [np.inf, np.inf, 0, 0])
    assert np.all(np.isfinite(outcome.weights.low))
    save(table, tmp_path / "edge.parquet")
    options = [f"--target={name}={float(c)!r}" for name, c in zip(table.values, oracle.rewards_at(d), strict=True)][:2]
    assert main(["confidence", str(tmp_path / "edge.parquet"), *options, "--draws", "200"]) == 0
    assert "no end" in capsys.readouterr().out
    assert main(["confidence", str(tmp_path / "edge.parquet"), *options, "--draws", "200", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"][table.values[0]]["high"] is None


def test_palette_without_targets_is_reachable():
    outcome = confidence(MemoryOracle.of(make_table()), np.full(4, FREE), draws=40)
    assert outcome.verdict is Verdict.REACHABLE
    assert outcome.probability[Verdict.REACHABLE] == 1.0
    assert outcome.margin is None
    assert outcome.kl is not None
    assert outcome.kl.high == 0
    assert outcome.prompts_needed <= outcome.prompts


def test_target_near_the_base_level_may_have_a_cost():
    """The base model meets the target on this table, but might miss it slightly on other prompts."""
    outcome = confidence(MemoryOracle.of(make_table(prompts=40)), np.array([-0.01, FREE, FREE, FREE]), draws=200)
    assert outcome.kl is not None
    assert outcome.weights is not None
    assert outcome.kl.estimate == 0
    assert outcome.kl.high > 0
    assert outcome.weights.high[0] > 0


def test_a_constant_value_above_itself_is_out_of_reach_on_every_draw():
    rewards = make_table().rewards.copy()
    rewards[:, 3] = 2.0
    table = make_table()
    oracle = MemoryOracle(rewards, table.offsets, table.values, table.form)
    outcome = confidence(oracle, np.array([0.2, FREE, FREE, 0.5]), draws=40)
    assert outcome.verdict is Verdict.OUT_OF_REACH
    assert outcome.probability[Verdict.OUT_OF_REACH] == 1.0
    assert outcome.held_out.solved == 0
    met = confidence(oracle, np.array([0.2, FREE, FREE, 0.0]), draws=40)
    assert met.verdict is Verdict.REACHABLE
    assert met.weights is not None
    assert met.weights.high[3] == 0


def test_pooled_has_no_interval_for_the_margin():
    oracle = MemoryOracle.of(make_table(prompts=60, candidates=1))
    assert oracle.form is Form.POOLED
    outcome = confidence(oracle, np.array([0.2, 0.1, FREE, FREE]), draws=60)
    assert outcome.margin is None
    assert outcome.kl is not None
    assert outcome.kl.low <= outcome.kl.estimate <= outcome.kl.high
    assert outcome.held_out.levels is not None


@settings(max_examples=150)
@given(
    prompts=st.integers(2, 12),
    candidates=st.integers(1, 5),
    values=st.integers(1, 4),
    targets=st.lists(st.sampled_from([FREE, -1.0, 0.0, 0.3, 0.8, 5.0]), min_size=4, max_size=4),
    rounding=st.sampled_from([0, 1, 6]),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
    ragged=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_tables_give_valid_intervals(prompts, candidates, values, targets, rounding, scale, ragged, seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, candidates + 1, prompts) if ragged else np.full(prompts, candidates)
    rewards = scale * rng.normal(size=(counts.sum(), values)).round(rounding)
    form = Form.POOLED if counts.max() == 1 else Form.PER_PROMPT
    names = tuple("abcd"[:values])
    oracle = MemoryOracle(rewards, np.concatenate([[0], np.cumsum(counts)]), names, form)
    outcome = confidence(oracle, np.array(targets[:values]), draws=20)
    assert sum(outcome.probability.values()) == pytest.approx(1.0)
    for verdict in (Verdict.REACHABLE, Verdict.OUT_OF_REACH):
        if outcome.shares[verdict] in (0.0, 1.0):  # all draws agree
            assert outcome.probability[verdict] == outcome.shares[verdict]
    assert outcome.prompts_needed >= 2
    for interval in (outcome.margin, outcome.weights, outcome.kl, outcome.levels, outcome.held_out.levels):
        if interval is not None:
            assert not np.any(np.isnan([interval.estimate, interval.low, interval.high]))
            assert np.all(interval.low <= interval.high)
    if outcome.weights is not None:
        assert np.all(outcome.weights.low >= 0)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level is 1.0"),
        ({"draws": 5}, "5 draws"),
        ({"folds": 1}, "1 folds"),
        ({"folds": 13}, "2 to 12"),
        ({"strata": ["a"]}, "1 labels for 12 prompts"),
    ],
)
def test_invalid_settings_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        confidence(MemoryOracle.of(make_table()), np.full(4, 0.1), **options)


def test_one_prompt_has_no_error_bars():
    with pytest.raises(InputError, match="1 prompt"):
        confidence(MemoryOracle.of(make_table(prompts=1)), np.full(4, 0.1))
    oracle = MemoryOracle.of(make_table(prompts=1))
    with pytest.raises(InputError, match="1 prompt"):
        sandwich(oracle, solve(oracle, np.full(4, 0.1)))
