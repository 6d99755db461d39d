"""Tests of drift between two tables: by hand, under pure noise, with different values, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.analysis.drift import drift
from map_core.cli import main
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.tables import make_table

NAN = np.nan


def two_prompts(first: float, second: float, names: tuple[str, str] = ("a", "b")) -> RewardTable:
    """Return a table of two prompts with two replies each, 1 below and 1 above the prompt's level."""
    rewards = np.array([[first - 1], [first + 1], [second - 1], [second + 1]])
    return RewardTable(("v",), rewards, np.array([0, 2, 4]), names, names, ("all", "all"))


def test_equal_prompts_are_compared_pairwise():
    """Prompt levels 0 and 2 become 1 and 3: paired by prompt the error is 0, unpaired it is sqrt 2."""
    same = drift(two_prompts(0, 2), two_prompts(1, 3), np.array([1.5]))
    assert same.same_prompts
    assert same.base.change == pytest.approx([1.0])
    assert same.base.error == pytest.approx([0.0])
    assert same.base.real.tolist() == [True]
    unpaired = drift(two_prompts(0, 2), two_prompts(1, 3, ("c", "d")), np.array([1.5]))
    assert not unpaired.same_prompts
    # e = -1, +1 on both tables: the sum of squares over n (n - 1) is 1 each.
    assert unpaired.base.error == pytest.approx([np.sqrt(2)])
    assert unpaired.base.real.tolist() == [False]
    # Prompts are matched by their text, in any order.
    swapped = drift(two_prompts(0, 2), two_prompts(3, 1, ("b", "a")), np.array([1.5]))
    assert swapped.base.error == pytest.approx([0.0])


def test_old_weights_on_the_new_table():
    before, shift = make_table(prompts=40, candidates=24, seed=3), np.array([0.0, -1.0, 0.0, 0.0])
    after = replace(before, rewards=before.rewards + shift)
    oracle = MemoryOracle.of(before)
    targets = oracle.rewards_at(np.array([0.4, 0.2, NAN, NAN]))
    comparison = drift(before, after, targets)
    solution = solve(oracle, oracle.standardise(targets))
    np.testing.assert_allclose(comparison.weights_before, solution.weights / oracle.scale, rtol=1e-12)
    assert comparison.held is not None
    # A shift does not change the effect of the weights: only the shifted value drifts, and its target is missed.
    np.testing.assert_allclose(comparison.held.before, oracle.rewards_at(solution.levels), atol=1e-12)
    np.testing.assert_allclose(comparison.held.change, shift, atol=1e-12)
    assert (
        comparison.held.real.tolist()
        == comparison.base.real.tolist()
        == comparison.missed.tolist()
        == [False, True, False, False]
    )
    np.testing.assert_allclose(comparison.short, [0, 1, 0, 0], atol=1e-8)
    assert comparison.held_kl == pytest.approx(solution.kl, abs=1e-10)
    assert comparison.after.verdict is Verdict.OUT_OF_REACH or comparison.weights_after is not None
    # Without a change nothing drifts, and the weights are identical.
    unchanged = drift(before, before, targets)
    assert not unchanged.base.real.any()
    assert not unchanged.missed.any()
    np.testing.assert_array_equal(unchanged.weights_before, unchanged.weights_after)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("paired", [True, False])
def test_noise_is_not_reported_as_drift(form: Form, paired: bool):
    """At most 5% of the comparisons of one model report drift; a shift by one scale is nearly always detected."""
    alarms, detected, runs = np.zeros(2), 0, 120
    for seed in range(runs):
        before, after = (make_table(prompts=40, candidates=8, seed=1000 + 2 * seed + k) for k in range(2))
        if paired:
            # The same prompts with different replies share their prompt effects.
            prompt_effects = np.random.default_rng(seed).normal(size=(40, 1, 4)).repeat(8, axis=1).reshape(-1, 4)
            before, after = (replace(table, rewards=table.rewards + prompt_effects) for table in (before, after))
        else:
            names = tuple(f"other {i}" for i in range(40))
            after = replace(after, prompts=names, prompt_ids=names)
        oracle = MemoryOracle.of(before, form)
        targets = oracle.rewards_at(np.array([0.2, NAN, 0.2, NAN]))
        same = drift(before, after, targets, form)
        assert same.same_prompts == paired
        assert same.held is not None
        alarms += np.array([same.base.real.any(), same.held.real.any()])
        shifted = drift(before, replace(after, rewards=after.rewards - oracle.scale), targets, form)
        detected += bool(shifted.missed[[0, 2]].all())
    assert np.all(alarms <= 0.05 * runs + 2.5 * np.sqrt(0.05 * runs))
    assert detected > 0.9 * runs


