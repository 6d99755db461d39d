"""Tests of common palettes: by hand, against a conic solver, concessions, clashes, and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from map_core.cli import main
from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.feasibility import margin
from map_core.groups import (
    BindingLimit,
    Group,
    Relation,
    clashes,
    concessions,
    joint_targets,
    max_min,
    nash,
    satisfaction,
    satisfaction_alone,
    use_case_verdicts,
)
from map_core.groups.common import is_met
from map_core.oracle import MemoryOracle
from map_core.solver.newton import solve
from tests.lazy import LazyModule
from tests.tables import USE_CASES, make_table

cp = LazyModule("cvxpy")
NAN = np.nan


def coins(size: int = 2) -> MemoryOracle:
    """Return one prompt whose replies have all combinations of signs: independent values with base 0 and scale 1."""
    rewards = np.array(list(product((-1.0, 1.0), repeat=size)))
    return MemoryOracle(rewards, [0, len(rewards)], tuple(f"v{j}" for j in range(size)), Form.PER_PROMPT)


def nats(level: float) -> float:
    """Return the cost of a level of one sign: p log 2p + (1 - p) log 2(1 - p) with p = (1 + level) / 2."""
    return 0.5 * ((1 + level) * math.log1p(level) + (1 - level) * math.log1p(-level))


def test_two_groups_by_hand():
    """Two groups raise one independent value each, so costs add: a common share u costs k(0.8 u) + k(0.4 u)."""
    oracle = coins()
    groups = [Group("a", np.array([0.8, NAN])), Group("b", np.array([NAN, 0.4]))]
    result = max_min(oracle, groups, nats(0.4) + nats(0.2))
    np.testing.assert_allclose(result.satisfaction, [0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(result.solution.weights, np.arctanh([0.4, 0.2]), atol=1e-8)
    assert result.limit is BindingLimit.BUDGET
    # The Nash bargain is scale-free: both values rise equally, whatever their targets are.
    bargain = nash(oracle, groups, 2 * nats(0.3))
    np.testing.assert_allclose(bargain.solution.levels, [0.3, 0.3], atol=1e-9)
    np.testing.assert_allclose(bargain.satisfaction, [0.375, 0.75], atol=1e-9)
    assert bargain.gap < 1e-9
    # Once one group is fully satisfied, the rest of the budget goes to the other.
    bargain = nash(oracle, groups, nats(0.4) + nats(0.6))
    np.testing.assert_allclose(bargain.solution.levels, [0.6, 0.4], atol=1e-9)
    # Alone, either group would have been fully satisfied.
    first, second = concessions(groups, result, satisfaction_alone(oracle, groups, result.budget))
    most = brentq(lambda level: nats(level) - nats(0.4) - nats(0.2), 0, 0.99) / 0.8
    assert first.alone == pytest.approx(most, abs=1e-9)
    assert second.alone == 1.0
    assert second.lost == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(first.short, [0.4, NAN], atol=1e-9)


def test_importance_by_hand():
    """Twice the importance doubles the share; and in the bargain 2 / (a k'(a)) = 1 / (b k'(b)) with k' = artanh."""
    oracle = coins()
    groups = [Group("a", np.array([0.8, NAN]), importance=6.0), Group("b", np.array([NAN, 0.8]), importance=3.0)]
    result = max_min(oracle, groups, nats(0.4) + nats(0.2))
    np.testing.assert_allclose(result.satisfaction, [0.5, 0.25], atol=1e-9)
    bargain = nash(oracle, groups, 0.2)
    a, b = bargain.solution.levels
    assert nats(a) + nats(b) == pytest.approx(0.2, abs=1e-9)
    assert 2 / (a * math.atanh(a)) == pytest.approx(1 / (b * math.atanh(b)), rel=1e-6)


def test_extreme_budgets_and_opposed_groups():
    oracle = coins()
    easy = [Group("a", np.array([0.3, NAN])), Group("b", np.array([-0.2, 0.2]))]
    for result in (max_min(oracle, easy), nash(oracle, easy)):
        assert result.limit is BindingLimit.NONE
        np.testing.assert_allclose(result.satisfaction, 1.0, atol=1e-9)
        np.testing.assert_allclose(result.solution.levels, [0.3, 0.2], atol=1e-9)
    for result in (max_min(oracle, easy, 0.0), nash(oracle, easy, 0.0)):
        assert result.limit is BindingLimit.BUDGET
        assert result.solution.kl == 0
    # The two want opposite things, so only the base model is common to both.
    line = MemoryOracle([[-1.0, 1.0], [1.0, -1.0]], [0, 2], ("v", "w"), Form.PER_PROMPT)
    opposed = [Group("a", np.array([0.6, NAN])), Group("b", np.array([NAN, 0.6]))]
    assert max_min(line, opposed).limit is BindingLimit.REACH
    assert max_min(line, opposed).satisfaction.max() < 1e-6
    assert nash(line, opposed).gap == math.inf


