"""Thousands of odd tables: verdict and solver never contradict each other, and nothing is ever NaN."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.dual import Status, solve
from map_core.feasibility import assess, margin
from map_core.glossary import Form, Verdict
from map_core.oracle import MemoryOracle


def odd_table(rng: np.random.Generator) -> MemoryOracle:
    """Few prompts, ragged numbers of replies, and ties, redundant values or wild scales."""
    prompts, size = int(rng.integers(1, 12)), int(rng.integers(1, 8))
    counts = rng.integers(1, 12, prompts)
    counts[0] = max(counts[0], 2)
    rewards = rng.normal(size=(counts.sum(), size))
    kind = rng.integers(5)
    if kind == 1:
        rewards = np.round(rewards)
    elif kind == 2:
        rewards[:, -1] = rewards[:, 0] * 3 + 1
    elif kind == 3:
        rewards *= 10.0 ** rng.integers(-9, 10, size)
    elif kind == 4:
        rewards[:, 0] = 7.0
    form = Form.PER_PROMPT if rng.random() < 0.7 else Form.POOLED
    return MemoryOracle(rewards, np.concatenate([[0], np.cumsum(counts)]), tuple(map(str, range(size))), form)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_verdict_and_solver_agree(seed: int):
    rng = np.random.default_rng(seed)
    oracle = odd_table(rng)
    size = len(oracle.values)
    top = np.array([oracle.best(row)[j] for j, row in enumerate(np.eye(size))])
    targets = rng.uniform(-0.3, 1.1, size) * top * rng.uniform(0.1, 1.2)
    targets[rng.random(size) < 0.2] = np.nan

    edge, found = margin(oracle, targets), solve(oracle, targets)
    assert edge.gap <= 1e-8
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.levels).all()
    if edge.value > 1e-7:
        assert found.status is Status.CONVERGED
        assert found.residual <= 1e-7
        wanted = ~np.isnan(targets)
        assert np.all(found.levels[wanted] >= targets[wanted] - 1e-7)
    if edge.value < -1e-7:
        assert found.status is not Status.CONVERGED

    judged = assess(oracle, targets)
    assert (judged.verdict is Verdict.OUT_OF_REACH) == (not edge.attainable)
    if judged.nearest is not None:
        assert assess(oracle, judged.nearest.targets).verdict is not Verdict.OUT_OF_REACH
