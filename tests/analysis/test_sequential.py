"""Tests of sequential alignment: two replies by hand, invariants, orders, statuses, invalid input, the command."""

from __future__ import annotations

import json
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.analysis.order_effects import compare_orders, path_loss
from map_core.analysis.sequential import sequential_path, sequential_paths
from map_core.cli import main
from map_core.core.types import Form
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility import margin
from map_core.oracle import MemoryOracle
from map_core.solver.newton import Status, solve
from tests.tables import make_table

TABLE = make_table(prompts=20, candidates=16, seed=4)
ORACLES = {form: MemoryOracle.of(TABLE, form) for form in Form}
TARGETS = np.array([0.3, 0.2, 0.25, math.nan])


def opposite_replies() -> MemoryOracle:
    """Return two replies with z = (+1, -1) and (-1, +1), so that level_1 = tanh(x_1 - x_2) = -level_2."""
    return MemoryOracle(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 2]), ("kind", "funny"), Form.PER_PROMPT)


def test_two_replies_by_hand():
    path = sequential_path(opposite_replies(), np.array([0.5, -0.6]), (1, 0))
    # Funny exceeds -0.6 at the base model and needs no weight; kind then needs tanh(x) = 0.5.
    assert path.aligned.tolist() == [1, 0]
    assert path.weights == pytest.approx(np.array([[0, 0], [0, 0], [math.atanh(0.5), 0]]))
    assert path.levels == pytest.approx(np.array([[0, 0], [0, 0], [0.5, -0.5]]))
    assert path.status is Status.CONVERGED
    # P = (3/4, 1/4) against one half each.
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert path.kl == pytest.approx([0, 0, kl])
    assert path.dual == pytest.approx([0, 0, kl])


def test_opposite_values_undo_each_other_until_proven_out_of_reach():
    """Two levels above base are jointly out of reach, so each step adds the weight that reverses the levels."""
    path = sequential_path(opposite_replies(), np.array([0.5, 0.2]))
    first_weight, second_weight = math.atanh(0.5), math.atanh(0.2)
    assert path.weights[1:] == pytest.approx(
        np.array([[first_weight, 0], [first_weight, first_weight + second_weight]])
    )
    assert path.levels[1:] == pytest.approx(np.array([[0.5, -0.5], [-0.2, 0.2]]))
    assert path.undone == pytest.approx(np.array([[0, 0], [0.7, 0]]))
    assert path.status is Status.STEP_LIMIT
    long_path = sequential_path(opposite_replies(), np.array([0.5, 0.2]), rounds=10_000)
    assert long_path.status is Status.UNBOUNDED
    assert long_path.rounds < 10
    assert long_path.dual[-1] > math.log(2)
    assert np.isfinite(long_path.weights).all()