def test_values_that_only_one_table_has():
    before = make_table(prompts=10, values=("a", "b", "c"))
    after = make_table(prompts=10, values=("c", "d", "a"), seed=1)
    targets = MemoryOracle.of(before).rewards_at(np.array([0.2, 0.2, NAN]))
    comparison = drift(before, after, targets)
    assert comparison.values == ("a", "c")
    assert comparison.only_before == ("b",)
    assert comparison.only_after == ("d",)
    np.testing.assert_array_equal(comparison.targets, [targets[0], NAN])
    assert comparison.weights_before is not None
    assert len(comparison.weights_before) == len(comparison.base.after) == 2
    # Base levels of the second table are matched by the name of the value, not by position.
    np.testing.assert_allclose(comparison.base.after, MemoryOracle.of(after).base[[2, 0]])
    assert np.isnan(comparison.after.targets[[0, 1]]).all()


def test_targets_out_of_reach_and_a_table_of_one_prompt():
    before = make_table(prompts=10)
    comparison = drift(before, before, np.array([99.0, NAN, NAN, NAN]))
    assert comparison.before.verdict is comparison.after.verdict is Verdict.OUT_OF_REACH
    assert comparison.held is comparison.weights_before is comparison.weights_after is None
    assert not comparison.missed.any()
    single_prompt = make_table(prompts=1, seed=1)
    comparison = drift(before, single_prompt, np.array([0.5, NAN, NAN, NAN]))
    assert np.isinf(comparison.base.error).all()
    assert not comparison.base.real.any()
    # A table with one reply per prompt is pooled, so both tables are.
    assert drift(before, make_table(prompts=9, candidates=1), np.full(4, NAN)).form is Form.POOLED


def test_tables_without_a_common_value_and_too_few_targets_are_refused():
    table = make_table(prompts=4)
    with pytest.raises(InputError, match=r"no value in common: helpfulness.* and x"):
        drift(table, make_table(values=("x",)), np.zeros(4))
    with pytest.raises(InputError, match="There are 2 targets; expected 4"):
        drift(table, table, np.zeros(2))


def parse_strict_json(line: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(line, parse_constant=refuse)


def test_command_compares_two_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = make_table(prompts=20, candidates=16)
    save(before, tmp_path / "a.parquet")
    save(replace(before, rewards=before.rewards - [0, 0, 1.0, 0]), tmp_path / "b.parquet")
    save(make_table(prompts=3, candidates=4, values=("humor", "wit")), tmp_path / "c.parquet")
    arguments = ["groups", str(tmp_path / "a.parquet"), "--target", "humor=+0.5sd", "--target", "positivity=p99.9"]
    assert main([*arguments[:4], "--compare", str(tmp_path / "b.parquet"), "--json"]) == 0
    comparison = parse_strict_json(capsys.readouterr().out)
    assert comparison["missed"] == comparison["base"]["drifted"] == ["humor"]
    assert comparison["short"]["humor"] == pytest.approx(1.0)
    assert comparison["old_weights"]["before"]["humor"] == pytest.approx(comparison["targets"]["humor"])
    assert comparison["same_prompts"] is True
    for table_name, options in (("b", arguments), ("c", arguments[:4]), ("c", arguments)):
        for as_json in ([], ["--json"]):
            assert main([*options, "--compare", str(tmp_path / f"{table_name}.parquet"), *as_json]) == 0
            printed = capsys.readouterr().out
            if as_json:
                parse_strict_json(printed)
                continue
            assert "nan" not in printed
            if table_name == "b" and options == arguments[:4]:
                assert "The old weights now miss humor." in printed
            if table_name == "c":
                assert "Only the first table has helpfulness, harmlessness, positivity" in printed
                assert "Only the second table has wit" in printed
    assert main([*arguments, "--compare", str(tmp_path / "none.parquet")]) == 1
    assert "There is no table" in capsys.readouterr().err
