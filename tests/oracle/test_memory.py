"""Tests of the oracle in memory: the laws of the contract, in one block and in many, in float64 and float32."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import MemoryOracle, memory
from map_core.testing.oracle_laws import LAWS, Law, assert_close
from map_core.testing.plain_tables import CASES, PlainTable
from tests.tables import make_table


def oracle_of(table: PlainTable, **settings: int) -> MemoryOracle:
    return MemoryOracle(table.rewards, table.offsets, table.values, table.form, **settings)


def test_two_replies_by_hand():
    oracle = MemoryOracle(np.array([[0.0], [1.0]]), np.array([0, 2]), ("humor",), Form.PER_PROMPT)
    # Half a point is one standard deviation, so z is -1 and 1 and A(x) = log cosh x.
    moments = oracle.moments(np.array([0.5]))
    assert oracle.base[0] == oracle.scale[0] == 0.5
    assert moments.log_normaliser == pytest.approx(np.log(np.cosh(0.5)), abs=1e-15)
    assert moments.levels[0] == pytest.approx(np.tanh(0.5), abs=1e-15)
    assert moments.covariance[0, 0] == pytest.approx(1 - np.tanh(0.5) ** 2, abs=1e-15)
    assert oracle.best(np.array([1.0]))[0] == 1.0
    # P = (1 + tanh(x)) / 2 and (1 - tanh(x)) / 2, so 1 / sum P^2 = 2 / (1 + tanh(x)^2).
    assert oracle.effective_sample_size(np.array([0.5])).per_prompt == pytest.approx(2 / (1 + np.tanh(0.5) ** 2))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_laws_hold_in_one_block(law: Law, name: str):
    law(oracle_of(CASES[name]), CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_laws_hold_over_many_blocks_and_threads(law: Law, name: str, threads: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "BLOCK", 128)
    monkeypatch.setattr("map_core.oracle.block.SMALL", 0)
    monkeypatch.setattr("map_core.oracle.block.TILTED", 100)
    law(oracle_of(CASES[name], threads=threads), CASES[name])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", [name for name in CASES if "any size" not in name])
def test_the_laws_hold_in_single_precision(law: Law, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "BLOCK", 200)
    table = replace(CASES[name], rewards=CASES[name].rewards.astype(np.float32))
    oracle = oracle_of(table, threads=1)
    assert oracle.resolution == 1e-6
    law(oracle, table)


def test_many_blocks_agree_with_one_block(monkeypatch: pytest.MonkeyPatch):
    table = CASES["ragged"]
    in_one_block = oracle_of(table)
    monkeypatch.setattr(memory, "BLOCK", 40)
    x = np.array([1.0, 0.5, 0.0, 2.0])
    assert_close(oracle_of(table).moments(x).covariance, in_one_block.moments(x).covariance, in_one_block, 1e-3)


def test_threads_share_an_oracle(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "BLOCK", 64)
    oracle = oracle_of(CASES["ragged"], threads=2)
    weights = np.random.default_rng(0).uniform(0, 2, (40, 4))
    expected = [oracle.moments(x).levels for x in weights]
    with ThreadPoolExecutor(4) as pool:
        levels = list(pool.map(lambda x: oracle.moments(x).levels, weights))
    np.testing.assert_array_equal(levels, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_oracle_works_in_a_forked_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "BLOCK", 64)
    oracle = oracle_of(CASES["ragged"], threads=2)
    oracle.moments(np.ones(4))
    child = os.fork()
    if child == 0:
        oracle.moments(np.ones(4))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_redundant_values_are_detected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "BLOCK", 64)
    even = CASES["even"]
    redundant = replace(even, rewards=np.column_stack([even.rewards, even.rewards[:, 0] + even.rewards[:, 1]]))
    assert not oracle_of(even).has_redundant_values
    assert oracle_of(redundant).has_redundant_values


def test_a_small_table_has_no_subsample():
    assert oracle_of(CASES["even"]).subsample(1 / 8) is None


def test_the_form_is_that_of_the_table_unless_given():
    assert MemoryOracle.of(make_table()).form is Form.PER_PROMPT
    assert MemoryOracle.of(make_table(), Form.POOLED).form is Form.POOLED
    assert MemoryOracle.of(make_table(candidates=1)).form is Form.POOLED


def test_a_form_may_be_given_as_text():
    table = CASES["even, pooled"]
    oracle = MemoryOracle(table.rewards, table.offsets, table.values, "pooled")  # type: ignore[arg-type]
    assert oracle.form is Form.POOLED


def test_the_per_prompt_form_needs_two_replies():
    with pytest.raises(InputError, match="two replies or more"):
        MemoryOracle.of(make_table(candidates=1), Form.PER_PROMPT)


@pytest.mark.parametrize("form", list(Form))
def test_the_highest_and_lowest_levels_are_those_of_the_best_and_worst_replies(form: Form):
    # Two prompts with the rewards 0, 1 and 4 and 2, 3: their own worst and best on average, or those of all replies.
    rewards = np.array([[0.0, 7.0], [1.0, 7.0], [4.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    oracle = MemoryOracle(rewards, np.array([0, 3, 5]), ("humor", "constant"), form)
    humor = {Form.PER_PROMPT: [1.0, 3.5], Form.POOLED: [0.0, 4.0]}[form]
    levels = oracle.rewards_at(np.array([oracle.lowest, oracle.highest])).T
    np.testing.assert_allclose(levels, [humor, [7.0, 7.0]])