def test_independent_values_need_one_round():
    grid = np.array([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    oracle = MemoryOracle(grid, np.array([0, 4]), ("a", "b"), Form.PER_PROMPT)
    path = sequential_path(oracle, np.array([0.4, 0.6]))
    assert path.weights[-1] == pytest.approx([math.atanh(0.4), math.atanh(0.6)])
    assert path.status is Status.CONVERGED
    assert not path.undone.max() > 1e-12


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_rounds_converge_to_the_simultaneous_weights(form: Form, order: tuple[int, ...]):
    oracle = ORACLES[form]
    simultaneous = solve(oracle, TARGETS)
    path = sequential_path(oracle, TARGETS, order, rounds=500)
    assert path.status is Status.CONVERGED
    assert path.rounds < 200
    assert path.weights[-1] == pytest.approx(simultaneous.weights, abs=1e-8)
    assert path.levels[-1] == pytest.approx(simultaneous.levels, abs=1e-8)
    assert path.dual[-1] == pytest.approx(simultaneous.kl, abs=1e-10)
    assert path_loss(path, simultaneous).worst < 1e-8


@pytest.mark.parametrize("form", Form)
def test_invariants_of_every_step(form: Form):
    oracle = ORACLES[form]
    path = sequential_path(oracle, TARGETS, (2, 0, 1), rounds=3)
    assert path.steps == 9
    assert path.rounds == 3
    simultaneous = solve(oracle, TARGETS)
    for step, j in enumerate(path.aligned, start=1):
        moments, x = oracle.moments(path.weights[step]), path.weights[step]
        assert path.levels[step] == pytest.approx(moments.levels, abs=1e-12)
        assert path.kl[step] == pytest.approx(x @ moments.levels - moments.log_normaliser, abs=1e-12)
        assert path.dual[step] == pytest.approx(x[:3] @ TARGETS[:3] - moments.log_normaliser, abs=1e-12)
        # Only this value's weight changes: it meets the target exactly, or is 0 with the level above the target.
        assert np.delete(x, j) == pytest.approx(np.delete(path.weights[step - 1], j), abs=0)
        assert moments.levels[j] >= TARGETS[j] - 1e-10
        assert x[j] * (moments.levels[j] - TARGETS[j]) == pytest.approx(0, abs=1e-10)
    assert np.all(np.diff(path.dual) >= -1e-12)
    assert path.dual[-1] <= simultaneous.kl + 1e-12
    assert np.all(path.weights[:, 3] == 0)


def test_path_after_fewer_rounds_and_the_number_of_rounds_needed():
    oracle = ORACLES[Form.PER_PROMPT]
    simultaneous = solve(oracle, TARGETS)
    long, short = (sequential_path(oracle, TARGETS, (2, 0, 1), rounds=rounds) for rounds in (20, 2))
    truncated = long.after(2)
    assert truncated.levels == pytest.approx(short.levels, abs=1e-12)
    assert (truncated.status, truncated.steps, truncated.residual) == (
        Status.STEP_LIMIT,
        6,
        pytest.approx(short.residual, abs=1e-12),
    )
    assert long.after(50) is long
    needed = long.rounds_to(simultaneous.levels, 0.01)
    assert 1 < needed < 20
    errors = [np.abs(long.after(rounds).levels[-1] - simultaneous.levels).max() for rounds in range(1, 21)]
    assert errors[needed - 2] > 0.01 >= errors[needed - 1]
    assert short.rounds_to(simultaneous.levels, 1e-6) is None
    assert long.rounds_to(simultaneous.levels, 100.0) == 0


def test_one_round_loses_what_opposed_values_undo():
    oracle = ORACLES[Form.PER_PROMPT]
    simultaneous = solve(oracle, TARGETS)
    path = sequential_path(oracle, TARGETS, (0, 1, 2))
    loss = path_loss(path, simultaneous)
    assert loss.worst > 0.05
    assert np.all(path.shortfall[-1] <= path.undone.sum(axis=0) + 1e-9)
    assert loss.dual > 0
    assert loss.kl < 0
    assert loss.levels[0] == pytest.approx(simultaneous.levels[0] - path.levels[-1, 0])
    # More rounds lose less, and the loss at an earlier step is that of the shorter path.
    longer = sequential_path(oracle, TARGETS, (0, 1, 2), rounds=5)
    assert path_loss(longer, simultaneous).dual < 0.1 * loss.dual
    assert path_loss(longer, simultaneous, step=3).dual == pytest.approx(loss.dual, abs=1e-12)


def test_grow_only_never_lowers_a_weight():
    oracle = ORACLES[Form.PER_PROMPT]
    grow_only_path = sequential_path(oracle, TARGETS, (0, 1, 2), rounds=30, grow_only=True)
    assert np.all(np.diff(grow_only_path.weights, axis=0) >= 0)
    assert np.all(np.diff(grow_only_path.dual) >= -1e-12)
    first = sequential_path(oracle, TARGETS, (0, 1, 2))
    assert grow_only_path.weights[:4] == pytest.approx(first.weights, abs=1e-8)


def test_orders_in_a_batch_equal_separate_paths():
    oracle = ORACLES[Form.PER_PROMPT]
    outcome = compare_orders(oracle, TARGETS, rounds=2)
    assert [path.order for path in outcome.paths] == list(permutations((0, 1, 2)))
    for path, loss in zip(outcome.paths, outcome.losses, strict=True):
        separate = sequential_path(oracle, TARGETS, path.order, rounds=2)
        assert path.weights == pytest.approx(separate.weights, abs=1e-9)
        assert loss.dual >= outcome.losses[outcome.best].dual
        assert loss.dual <= outcome.losses[outcome.worst].dual
    chosen = sequential_paths(oracle, TARGETS, [(1, 0, 2), (2, 0, 1)])
    assert [path.order for path in chosen] == [(1, 0, 2), (2, 0, 1)]


def test_rows_of_targets_in_a_batch_equal_separate_paths():
    oracle = ORACLES[Form.PER_PROMPT]
    rows = np.array([[0.2, 0.3, math.nan, math.nan], [math.nan, math.nan, 0.1, 0.2], [5.0, 0.1, math.nan, math.nan]])
    orders = [(1, 0), (2, 3), (1, 0)]
    for path, row, order in zip(sequential_paths(oracle, rows, orders, rounds=3), rows, orders, strict=True):
        separate = sequential_path(oracle, row, order, rounds=3)
        assert path.status is separate.status
        assert path.weights == pytest.approx(separate.weights, abs=1e-9)
    assert [path.order for path in sequential_paths(oracle, rows)] == [(0, 1), (2, 3), (0, 1)]


def test_orders_beyond_the_limit_are_sampled_by_seed():
    oracle = ORACLES[Form.POOLED]
    targets = np.full(4, 0.1)
    orders = [[p.order for p in compare_orders(oracle, targets, limit=5, seed=s).paths] for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert len(set(orders[0])) == 5


def test_a_value_out_of_reach_by_itself_stops_the_path():
    path = sequential_path(ORACLES[Form.PER_PROMPT], np.array([0.2, 50.0, 0.2, math.nan]), rounds=1000)
    assert path.status is Status.UNBOUNDED
    assert path.steps == 1
    assert path.undone.shape == (1, 4)
    empty = sequential_path(ORACLES[Form.PER_PROMPT], np.array([math.nan, 50.0, math.nan, math.nan]))
    assert empty.steps == empty.rounds == 0
    assert empty.undone.shape == (0, 4)
    compared = compare_orders(ORACLES[Form.PER_PROMPT], np.array([0.2, 50.0, math.nan, math.nan]))
    assert compared.losses == ()
    assert compared.best is compared.worst is None


def test_path_of_targets_that_are_jointly_out_of_reach():
    path = sequential_path(ORACLES[Form.PER_PROMPT], np.array([1.2, 1.2, math.nan, math.nan]), rounds=100_000)
    assert path.status is Status.UNBOUNDED
    assert np.isfinite(path.weights).all()
    assert np.isfinite(path.kl).all()


def test_target_at_the_maximum_and_a_constant_value():
    rewards = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    oracle = MemoryOracle(rewards, np.array([0, 2, 4]), ("a", "same"), Form.PER_PROMPT)
    at_maximum = sequential_path(oracle, np.array([1.0, 0.0]), rounds=5)
    assert at_maximum.levels[-1, 0] == pytest.approx(1.0, abs=1e-8)
    assert np.isfinite(at_maximum.weights).all()
    assert sequential_path(oracle, np.array([math.nan, 0.5])).status is Status.UNBOUNDED


@pytest.mark.parametrize(
    ("targets", "order", "rounds", "message"),
    [
        (TARGETS, (), 1, "order is empty"),
        (TARGETS, (0, 1, 4), 1, "position 4"),
        (TARGETS, (0, 1, 2, 2), 1, "twice"),
        (TARGETS, (0, 1, 2, 3), 1, "positivity without a target"),
        (TARGETS, (0, 1), 1, "leaves out humor"),
        (TARGETS, (0, 1, 2), 0, "rounds is 0"),
        (np.full(4, math.nan), None, 1, "No value has a target"),
        (np.array([0.1, math.inf, 0.1, 0.1]), None, 1, "finite"),
        (np.array([0.1]), None, 1, "4 finite numbers"),
    ],
)
def test_invalid_arguments_are_refused(targets, order, rounds, message):
    with pytest.raises(InputError, match=message):
        sequential_path(ORACLES[Form.PER_PROMPT], targets, order, rounds=rounds)


def test_missing_orders_and_mismatched_rows_are_refused():
    with pytest.raises(InputError, match="list of orders is empty"):
        sequential_paths(ORACLES[Form.PER_PROMPT], TARGETS, [])
    with pytest.raises(InputError, match="2 rows of targets do not fit 3 orders"):
        sequential_paths(ORACLES[Form.PER_PROMPT], np.full((2, 4), 0.1), [(0, 1, 2, 3)] * 3)
    with pytest.raises(InputError, match="1 to 2 targets"):
        sequential_paths(
            ORACLES[Form.PER_PROMPT], np.array([[0.1, math.nan, math.nan, math.nan], [0.1, 0.1] + [math.nan] * 2])
        )
    with pytest.raises(InputError, match="limit is 0"):
        compare_orders(ORACLES[Form.PER_PROMPT], TARGETS, limit=0)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.parquet"
    save(TABLE, path)
    return str(path)


TARGET_OPTIONS = ["--target=helpfulness=+0.3sd", "--target=harmlessness=+0.2sd"]


def test_command_prints_the_path_as_json(table: str, capsys: pytest.CaptureFixture[str]):
    assert main(["sequence", table, *TARGET_OPTIONS, "--order=harmlessness,helpfulness", "--rounds=2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    oracle = ORACLES[Form.PER_PROMPT]
    path = sequential_path(oracle, np.array([0.3, 0.2, math.nan, math.nan]), (1, 0), rounds=2)
    (outcome,) = result["orders"]
    assert outcome["order"] == ["harmlessness", "helpfulness"]
    assert [step["round"] for step in outcome["steps"]] == [1, 1, 2, 2]
    assert list(outcome["weights"].values()) == pytest.approx(path.weights[-1] / oracle.scale)
    assert list(outcome["steps"][0]["levels"].values()) == pytest.approx(oracle.rewards_at(path.levels[1]))
    assert outcome["steps"][1]["undone_sd"]["harmlessness"] == pytest.approx(path.undone[1, 1])
    assert result["simultaneous"]["kl"] == pytest.approx(outcome["kl"] + outcome["loss"]["kl"] * -1)


def test_command_succeeds_for_targets_out_of_reach(table: str, capsys: pytest.CaptureFixture[str]):
    assert main(["sequence", table, "--target=humor=+90sd", "--target=helpfulness=+0.1sd", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["orders"][0]["status"] == "unbounded"
    assert result["orders"][0]["loss"] is result["simultaneous"] is result["best"] is None


@pytest.mark.parametrize(
    ("options", "sentences"),
    [
        (["--rounds=4"], ["After 4 rounds", "round   2  harmlessness", "all at once"]),
        (["--all-orders"], ["2 orders", "best order", "worst order"]),
        (["--rounds=400", "--grow-only"], ["more steps"]),
    ],
)
def test_command_prints_sentences(
    table: str, capsys: pytest.CaptureFixture[str], options: list[str], sentences: list[str]
):
    assert main(["sequence", table, *TARGET_OPTIONS, *options]) == 0
    output = capsys.readouterr().out
    assert all(words in output for words in sentences), output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--order=helpfulness"], "leaves out harmlessness"),
        (["--order=helpfulness,charm"], "charm"),
        (["--order=,"], "order is empty"),
        (["--rounds=0"], "--rounds"),
        (["--order=helpfulness,harmlessness", "--all-orders"], "either"),
    ],
)
def test_command_refuses_invalid_options(
    table: str, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert main(["sequence", table, *TARGET_OPTIONS, *options]) == 2
    assert message in capsys.readouterr().err


@settings(max_examples=150)
@given(
    prompts=st.integers(1, 5),
    candidates=st.integers(2, 6),
    values=st.integers(1, 4),
    exponent=st.integers(-9, 9),
    digits=st.integers(0, 3),
    share=st.floats(-1.0, 3.0),
    seed=st.integers(0, 1000),
)
def test_paths_on_odd_tables_are_finite_and_never_end_in_a_wrong_verdict(
    prompts: int, candidates: int, values: int, exponent: int, digits: int, share: float, seed: int
):
    """Ties, constant values, any scale, targets within and out of reach: the dual rises and the status is right."""
    rng = np.random.default_rng(seed)
    rewards = np.round(rng.normal(size=(prompts * candidates, values)), digits) * 10.0**exponent
    names = tuple("abcd"[:values])
    oracle = MemoryOracle(rewards, np.arange(prompts + 1) * candidates, names, Form.PER_PROMPT)
    targets = share * rng.uniform(0, 1, values)
    path = sequential_path(oracle, targets, rng.permutation(values), rounds=20)
    assert np.isfinite(path.weights).all()
    assert np.isfinite(path.levels).all()
    assert np.isfinite(path.kl).all()
    assert np.all(path.weights >= 0)
    assert np.all(np.diff(path.dual) >= -1e-9)
    certificate = margin(oracle, targets)
    if path.status is Status.CONVERGED:
        assert certificate.value >= -1e-8
        assert np.all(path.levels[-1] >= targets - 1e-8)
    if path.status is Status.UNBOUNDED:
        assert not certificate.attainable
