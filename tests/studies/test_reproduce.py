"""Tests of the published experiments: the published solver on two replies, the protocol, the command, the figure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.cli import main
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility import margin
from map_core.figures.study import study_figure
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from map_core.studies.reproduce import PAPER, ReproductionStudy, published_solver, random_palettes, reproduce
from tests.tables import make_table

TABLE = make_table(prompts=16, candidates=12, seed=2)
FORMS = list(Form)


@pytest.fixture(scope="module")
def study() -> ReproductionStudy:
    return reproduce(TABLE, palettes=12, seed=3)


def adam_by_hand(level: float, steps: int) -> float:
    """Return the weight that Adam on tau reaches for rewards 0 and 1 and target ``level``.

    The gradient is lambda (logistic(lambda) - level).
    """
    tau = first = second = 0.0
    for step in range(1, steps):
        weight = math.exp(tau)
        gradient = weight * (1.0 / (1.0 + math.exp(-weight)) - level)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        tau -= 0.1 * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return math.exp(tau)


def test_the_published_solver_on_two_replies_by_hand():
    rewards, offsets = np.array([[0.0], [1.0]]), np.array([0, 2])
    for steps in (1, 2, 5, 150):
        outcome = published_solver(rewards, offsets, np.array([[0.9]]), steps=steps)
        assert outcome.weights[0, 0] == pytest.approx(adam_by_hand(0.9, steps), rel=1e-4)
        assert outcome.solved.tolist() == [True]
    # logistic(lambda) = 0.9
    assert outcome.weights[0, 0] == pytest.approx(math.log(9.0), abs=0.01)


def test_solved_depends_on_overflow():
    """Weights diverge for a target above every reply; whether that is detected depends on the zero of the rewards."""
    offsets, rewards = np.array([0, 2]), np.array([[0.0], [1.0]])
    above_zero = published_solver(rewards, offsets, np.array([[1.5]]))
    below_zero = published_solver(rewards - 1.0, offsets, np.array([[0.5]]))
    assert above_zero.weights == pytest.approx(below_zero.weights, rel=1e-3)
    assert above_zero.weights[0, 0] > 1e5
    assert above_zero.solved.tolist() == [False]
    assert below_zero.solved.tolist() == [True]
    # An attainable target counts as unsolved where rewards are large: exp(100) overflows float32.
    assert published_solver(rewards + 100.0, offsets, np.array([[100.6]])).solved.tolist() == [False]
    assert published_solver(rewards - 110.0, offsets, np.array([[-109.4]])).solved.tolist() == [False]


@pytest.mark.parametrize("form", FORMS)
def test_the_published_steps_come_close_on_easy_targets(form: Form):
    oracle = MemoryOracle.of(TABLE, form)
    d = np.array([[0.1, 0.1, math.nan, math.nan], [0.2, 0.05, 0.1, 0.1]])
    outcome = published_solver(TABLE.rewards, TABLE.offsets, oracle.rewards_at(d), form=form)
    assert outcome.solved.all()
    assert np.all(outcome.weights[0, 2:] == 0)
    for target, weights in zip(d, outcome.weights * oracle.scale, strict=True):
        exact, moments = solve(oracle, target), oracle.moments(weights)
        gap = exact.kl - (weights @ np.nan_to_num(target) - moments.log_normaliser)
        assert 1e-9 < gap < 0.01


def test_rows_and_prompts_of_unequal_size_do_not_affect_each_other():
    uneven_offsets = np.array([0, 3, 4, 16, 192])
    targets = TABLE.rewards.mean(axis=0) + np.random.default_rng(0).uniform(0, 0.4, (5, 4))
    for form in FORMS:
        together = published_solver(TABLE.rewards, uneven_offsets, targets, form=form)
        for row, target in enumerate(targets):
            alone = published_solver(TABLE.rewards, uneven_offsets, target, form=form)
            assert together.weights[row] == pytest.approx(alone.weights[0], rel=1e-3)
    # The padding of short prompts has no effect: with enough steps the weights are the exact ones.
    oracle = MemoryOracle(TABLE.rewards, uneven_offsets, TABLE.values, Form.PER_PROMPT)
    d = np.array([0.3, math.nan, 0.2, math.nan])
    outcome = published_solver(TABLE.rewards, uneven_offsets, oracle.rewards_at(d), form=Form.PER_PROMPT, steps=2000)
    assert outcome.weights[0] * oracle.scale == pytest.approx(solve(oracle, d).weights, abs=1e-4)


def test_palettes_lie_above_the_base_model_and_follow_the_seed():
    oracle = MemoryOracle.of(TABLE)
    palettes = random_palettes(TABLE, oracle, 2, 100, values=[0, 2, 3], highest=0.8, seed=1)
    assert np.all(np.sum(~np.isnan(palettes), axis=1) == 2)
    assert np.isnan(palettes[:, 1]).all()
    highest_levels = np.quantile(TABLE.rewards, 0.8, axis=0)
    free = np.isnan(palettes)
    assert np.all(free | ((palettes >= oracle.base) & (palettes <= highest_levels + 1e-9)))
    assert np.array_equal(palettes, random_palettes(TABLE, oracle, 2, 100, values=[0, 2, 3], highest=0.8, seed=1), True)
    other_palettes = random_palettes(TABLE, oracle, 2, 100, values=[0, 2, 3], highest=0.8, seed=2)
    assert not np.array_equal(palettes, other_palettes, True)


def test_the_reachable_share_is_that_of_the_certificates(study: ReproductionStudy):
    oracle = MemoryOracle.of(TABLE)
    for size in study.sizes:
        levels = random_palettes(TABLE, oracle, size.values, 12, seed=[3, size.values])
        attainable = [margin(oracle, d).attainable for d in oracle.standardise(levels)]
        assert size.reachable == pytest.approx(np.mean(attainable))


def test_the_study_has_one_row_per_number_of_values(study: ReproductionStudy):
    assert [size.values for size in study.sizes] == [1, 2, 3, 4]
    assert study.protocol.values == TABLE.values
    assert study.protocol.form is Form.PER_PROMPT
    for size in study.sizes:
        assert size.converged == 1.0
        assert size.our_missed == 0.0
        assert size.our_improves == 1.0
        assert size.residual < 1e-8
        assert size.our_ms > 0
        assert size.published_ms > 0
        shares = [size.published_solved, size.random_meets, size.random_improves, size.one_round_missed]
        assert all(0 <= share <= 1 for share in shares)
        assert size.rounds_short <= size.one_round_short + 1e-9
    assert study.sizes[0].one_round_missed == 0.0
    # Weights of the pooled form, used per prompt, fall short of their targets.
    assert study.sizes[0].pooled_missed > 0.5


def test_the_sequential_example_ends_at_its_quantile(study: ReproductionStudy):
    rounds = study.rounds
    assert rounds.values == TABLE.values[:3]
    assert rounds.together == pytest.approx([rounds.quantile] * 3, abs=0.01)
    shortfalls = [max(rounds.quantile - reached for reached in row) for row in (rounds.one_round, rounds.five_rounds)]
    assert shortfalls[0] > 0.02
    assert shortfalls[1] < 0.5 * shortfalls[0]


def test_the_same_seed_gives_the_same_study():
    first, repeated, other_seed = (reproduce(TABLE, values=[2, 0], palettes=6, seed=seed) for seed in (5, 5, 6))

    def without_times(study: ReproductionStudy) -> tuple:
        return tuple(replace(size, our_ms=0.0, published_ms=0.0) for size in study.sizes)

    assert without_times(first) == without_times(repeated) != without_times(other_seed)
    assert first.protocol.values == ("humor", "helpfulness")
    assert first.rounds == repeated.rounds


def test_palettes_out_of_reach_are_not_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Each prompt has two replies that trade one value for the other: pairs above the base are not attainable."""
    names = tuple(f"p{i}" for i in range(6))
    rewards = np.tile([[0.0, 1.0], [1.0, 0.0]], (6, 1))
    table = RewardTable(("kind", "funny"), rewards, np.arange(7) * 2, names, names, ("All",) * 6, ("a", "b") * 6)
    outcome = reproduce(table, palettes=4)
    assert outcome.rounds is None
    assert math.isnan(outcome.sizes[1].our_missed)
    path = tmp_path / "table.parquet"
    save(table, path)
    assert main(["reproduce", str(path), "--palettes=4", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"][1]["our_missed"] is None
    assert main(["reproduce", str(path), "--palettes=4", "--quiet"]) == 0
    study_figure(outcome)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"values": [0, 9]}, "from 0 to 3"),
        ({"values": [1, 1]}, "different positions"),
        ({"values": []}, "different positions"),
        ({"palettes": 0}, "palettes is 0"),
        ({"highest": 1.5}, "highest is 1.5"),
        ({"highest": math.nan}, "highest is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings, message):
    with pytest.raises(InputError, match=message):
        reproduce(TABLE, **settings)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "table.parquet"
    save(TABLE, path)
    return str(path)


def test_the_command_prints_text_and_json_and_writes_a_figure(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--palettes=3", "--values=humor,helpfulness"]
    figure_path = tmp_path / "study.html"
    assert main(["reproduce", table, *options, f"--figure={figure_path}"]) == 0
    out, err = capsys.readouterr()
    assert "Reachable, proven" in out
    assert re.search(r"in the paper, on its tables +96\.8% +94\.6%\n", out)
    assert "0.663 0.437 0.700" in out
    assert "0 of 3 parts done; 3 palettes of 1 value" in err
    assert "plotly" in figure_path.read_text(encoding="utf-8")
    assert main(["reproduce", table, *options, "--form=pooled", "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    result = json.loads(out, parse_constant=refuse)
    assert result["protocol"]["form"] == "pooled"
    assert result["protocol"]["values"] == ["humor", "helpfulness"]
    assert [size["values"] for size in result["sizes"]] == [1, 2]
    assert result["paper"]["feasible"] == list(PAPER.feasible)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--values=humor,charm"], "charm"),
        (["--values=humor,humor"], "different positions"),
        (["--palettes=0"], "--palettes"),
        (["--highest=0"], "--highest"),
        (["--seed=-1"], "--seed"),
        (["--figure=/nowhere/at/all.html"], "no folder"),
    ],
)
def test_the_command_refuses_bad_options(
    table: str, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert main(["reproduce", table, *options]) == 2
    assert message in capsys.readouterr().err


def test_an_interrupt_is_reported(table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("map_core.cli.reproduce.run_study", interrupt)
    assert main(["reproduce", table]) == 1
    assert "Stopped." in capsys.readouterr().err


def test_the_figure_shows_the_rows_of_the_study(study: ReproductionStudy):
    figure = study_figure(study)
    traces = {(trace.xaxis, trace.name): trace for trace in figure.data}
    assert list(traces["x", "reachable, proven"].y) == [size.reachable for size in study.sizes]
    assert list(traces["x2", "published steps"].y) == [size.safe_missed for size in study.sizes]
    assert list(traces["x2", "random weights"].y) == [1 - size.random_meets for size in study.sizes]
    assert list(traces["x3", "this solver"].y) == [size.our_ms for size in study.sizes]
    assert list(traces["x", "solved, in the paper"].y) == list(PAPER.feasible[:4])
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert list(bars["one round"].y) == list(study.rounds.one_round)