def test_levels_at_base_are_kept():
    """A target at base is a constraint: the cheapest solution, which would lower that level, is not chosen."""
    oracle = MemoryOracle.of(make_table(correlation=-0.8))
    up, keeps = Group("up", np.array([1.0, NAN, NAN, NAN])), Group("keeps", np.array([NAN, -0.1, NAN, NAN]))
    assert max_min(oracle, [up], 0.3).solution.levels[1] < -0.2
    for method in (max_min, nash):
        result = method(oracle, [up, keeps], 0.3)
        assert result.solution.levels[1] == pytest.approx(-0.1, abs=1e-8)
        assert result.satisfaction[1] == 1.0


def test_satisfaction_in_its_units():
    groups = [
        Group("a", np.array([2.0, 1.0, NAN])),
        Group("b", np.array([0.0, NAN, -0.5])),
        Group("c", np.full(3, NAN)),
    ]
    np.testing.assert_allclose(satisfaction(groups, np.array([1.0, 2.0, 0.0])), [0.5, 1, 1])
    np.testing.assert_allclose(satisfaction(groups, np.zeros(3)), [0, 1, 1])
    np.testing.assert_allclose(satisfaction(groups, np.array([-1.0, 0.0, -0.75])), [-0.5, -1, 1])
    np.testing.assert_allclose(joint_targets(groups), [2, 1, -0.5])
    np.testing.assert_allclose(joint_targets(groups, np.array([[0.5, 1, 1]])), [[1, 0.5, -0.5]])


def conic(table: RewardTable, oracle: MemoryOracle, groups: list[Group], budget: float, bargain: bool) -> np.ndarray:
    """Return the satisfactions that a conic solver finds over the probabilities of all replies."""
    z, counts = oracle.standardise(table.rewards).T, table.candidates
    share = np.repeat(1 / (counts * oracle.prompts), counts) if oracle.form is Form.PER_PROMPT else 1 / z.shape[1]
    base = np.broadcast_to(share, z.shape[1])
    p, s, u = cp.Variable(z.shape[1], nonneg=True), cp.Variable(len(groups)), cp.Variable()
    levels = z @ p
    rules = [cp.sum(cp.rel_entr(p, base)) <= budget, s <= 1]
    if oracle.form is Form.PER_PROMPT:
        starts = np.concatenate([[0], np.cumsum(counts)])
        rules += [cp.sum(p[a:b]) == 1 / oracle.prompts for a, b in pairwise(starts)]
    else:
        rules += [cp.sum(p) == 1]
    for g, group in enumerate(groups):
        for j in np.flatnonzero(~np.isnan(group.targets)):
            d = group.targets[j]
            rules.append(levels[j] >= (s[g] * d if d > 0 else d))
    if bargain:
        goal = sum(group.importance * cp.log(s[g]) for g, group in enumerate(groups))
    else:
        least = min(group.importance for group in groups)
        rules += [s[g] * least / group.importance >= u for g, group in enumerate(groups)]
        goal = u
    cp.Problem(cp.Maximize(goal), rules).solve(solver=cp.CLARABEL)
    return satisfaction(groups, levels.value)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("seed", range(4))
def test_satisfactions_agree_with_a_conic_solver(form: Form, seed: int):
    rng = np.random.default_rng(seed)
    table = make_table(prompts=5, candidates=7, seed=seed)
    oracle = MemoryOracle.of(table, form)
    groups = []
    for g in range(3):
        targets = np.where(rng.random(4) < 0.5, rng.uniform(-0.2, 1.5, 4), NAN)
        targets[g] = rng.uniform(0.5, 1.5)
        groups.append(Group(f"g{g}", targets, importance=rng.uniform(1, 1.5)))
    budget = rng.uniform(0.05, 0.5)
    fairest, bargain = max_min(oracle, groups, budget), nash(oracle, groups, budget)
    importance = np.array([group.importance for group in groups])
    assert fairest.satisfaction.max() < 1  # so that no cap binds and the conic program is the same
    expected = conic(table, oracle, groups, budget, bargain=False)
    assert (fairest.satisfaction / importance).min() == pytest.approx((expected / importance).min(), abs=2e-6)
    assert (fairest.satisfaction / importance).min() >= (expected / importance).min() - 1e-7
    expected = conic(table, oracle, groups, budget, bargain=True)
    assert importance @ np.log(bargain.satisfaction) == pytest.approx(importance @ np.log(expected), abs=1e-5)
    assert bargain.gap < 1e-8
    for result in (fairest, bargain):
        assert result.solution.kl == pytest.approx(budget, abs=1e-8)
    # Each solution is the best by its own objective.
    assert (bargain.satisfaction / importance).min() <= (fairest.satisfaction / importance).min() + 1e-8
    assert importance @ np.log(fairest.satisfaction) <= importance @ np.log(bargain.satisfaction) + 1e-8


