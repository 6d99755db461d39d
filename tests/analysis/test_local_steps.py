"""Tests of a step of one target: by hand for independent values, what each mode keeps, and impossible steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from map_core.analysis.local_steps import Keep, LocalStep, local_step
from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Solution, solve
from tests.tables import make_table

TARGETS = np.array([0.4, 0.2, np.nan, 0.3])


@pytest.fixture(scope="module")
def coins() -> MemoryOracle:
    """Return two independent values that are 0 or 1: four replies to one prompt."""
    replies = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return MemoryOracle(replies, np.array([0, 4]), ("humor", "kindness"), Form.PER_PROMPT)


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32), request.param)


@pytest.fixture(scope="module")
def solution(oracle) -> Solution:
    return solve(oracle, TARGETS)


def nats(q: float) -> float:
    """Return the nats that it costs to make a fair coin fall on 1 with probability q."""
    return math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)


def required_step(oracle, targets, value, size, keep, **options) -> LocalStep:
    result = local_step(oracle, targets, value, size, keep, **options)
    assert result is not None
    return result


# A level q of a coin lies (q - 1/2) / (1/2) standard deviations above base.
def test_keeping_the_others_by_hand(coins):
    result = required_step(coins, np.array([0.4, 0.2]), 0, 0.2, Keep.OTHERS)
    assert result.targets == pytest.approx([0.6, 0.2])
    assert result.nats == pytest.approx(nats(0.8) - nats(0.7))
    assert result.solution.kl == pytest.approx(nats(0.8) + nats(0.6))


def test_step_up_at_the_same_cost_by_hand(coins):
    result = required_step(coins, np.array([0.4, 0.4]), 0, 0.1, Keep.COST)
    remaining = 2 * nats(0.7) - nats(0.75)
    assert result.targets[0] == pytest.approx(0.5)
    assert result.targets[1] == pytest.approx(2 * brentq(lambda q: nats(q) - remaining, 0.5, 0.7) - 1, abs=1e-6)
    assert result.nats == pytest.approx(0.0, abs=1e-8)


def test_step_down_at_the_same_cost_by_hand(coins):
    result = required_step(coins, np.array([0.4, 0.4]), 0, -0.1, Keep.COST)
    remaining = 2 * nats(0.7) - nats(0.65)
    assert result.targets[0] == pytest.approx(0.3)
    assert result.targets[1] == pytest.approx(2 * brentq(lambda q: nats(q) - remaining, 0.7, 0.9) - 1, abs=1e-6)
    assert result.nats == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("size", [-0.2, -0.05, 0.05, 0.2])
@pytest.mark.parametrize("value", [0, 1, 3])
def test_steps_keep_the_other_targets_or_the_cost(oracle, solution, value, size):
    others = [j for j in (0, 1, 3) if j != value]
    same_targets = required_step(oracle, TARGETS, value, size, Keep.OTHERS, now=solution)
    assert same_targets.targets[others] == pytest.approx(TARGETS[others])
    assert math.copysign(1, same_targets.nats) == math.copysign(1, size)
    same_cost = required_step(oracle, TARGETS, value, size, Keep.COST, now=solution)
    assert same_cost.solution.kl == pytest.approx(solution.kl, abs=1e-8)
    assert same_cost.nats == pytest.approx(0.0, abs=1e-8)
    for result in (same_targets, same_cost):
        assert result.targets[value] == pytest.approx(TARGETS[value] + size)
        assert math.isnan(result.targets[2])
        assert assess(oracle, result.targets - 1e-9).verdict is not Verdict.OUT_OF_REACH
    changes = same_cost.targets[others] - TARGETS[others]
    assert np.all(changes <= 1e-9 if size > 0 else changes >= -1e-9)


def test_other_targets_change_as_little_as_possible(oracle, solution):
    """The change to the nearest point of a level set is along the gradient, which is the weights."""
    result = required_step(oracle, TARGETS, 0, 0.1, Keep.COST, now=solution)
    losses = (TARGETS - result.targets)[[1, 3]]
    ratio = losses / result.solution.weights[[1, 3]]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-4)


def test_step_down_raises_the_other_targets_equally(oracle, solution):
    result = required_step(oracle, TARGETS, 0, -0.1, Keep.COST, now=solution)
    rise = (result.targets - TARGETS)[[1, 3]]
    assert rise[0] == pytest.approx(rise[1])
    assert rise[0] > 0


def test_fixed_target_does_not_change(oracle, solution):
    fixed = np.array([False, True, False, False])
    for size in (0.1, -0.1):
        result = required_step(oracle, TARGETS, 3, size, Keep.COST, now=solution, fixed=fixed)
        assert result.targets[1] == pytest.approx(TARGETS[1], abs=1e-9)
        assert result.targets[0] != pytest.approx(TARGETS[0], abs=1e-3)
    all_others = np.array([True, True, False, False])
    assert local_step(oracle, TARGETS, 3, 0.1, Keep.COST, now=solution, fixed=all_others) is None


def test_step_of_a_target_without_cost_costs_nothing(oracle):
    targets = np.array([0.4, np.nan, -1.0, np.nan])
    for keep in Keep:
        for size in (0.1, -0.1):
            result = required_step(oracle, targets, 2, size, keep)
            assert result.nats == pytest.approx(0.0, abs=1e-8)
            assert result.targets[0] == pytest.approx(0.4, abs=1e-6)


def test_a_step_out_of_reach_is_none(oracle):
    attainable = AttainableLevels(oracle)
    top = attainable.highest(np.full(4, np.nan), 0)
    edge = np.array([top - 0.05, np.nan, np.nan, np.nan])
    assert local_step(oracle, edge, 0, 0.1, Keep.OTHERS, attainable=attainable) is None
    assert local_step(oracle, edge, 0, 0.1, Keep.COST, attainable=attainable) is None
    assert local_step(oracle, edge, 0, -0.1, Keep.COST, attainable=attainable) is None
    assert required_step(oracle, edge, 0, -0.1, Keep.OTHERS, attainable=attainable).nats < 0


def test_steps_that_rest_on_few_replies_are_not_trusted():
    small = MemoryOracle.of(make_table(prompts=12, candidates=16))
    top = AttainableLevels(small).highest(np.full(4, np.nan), 0)
    near_top = np.array([top - 0.1, np.nan, np.nan, np.nan])
    assert not required_step(small, near_top, 0, 0.05, Keep.OTHERS).trusted
    assert required_step(small, np.array([0.1, np.nan, np.nan, np.nan]), 0, 0.05, Keep.OTHERS).trusted


@pytest.mark.parametrize(("value", "size"), [(2, 0.1), (4, 0.1), (-1, 0.1), (0, 0.0), (0, math.nan)])
def test_steps_without_target_or_size_are_refused(oracle, value, size):
    with pytest.raises(InputError, match=r"A step moves a value that has a target|The step is"):
        local_step(oracle, TARGETS, value, size, Keep.COST)
