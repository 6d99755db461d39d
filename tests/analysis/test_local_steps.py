"""A step of one target: by hand where values are independent, then what either way must keep, then what cannot be."""

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
    """Two values that are 0 or 1 and have nothing to do with each other: four replies to one prompt."""
    replies = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return MemoryOracle(replies, np.array([0, 4]), ("humor", "kindness"), Form.PER_PROMPT)


@pytest.fixture(scope="module", params=list(Form))
def oracle(request: pytest.FixtureRequest) -> MemoryOracle:
    return MemoryOracle.of(make_table(prompts=20, candidates=32), request.param)


@pytest.fixture(scope="module")
def now(oracle) -> Solution:
    return solve(oracle, TARGETS)


def nats(q: float) -> float:
    """Return the nats that it costs to make a fair coin fall on 1 with probability q."""
    return math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q)


def taken(oracle, targets, value, size, keep, **options) -> LocalStep:
    result = local_step(oracle, targets, value, size, keep, **options)
    assert result is not None
    return result


# A level q of a coin lies (q - 1/2) / (1/2) standard deviations above base.
def test_keeping_the_others_by_hand(coins):
    result = taken(coins, np.array([0.4, 0.2]), 0, 0.2, Keep.OTHERS)
    assert result.targets == pytest.approx([0.6, 0.2])
    assert result.nats == pytest.approx(nats(0.8) - nats(0.7))
    assert result.solution.kl == pytest.approx(nats(0.8) + nats(0.6))


def test_a_step_more_at_the_same_cost_by_hand(coins):
    result = taken(coins, np.array([0.4, 0.4]), 0, 0.1, Keep.COST)
    left = 2 * nats(0.7) - nats(0.75)
    assert result.targets[0] == pytest.approx(0.5)
    assert result.targets[1] == pytest.approx(2 * brentq(lambda q: nats(q) - left, 0.5, 0.7) - 1, abs=1e-6)
    assert result.nats == pytest.approx(0.0, abs=1e-8)


def test_a_step_less_at_the_same_cost_by_hand(coins):
    result = taken(coins, np.array([0.4, 0.4]), 0, -0.1, Keep.COST)
    left = 2 * nats(0.7) - nats(0.65)
    assert result.targets[0] == pytest.approx(0.3)
    assert result.targets[1] == pytest.approx(2 * brentq(lambda q: nats(q) - left, 0.7, 0.9) - 1, abs=1e-6)
    assert result.nats == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("size", [-0.2, -0.05, 0.05, 0.2])
@pytest.mark.parametrize("value", [0, 1, 3])
def test_what_is_kept_is_kept(oracle, now, value, size):
    others = [j for j in (0, 1, 3) if j != value]
    paid = taken(oracle, TARGETS, value, size, Keep.OTHERS, now=now)
    assert paid.targets[others] == pytest.approx(TARGETS[others])
    assert math.copysign(1, paid.nats) == math.copysign(1, size)
    level = taken(oracle, TARGETS, value, size, Keep.COST, now=now)
    assert level.solution.kl == pytest.approx(now.kl, abs=1e-8)
    assert level.nats == pytest.approx(0.0, abs=1e-8)
    for result in (paid, level):
        assert result.targets[value] == pytest.approx(TARGETS[value] + size)
        assert math.isnan(result.targets[2])
        assert assess(oracle, result.targets - 1e-9).verdict is not Verdict.OUT_OF_REACH
    moved = level.targets[others] - TARGETS[others]
    assert np.all(moved <= 1e-9 if size > 0 else moved >= -1e-9)


def test_the_others_give_way_as_little_as_can_be(oracle, now):
    """At the nearest point of a level set the way there is along the gradient, which is the weights."""
    result = taken(oracle, TARGETS, 0, 0.1, Keep.COST, now=now)
    given = (TARGETS - result.targets)[[1, 3]]
    ratio = given / result.solution.weights[[1, 3]]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-4)


def test_a_step_less_lets_the_others_rise_together(oracle, now):
    result = taken(oracle, TARGETS, 0, -0.1, Keep.COST, now=now)
    rise = (result.targets - TARGETS)[[1, 3]]
    assert rise[0] == pytest.approx(rise[1])
    assert rise[0] > 0


def test_a_fixed_target_stays(oracle, now):
    fixed = np.array([False, True, False, False])
    for size in (0.1, -0.1):
        result = taken(oracle, TARGETS, 3, size, Keep.COST, now=now, fixed=fixed)
        assert result.targets[1] == pytest.approx(TARGETS[1], abs=1e-9)
        assert result.targets[0] != pytest.approx(TARGETS[0], abs=1e-3)
    everything = np.array([True, True, False, False])
    assert local_step(oracle, TARGETS, 3, 0.1, Keep.COST, now=now, fixed=everything) is None


def test_a_target_that_costs_nothing_moves_for_nothing(oracle):
    easy = np.array([0.4, np.nan, -1.0, np.nan])
    for keep in Keep:
        for size in (0.1, -0.1):
            result = taken(oracle, easy, 2, size, keep)
            assert result.nats == pytest.approx(0.0, abs=1e-8)
            assert result.targets[0] == pytest.approx(0.4, abs=1e-6)


def test_a_step_out_of_reach_is_none(oracle):
    attainable = AttainableLevels(oracle)
    top = attainable.highest(np.full(4, np.nan), 0)
    edge = np.array([top - 0.05, np.nan, np.nan, np.nan])
    assert local_step(oracle, edge, 0, 0.1, Keep.OTHERS, attainable=attainable) is None
    assert local_step(oracle, edge, 0, 0.1, Keep.COST, attainable=attainable) is None
    assert local_step(oracle, edge, 0, -0.1, Keep.COST, attainable=attainable) is None
    assert taken(oracle, edge, 0, -0.1, Keep.OTHERS, attainable=attainable).nats < 0


def test_few_replies_are_said():
    small = MemoryOracle.of(make_table(prompts=12, candidates=16))
    top = AttainableLevels(small).highest(np.full(4, np.nan), 0)
    near = np.array([top - 0.1, np.nan, np.nan, np.nan])
    assert not taken(small, near, 0, 0.05, Keep.OTHERS).trusted
    assert taken(small, np.array([0.1, np.nan, np.nan, np.nan]), 0, 0.05, Keep.OTHERS).trusted


@pytest.mark.parametrize(("value", "size"), [(2, 0.1), (4, 0.1), (-1, 0.1), (0, 0.0), (0, math.nan)])
def test_a_step_of_nothing_is_refused(oracle, value, size):
    with pytest.raises(InputError, match=r"A step moves a value that has a target|The step is"):
        local_step(oracle, TARGETS, value, size, Keep.COST)
