"""Tests of shares and cohorts as columns: a case by hand, other solvers, laws, ties and empty sets, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.core.types import Form, Verdict
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import assess, margin
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.target_columns import cohorts_of, with_cohort_floors, with_target_columns
from map_core.palettes.targets import resolve
from map_core.solver.newton import Status, solve
from tests.lazy import LazyModule
from tests.linear_program import full_margin
from tests.tables import USE_CASES, make_table

cvxpy = LazyModule("cvxpy")


def table_from_rewards(
    rewards: Any, counts: list[int], use_cases: tuple[str, ...] | None = None, **fields: Any
) -> RewardTable:
    """Return a table with these rewards of one value or several."""
    rewards = np.asarray(rewards, dtype=float).reshape(sum(counts), -1)
    ids = tuple(f"p{i}" for i in range(len(counts)))
    return RewardTable(
        values=("humor", "kindness", "calm")[: rewards.shape[1]],
        rewards=rewards,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        prompt_ids=ids,
        prompts=ids,
        use_cases=use_cases or ("all",) * len(counts),
        **fields,
    )


def with_targets(
    table: RewardTable, targets: dict[str, Any], form: Form | None = None
) -> tuple[RewardTable, Oracle, np.ndarray]:
    wider, oracle, (named,) = with_target_columns(table, MemoryOracle.of(table, form), [targets])
    return wider, oracle, oracle.standardise(resolve(named, wider, oracle))


def test_a_share_by_hand():
    # Two of four replies reach 1, and the target is three quarters: the odds are multiplied by 3.
    table, oracle, targets = with_targets(table_from_rewards([0.0, 0.5, 1.0, 2.0], [4]), {"humor>=1": 0.75})
    solution = solve(oracle, targets)
    assert table.values == ("humor", "humor>=1")
    assert solution.weights / oracle.scale == pytest.approx([0.0, np.log(3.0)])
    assert solution.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert oracle.rewards_at(solution.levels)[1] == pytest.approx(0.75)


@pytest.mark.parametrize("counts", [[2, 1, 4, 3, 3], [2, 2, 2, 4, 5]])
@pytest.mark.parametrize("name", ["humor>=0", "humor<0", "humor>=0@a"])
def test_a_share_of_all_replies_is_exact_however_its_sum_is_rounded(counts: list[int], name: str):
    _, _, targets = with_targets(table_from_rewards(np.ones(sum(counts)), counts, ("a",) * 5), {name: "+0sd"})
    assert targets[1] == pytest.approx(0.0)


def test_a_target_of_a_cohort_overrides_the_floor_at_its_base():
    table = table_from_rewards([0.0, 1.0, 0.0, 1.0], [2, 2], ("a", "b"))
    expanded = with_cohort_floors({"humor": 0.6, "humor@*": 0.7}, "use_case", table)
    assert expanded == {"humor": 0.6, "humor@a": 0.7, "humor@b": 0.7}
    with_floor = with_cohort_floors({"humor>=1": 0.6, "humor<1@a": 0.3}, "use_case", table)
    assert with_floor == {"humor>=1": 0.6, "humor<1@a": 0.3, "humor>=1@b": "+0sd"}
    _, oracle, targets = with_targets(table, with_floor)
    assert oracle.rewards_at(targets)[1:].tolist() == pytest.approx([0.5, 0.6, 0.7])


def test_cohorts_by_hand():
    # Cohort a needs odds of 3; the overall target is then met below the base level of b, whose weight is 0.
    table = table_from_rewards([0.0, 1.0, 0.0, 1.0], [2, 2], ("a", "b"))
    wider, oracle, targets = with_targets(table, {"humor": 0.6, "humor@a": 0.75})
    solution = solve(oracle, targets)
    overall, in_cohort = solution.weights / oracle.scale
    assert overall == pytest.approx(0.0, abs=1e-9)
    assert wider.derived[0].share == 0.5
    assert in_cohort / wider.derived[0].share == pytest.approx(np.log(3.0))
    assert solution.kl == pytest.approx(0.5 * (np.log(2.0) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


TARGETS: list[dict[str, Any]] = [
    {"humor>=p40": 0.8, "helpfulness": "+0.2sd"},
    {"humor<p20": "5%", "harmlessness>=p50": 0.55, "positivity": "+0.1sd"},
    {f"humor@{USE_CASES[0]}": "+0.3sd", f"humor@{USE_CASES[1]}": "+0sd", "helpfulness": "+0.3sd"},
    {f"humor>=p30@{USE_CASES[1]}": 0.9, "humor>=p30": 0.8, "min(positivity,3)": "+0.05sd"},
]


@pytest.mark.parametrize("targets", TARGETS, ids=range(len(TARGETS)))
def test_a_conic_solver_of_the_primal_problem_agrees(targets: dict[str, Any]):
    table = make_table(prompts=6, candidates=8, seed=3)
    wider, oracle, d = with_targets(table, targets)
    solution = solve(oracle, d)
    assert solution.status is Status.CONVERGED
    # Stated with rewards only: the least mean KL of probabilities per prompt, with targets for means of transforms.
    p = cvxpy.Variable((6, 8), nonneg=True)
    constraints = [cvxpy.sum(p, axis=1) == 1]
    for column, level in zip(wider.derived, oracle.rewards_at(d)[len(table.values) :], strict=True):
        phi = column.transform(table.rewards[:, table.index(column.value)]).reshape(6, 8)
        members = [i for i in range(6) if column.cohort is None or table.use_cases[i] == column.cohort.entry]
        constraints.append(cvxpy.sum(cvxpy.multiply(p[members], phi[members])) / len(members) >= level)
    for j, level in enumerate(oracle.rewards_at(d)[: len(table.values)]):
        if not np.isnan(level):
            constraints.append(cvxpy.sum(cvxpy.multiply(p, table.rewards[:, j].reshape(6, 8))) / 6 >= level)
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.kl_div(p, np.full((6, 8), 1 / 8))) / 6), constraints)
    problem.solve(solver=cvxpy.CLARABEL)
    assert solution.kl == pytest.approx(problem.value, abs=1e-6)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("targets", [*TARGETS, {"humor>=p90": 0.99, "helpfulness>=p90": 0.99}], ids=range(5))
def test_the_margin_is_that_of_the_full_linear_program(targets: dict[str, Any], form: Form):
    wider, oracle, d = with_targets(make_table(prompts=6, candidates=8, seed=3), targets, form)
    z = oracle.standardise(wider.rewards)
    assert margin(oracle, d).value == pytest.approx(full_margin(z, wider.offsets, form, d), abs=1e-7)


SEEDS = st.integers(0, 10_000)
few_examples = settings(max_examples=20)


@few_examples
@given(seed=SEEDS, percentile=st.integers(1, 99))
def test_share_0_is_no_constraint_and_the_base_share_costs_nothing(seed: int, percentile: int):
    table = make_table(prompts=5, candidates=6, seed=seed)
    for share in (0, "+0sd"):
        _, oracle, d = with_targets(table, {f"humor>=p{percentile}": share})
        solution = solve(oracle, d)
        assert solution.kl == pytest.approx(0.0, abs=1e-12)
        assert not solution.weights.any()


@few_examples
@given(seed=SEEDS, percentile=st.integers(1, 60))
def test_share_1_is_the_base_model_given_the_threshold(seed: int, percentile: int):
    table = make_table(prompts=5, candidates=12, seed=seed)
    wider, oracle, d = with_targets(table, {f"humor>=p{percentile}": 1})
    shares = wider.rewards[:, -1].reshape(5, 12).mean(axis=1)
    assessment = assess(oracle, d)
    assert (assessment.verdict is Verdict.OUT_OF_REACH) == bool((shares == 0).any())
    if assessment.solution is not None:
        assert assessment.solution.kl == pytest.approx(-np.log(shares).mean(), abs=1e-7)


@few_examples
@given(seed=SEEDS, share=st.floats(0.05, 0.95), percentile=st.integers(5, 95))
def test_a_cohort_of_all_prompts_is_equivalent_to_the_overall_target(seed: int, share: float, percentile: int):
    table = make_table(prompts=5, candidates=6, seed=seed)
    two_values = table_from_rewards(table.rewards[:, :2], [6] * 5)
    for name, target in ((f"humor>=p{percentile}", share), ("kindness", f"p{percentile}")):
        _, overall_oracle, overall_targets = with_targets(two_values, {name: target})
        wider, cohort_oracle, cohort_targets = with_targets(two_values, {f"{name}@all": target})
        assert wider.derived[-1].share == 1.0
        assert solve(cohort_oracle, cohort_targets).kl == pytest.approx(
            solve(overall_oracle, overall_targets).kl, abs=1e-7
        )
        assert margin(cohort_oracle, cohort_targets).attainable == margin(overall_oracle, overall_targets).attainable


@few_examples
@given(seed=SEEDS)
def test_floors_at_the_base_of_every_cohort_cost_nothing_and_are_met_beside_a_target(seed: int):
    table = make_table(prompts=6, candidates=8, seed=seed)
    floors = {f"humor@{cohort}": "+0sd" for cohort in cohorts_of(table)}
    _, oracle, d = with_targets(table, floors)
    assert solve(oracle, d).kl == pytest.approx(0.0, abs=1e-12)
    wider, oracle, d = with_targets(table, floors | {"humor": "+0.2sd", "helpfulness": "+0.2sd"})
    solution = solve(oracle, d)
    if solution.status is Status.CONVERGED:
        for column in wider.derived:
            j = wider.index(column.name)
            assert oracle.rewards_at(solution.levels)[j] >= column.centre - 1e-7
            assert oracle.base[j] == pytest.approx(column.centre)


def test_ties_count_as_reaching_the_threshold():
    table = table_from_rewards([0, 0, 1, 1, 1, 2, 2, 2], [4, 4])
    wider, oracle, _ = with_targets(table, {"humor>=1": 0.9, "humor>=2": 0.5, "humor>=p50": 0.8})
    assert oracle.base[1:] == pytest.approx([0.75, 0.375, 0.75])
    assert wider.rewards[:, 1].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("threshold", "attainable"), [("5", False), ("-5", True)])
def test_a_threshold_beyond_every_reply(threshold: str, attainable: bool):
    _, oracle, d = with_targets(table_from_rewards([0, 0, 1, 1], [2, 2]), {f"humor>={threshold}": 0.5})
    assert margin(oracle, d).attainable is attainable
    verdict = assess(oracle, d).verdict
    assert (verdict is Verdict.OUT_OF_REACH) is not attainable


def test_prompt_weights_and_held_out_prompts_count_in_a_cohort_as_in_a_solve():
    rewards, use_cases = [0, 1, 0, 3, 5, 9, 0, 100], ("a", "a", "b", "a")
    held_out = np.array([False, False, False, True])
    table = table_from_rewards(rewards, [2] * 4, use_cases, weights=np.array([1.0, 3.0, 4.0, 1.0]), held_out=held_out)
    wider, oracle, _ = with_targets(table, {"humor@a": "+0sd"})
    assert wider.derived[0].share == 0.5
    assert oracle.base[1] == pytest.approx((1 * 0.5 + 3 * 1.5) / 4)


def test_a_subset_of_a_table_has_cohorts_of_its_own_size():
    table = table_from_rewards(np.arange(8), [2] * 4, ("a", "a", "b", "b"))
    wider, _, _ = with_targets(table, {"humor@a": 1.5, "humor>=3": 0.5})
    subset = wider.take([0, 2, 3])
    assert subset.values == wider.values
    assert [column.share for column in subset.derived] == pytest.approx([1 / 3, 1.0])
    assert MemoryOracle.of(subset).base[1:] == pytest.approx([0.5, 4 / 6])
    assert wider.without_columns().values == ("humor",)


def test_two_palettes_with_different_levels_of_one_cohort_share_a_column():
    table = make_table()
    name = f"humor@{USE_CASES[0]}"
    palettes = [{name: "+0.2sd"}, {name: "+0.4sd"}]
    wider, oracle, named = with_target_columns(table, MemoryOracle.of(table), palettes)
    assert wider.values == (*table.values, name)
    for targets, palette in zip(named, palettes, strict=True):
        _, own_oracle, d = with_targets(table, palette)
        shared_solution = solve(oracle, oracle.standardise(resolve(targets, wider, oracle)))
        assert shared_solution.kl == pytest.approx(solve(own_oracle, d).kl, abs=1e-9)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"humor>=p20": 1.5}, "from 0 to 1"),
        ({"humor>=p20": "-1%"}, "from 0 to 1"),
        ({"humor>=p20": "much"}, "from 0 to 1"),
        ({"humor>=p20": None}, "from 0 to 1"),
        ({"humor>=p20": True}, "from 0 to 1"),
        ({"humor>=p20": float("nan")}, "from 0 to 1"),
        ({"humor>=p120": 0.5}, "between p0 and p100"),
        ({"humor>=high": 0.5}, "expected a number in reward units"),
        ({"humor>=p20": 0.9, "humor<p20": 0.3}, "given twice"),
        ({"humor@Sport": "p60"}, "No prompt has 'Sport' as its use case; there are 'Customer support', 'Stories'"),
        ({"humor@tongue=de": "p60"}, "no column of text 'tongue'"),
        ({"wit>=p20": 0.5}, "Unknown value 'wit>=p20'"),
    ],
)
def test_invalid_targets_are_refused(targets: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        with_targets(make_table(), targets)


def test_a_cohort_of_only_held_out_prompts_is_refused():
    table = table_from_rewards(np.arange(4), [2, 2], ("a", "b"), held_out=np.array([True, False]))
    with pytest.raises(InputError, match="'a' is held out"):
        with_targets(table, {"humor@a": "+0sd"})
    assert [cohort.entry for cohort in cohorts_of(table)] == ["b"]


def test_without_derived_targets_table_and_oracle_are_unchanged():
    table = make_table()
    oracle = MemoryOracle.of(table)
    assert with_target_columns(table, oracle, [{"humor": "p60"}])[:2] == (table, oracle)