@pytest.mark.parametrize("budget", [0.05, 0.4, 1.5, 2.7])
def test_satisfaction_alone_spends_the_budget(budget: float):
    """The result costs at most the budget; slightly more costs more or is not attainable."""
    oracle = MemoryOracle.of(make_table(prompts=6, candidates=16, seed=2, correlation=-0.8))
    rng = np.random.default_rng(1)
    groups = [Group(f"g{k}", np.where(rng.random(4) < 0.6, rng.uniform(-0.3, 2.5, 4), NAN)) for k in range(12)]
    for group, share in zip(groups, satisfaction_alone(oracle, groups, budget), strict=True):
        fits, dear = (solve(oracle, joint_targets([group], np.array([u]))) for u in (share - 1e-8, share + 1e-6))
        assert is_met(fits)
        assert fits.kl <= budget + 1e-9
        assert share == 1.0 or not is_met(dear) or dear.kl > budget


def test_clashes_are_certified():
    oracle = coins(3)
    groups = [
        Group("a", np.array([0.7, NAN, NAN])),
        Group("b", np.array([NAN, 0.7, NAN])),
        Group("c", np.array([NAN, NAN, 1.5])),
    ]
    budget = 1.5 * nats(0.7)
    result = {(pair.first, pair.second): pair for pair in clashes(oracle, groups, budget)}
    assert result[0, 1].relation is Relation.TOO_DEAR
    assert result[0, 1].kl == pytest.approx(2 * nats(0.7), abs=1e-9)
    assert result[0, 2].relation is result[1, 2].relation is Relation.ALONE
    assert clashes(oracle, groups[:2])[0].relation is Relation.TOGETHER
    assert clashes(oracle, groups[:1]) == ()

    against = MemoryOracle.of(make_table(correlation=-0.9))
    pair = [Group("a", np.array([0.7, NAN, NAN, -0.5])), Group("b", np.array([0.05, 0.7, NAN, NAN]))]
    (clash,) = clashes(against, pair)
    assert clash.relation is Relation.CLASH
    assert clash.margin is not None
    assert clash.margin.value == pytest.approx(margin(against, joint_targets(pair)).value, abs=1e-9)
    assert set(clash.values) == {0, 1}
    assert dict(zip(clash.values, clash.asked_by, strict=True)) == {0: 0, 1: 1}


def test_each_use_case_is_judged_in_its_own_units():
    table = make_table(prompts=20, candidates=16)
    oracle = MemoryOracle.of(table)
    groups = [Group("a", np.array([0.4, NAN, NAN, NAN])), Group("b", np.array([NAN, NAN, 9.0, NAN]))]
    common = max_min(oracle, groups, 0.3)
    cases = use_case_verdicts(table, oracle, groups, common)
    assert [case.use_case for case in cases] == [None, *USE_CASES]
    assert [case.prompts for case in cases] == [20, 10, 10]
    np.testing.assert_allclose(cases[0].levels, oracle.rewards_at(common.solution.levels), atol=1e-12)
    # The levels over all prompts are the mean of both halves at the same weights.
    np.testing.assert_allclose((cases[1].levels + cases[2].levels) / 2, cases[0].levels, atol=1e-10)
    assert all(case.groups[1] is not None and case.groups[1].verdict is Verdict.OUT_OF_REACH for case in cases)
    # A use case with a single reply per prompt cannot be assessed per prompt, and says so.
    counts = np.array([4, 4, 1, 1])
    ragged = RewardTable(
        ("v",), np.random.default_rng(0).normal(size=(10, 1)), np.concatenate([[0], np.cumsum(counts)]),
        tuple("abcd"), tuple("abcd"), ("x", "x", "y", "y"),
    )  # fmt: skip
    ragged_oracle = MemoryOracle.of(ragged, Form.PER_PROMPT)
    lone_group = [Group("a", np.array([0.2]))]
    *_, last = use_case_verdicts(ragged, ragged_oracle, lone_group, max_min(ragged_oracle, lone_group, 0.5))
    assert last.common is None
    assert "pooled form" in last.why_not
    # The same holds where all its prompts are held out.
    away = replace(table, held_out=np.array([name == USE_CASES[1] for name in table.use_cases]))
    oracle = MemoryOracle.of(away)
    _, first, last = use_case_verdicts(away, oracle, groups, max_min(oracle, groups, 0.3))
    assert first.common is not None
    assert (last.common, last.prompts) == (None, 10)
    assert "held out" in last.why_not


