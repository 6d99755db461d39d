"""Tests of the example replies of a table: one prompt by hand, zero and large weights, and missing data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from map_core.analysis.examples import example_prompts, reply_example
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.report.sample_replies import draw_samples
from tests.tables import make_table


def small_table():
    """Return a table of one prompt with three replies: the second is highest in humor, the third is average."""
    table = make_table(prompts=1, candidates=3, values=("humor", "calm"))
    rewards = np.array([[0.0, 3.0], [4.0, 0.0], [2.0, 1.0]])
    return replace(table, rewards=rewards, replies=("flat", "funny", "average"), use_cases=("Stories",))


def test_most_probable_reply_and_its_probability():
    table = small_table()
    oracle = MemoryOracle.of(table)
    x = np.array([0.5, 0.0])
    example = reply_example(table, oracle, x, 0)
    assert (example.base, example.aligned) == ("average", "funny")
    z = (table.rewards[:, 0] - oracle.base[0]) / oracle.scale[0]
    assert example.probability == pytest.approx(np.exp(0.5 * z[1]) / np.exp(0.5 * z).sum())
    assert example.candidates == 3
    np.testing.assert_allclose(oracle.rewards_at(example.aligned_levels), [4.0, 0.0])


def test_without_weights_base_and_aligned_reply_are_equal():
    table = small_table()
    example = reply_example(table, MemoryOracle.of(table), np.zeros(2), 0)
    assert example.base == example.aligned == "average"
    assert example.probability == pytest.approx(1 / 3)


def test_large_weights_do_not_overflow():
    table = small_table()
    example = reply_example(table, MemoryOracle.of(table), np.array([1e6, 0.0]), 0)
    assert example.aligned == "funny"
    assert example.probability == pytest.approx(1.0)


def test_missing_prompts_and_texts_are_refused():
    table = small_table()
    oracle = MemoryOracle.of(table)
    with pytest.raises(InputError, match="position is 1; expected 0 to 0"):
        reply_example(table, oracle, np.zeros(2), 1)
    with pytest.raises(InputError, match="no texts of replies"):
        reply_example(replace(table, replies=()), oracle, np.zeros(2), 0)


def test_held_out_and_hidden_prompts_are_not_used_as_examples() -> None:
    table = make_table(prompts=4, candidates=2)
    assert example_prompts(table) == (0, 1, 2, 3)
    held_out = np.array([True, False, False, False])
    marked = replace(table, held_out=held_out, metadata={**table.metadata, "hidden": ["p02", "elsewhere"]})
    assert example_prompts(marked) == (1, 3)
    samples = draw_samples(marked, MemoryOracle.of(marked), np.zeros(4), 4)
    assert {sample.example.prompt for sample in samples} == {"Question number 1, please?", "Question number 3, please?"}
