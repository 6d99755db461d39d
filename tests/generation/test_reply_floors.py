"""Tests of floors for every reply: by hand, against another solver, general properties, and unmet floors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.errors import InputError
from map_core.generation.choice import choose
from map_core.generation.reply_floors import choose_above_floors
from map_core.generation.request import GenerationRequest
from tests.lazy import LazyModule

cvxpy = LazyModule("cvxpy")
SEEDS = st.integers(0, 10_000)
few_examples = settings(max_examples=25)


def test_a_floor_by_hand():
    # w = (0.5, 0.3, 0.2), and the first misses its floor.
    columns = np.log([[0.5], [0.3], [0.2]])
    choice = choose_above_floors({"calm": (0.0, 1.0, 2.0)}, {"calm": 1.0}, columns, [1.0], 0)
    assert choice.probabilities == pytest.approx((0.0, 0.6, 0.4))
    assert choice.floors is not None
    assert choice.floors.met
    assert choice.floors.met_by == (False, True, True)
    assert choice.floors.missed == {}
    assert choice.floors.nats == pytest.approx(np.log(2.0))
    assert choice.kl == pytest.approx(np.log(3.0) + 0.6 * np.log(0.6) + 0.4 * np.log(0.4))


@few_examples
@given(seed=SEEDS)
def test_choice_above_floors_matches_a_conic_solver(seed: int):
    rng = np.random.default_rng(seed)
    rewards, calm, weight = rng.normal(size=6), rng.normal(size=6), 1.5
    floor = float(np.sort(calm)[2])
    choice = choose_above_floors({"calm": tuple(calm)}, {"calm": floor}, rewards[:, None], [weight], seed)
    w = np.array(choose(rewards[:, None], [weight], seed).probabilities)
    q = cvxpy.Variable(6, nonneg=True)
    constraints = [cvxpy.sum(q) == 1, q[np.flatnonzero(calm < floor)] == 0]
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.kl_div(q, w))), constraints)
    problem.solve(solver=cvxpy.CLARABEL)
    # Its gap of 1e-8 nats leaves sqrt(2e-8) = 1.4e-4 of total variation (Pinsker). By hand: w, renormalised over the
    # remaining candidates.
    assert choice.probabilities == pytest.approx(q.value, abs=1.5e-4)
    remaining = np.where(calm < floor, 0.0, w)
    assert choice.probabilities == pytest.approx(remaining / remaining.sum(), abs=1e-12)
    assert choice.floors is not None
    assert choice.floors.nats == pytest.approx(problem.value, abs=1e-6)


@few_examples
@given(seed=SEEDS, best=st.booleans())
def test_a_floor_that_all_candidates_meet_changes_nothing(seed: int, best: bool):
    rng = np.random.default_rng(seed)
    columns, calm = rng.normal(size=(8, 2)), tuple(rng.normal(size=8))
    without_floor = choose(columns, [1.0, 0.5], seed, best=best)
    with_floor = choose_above_floors({"calm": calm}, {"calm": min(calm)}, columns, [1.0, 0.5], seed, best=best)
    assert with_floor.probabilities == without_floor.probabilities
    assert (with_floor.picked, with_floor.kl, with_floor.log_z) == (
        without_floor.picked,
        without_floor.kl,
        without_floor.log_z,
    )
    assert with_floor.floors is not None
    assert with_floor.floors.nats == 0.0
    assert choose_above_floors({"calm": calm}, {}, columns, [1.0, 0.5], seed, best=best) == without_floor


@few_examples
@given(seed=SEEDS, floor=st.floats(-2.0, 3.0))
def test_the_pick_meets_the_floor_whenever_a_candidate_does(seed: int, floor: float):
    rng = np.random.default_rng(seed)
    calm = tuple(rng.normal(size=6))
    choice = choose_above_floors({"calm": calm}, {"calm": floor}, rng.normal(size=(6, 1)), [2.0], seed)
    assert choice.floors is not None
    assert choice.floors.met == (max(calm) >= floor)
    assert (calm[choice.picked] >= floor) == choice.floors.met
    if not choice.floors.met:
        assert calm[choice.picked] == max(calm)
        assert choice.floors.missed["calm"] == pytest.approx(floor - max(calm))
        assert choice.more_would_help


def test_nearest_candidate_is_measured_in_standard_deviations():
    rewards = {"calm": (0.0, 10.0, 0.0, 0.0), "warm": (1.0, 0.0, 1.0, 0.9)}
    floors = {"calm": 20.0, "warm": 1.0}
    choice = choose_above_floors(rewards, floors, np.log([[3.0], [1.0], [1.0], [1.0]]), [1.0], 0)
    # The second is more than two deviations nearer in calm, and as many further in warm.
    assert choice.floors is not None
    assert not choice.floors.met
    scale = {name: np.std(column) for name, column in rewards.items()}
    shortfall = np.hypot(
        np.maximum(20.0 - np.array(rewards["calm"]), 0) / scale["calm"],
        np.maximum(1.0 - np.array(rewards["warm"]), 0) / scale["warm"],
    )
    nearest = np.flatnonzero(np.isclose(shortfall, shortfall.min()))
    assert set(np.flatnonzero(choice.probabilities)) == set(nearest)


def test_candidates_without_a_reward_meet_no_floor():
    nan = float("nan")
    choice = choose_above_floors({"calm": (nan, 0.0)}, {"calm": 1.0}, np.zeros((2, 0)), [], 0)
    assert choice.probabilities == (0.0, 1.0)
    unknown = choose_above_floors({"calm": (nan, nan)}, {"calm": 1.0}, np.zeros((2, 0)), [], 0)
    assert unknown.floors is None


def test_infinite_log_offsets_exclude_candidates():
    choice = choose_above_floors(
        {"calm": (2.0, 2.0, 0.0)}, {"calm": 1.0}, np.zeros((3, 0)), [], 0, log_offsets=np.array([np.inf, 0.0, 0.0])
    )
    assert choice.probabilities == (0.0, 1.0, 0.0)
    assert choice.kl == pytest.approx(np.log(2.0))


def test_a_request_scores_the_values_of_its_floors():
    assert GenerationRequest("Hello", {"humor": 1.0}, ("warm",), floors={"calm": 0.5}).scored == (
        "humor",
        "calm",
        "warm",
    )
    with pytest.raises(InputError, match="floor of 'calm' is nan"):
        GenerationRequest("Hello", floors={"calm": float("nan")})