@pytest.mark.parametrize(
    ("groups", "budget", "message"),
    [
        ([], 1.0, "no groups"),
        ([Group("a", np.zeros(2)), Group("a", np.zeros(2))], 1.0, "Two groups are called 'a'"),
        ([Group("a", np.zeros(3))], 1.0, "'a' has 3 targets; expected 2"),
        ([Group("a", np.array([0.0, 1.0]))], 1.0, "asks for more flat, which is the same for every reply"),
        ([Group("a", np.array([1.0, NAN]))], -1.0, "The budget is -1.0 nats"),
        ([Group("a", np.array([1.0, NAN]))], NAN, "The budget is nan nats"),
    ],
)
def test_bad_groups_are_refused(groups: list[Group], budget: float, message: str):
    oracle = MemoryOracle([[0.0, 1.0], [1.0, 1.0]], [0, 2], ("v", "flat"), Form.PER_PROMPT)
    for method in (max_min, nash, clashes):
        with pytest.raises(InputError, match=message):
            method(oracle, groups, budget)


@pytest.mark.parametrize("importance", [0.0, -1.0, NAN, math.inf])
def test_bad_importance_is_refused(importance: float):
    with pytest.raises(InputError, match="The importance of 'a' is"):
        Group("a", np.zeros(1), importance)


def strict(line: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(line, parse_constant=refuse)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    save(make_table(prompts=20, candidates=32), tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def write(folder: Path, *records: dict) -> str:
    (folder / "groups.jsonl").write_text("\n".join(map(json.dumps, records)))
    return str(folder / "groups.jsonl")


def test_command(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = write(
        tmp_path,
        {"name": "clinicians", "targets": {"helpfulness": "+1.5sd", "humor": "-0.1sd"}, "importance": 2},
        {"name": "patients", "targets": {"harmlessness": "p95"}},
        {"targets": {"humor": "p60"}},
    )
    arguments = ["groups", str(table), "--targets-file", file, "--budget", "0.8", "--nash", "--use-cases"]
    assert main([*arguments, "--json"]) == 0
    result = strict(capsys.readouterr().out)
    assert [group["name"] for group in result["groups"]] == ["clinicians", "patients", "group 3"]
    assert result["common"]["kl"] == pytest.approx(0.8, abs=1e-6)
    shares = [group["satisfaction"] for group in result["common"]["groups"]]
    assert shares[0] == pytest.approx(2 * shares[1], abs=1e-6)
    for group in result["nash"]["groups"]:
        assert group["gives_up"] == pytest.approx(max(0.0, group["alone"] - group["satisfaction"]))
        for name, missing in group["short"].items():
            scale = MemoryOracle.of(make_table(prompts=20, candidates=32)).scale[make_table().index(name)]
            assert missing == pytest.approx(group["short_sd"][name] * scale)
    assert {tuple(pair["groups"]) for pair in result["pairs"]} >= {("clinicians", "patients")}
    assert [case["use_case"] for case in result["use_cases"]] == [None, *USE_CASES]
    # The printed weights give the printed levels.
    pairs = [f"--target={name}={level!r}" for name, level in result["common"]["targets"].items()]
    assert main(["solve", str(table), *pairs, "--json"]) == 0
    assert strict(capsys.readouterr().out)["weights"] == pytest.approx(result["common"]["weights"], abs=1e-6)

    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for phrase in ("Most equal", "Best overall compromise", "clinicians", "the budget allows no more", "Stories"):
        assert phrase in printed


def test_groups_without_targets_and_infinite_budgets(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = write(tmp_path, {"name": "nobody", "targets": {}}, {"name": "below", "targets": {"humor": "-1sd"}})
    for extra in ([], ["--budget", "inf"], ["--budget", "0"], ["--nash", "--use-cases"]):
        assert main(["groups", str(table), "--targets-file", file, *extra, "--json"]) == 0
        result = strict(capsys.readouterr().out)
        assert result["common"]["kl"] == 0
        assert [group["satisfaction"] for group in result["common"]["groups"]] == [1, 1]
        assert main(["groups", str(table), "--targets-file", file, *extra]) == 0
        assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("record", "extra", "message"),
    [
        ({"targets": {"humor": 1}, "importance": "high"}, [], "The importance of 'group 1' is 'high'"),
        ({"targets": {"humor": 1}, "importance": 0}, [], "expected a number above 0"),
        ({"targets": {"humor": 1}, "name": 3}, [], "The name of group 1 is 3"),
        ({"targets": {"humour": 1}}, [], "Unknown value 'humour'"),
        ({"targets": {"humor": 1}}, ["--budget", "-1"], "The budget is -1.0"),
        ({"targets": {"humor": 1}}, ["--compare", "x.parquet", "--nash"], "--compare goes without"),
    ],
)
def test_usage_errors(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], record: dict, extra: list[str], message: str
):
    assert main(["groups", str(table), "--targets-file", write(tmp_path, record), *extra]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
