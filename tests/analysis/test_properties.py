"""Property tests on odd tables: every analysis that uses the solver gives finite results with its invariants."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from map_core.analysis.baselines import evaluate_weights, random_weights, win_rates
from map_core.analysis.drift import drift
from map_core.analysis.frontier import frontier
from map_core.analysis.sensitivity import local_sensitivity, sensitivity_curve
from map_core.analysis.sequential import sequential_path
from map_core.confidence import confidence
from map_core.core.types import Form
from map_core.data.importing import import_table
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load, save
from map_core.errors import InputError
from map_core.groups import BindingLimit, Group, clashes, concessions, max_min, nash, satisfaction_alone
from map_core.solver.newton import Status, solve
from map_core.solver.rays import solve_rays
from tests.feasibility.test_properties import BOUNDARY_TOLERANCE, all_finite, scaled_examples
from tests.odd_tables import OddTable, odd_tables

pytestmark = pytest.mark.slow

BUDGETS = st.sampled_from([0.0, 1e-9, 0.05, 1.0, np.inf])


def draw_groups(odd: OddTable, rng: np.random.Generator) -> list[Group]:
    rows = odd.targets(3)
    # No group asks for more of a constant value: such a target is refused, which another test checks.
    rows = np.where(odd.oracle.constant & (rows > 0), np.nan, rows)
    return [Group(str(g), row, float(rng.choice([1.0, 1.0, 3.0]))) for g, row in enumerate(rows)]


def largest_common_satisfaction(odd: OddTable, groups: list[Group]) -> float:
    """Compute the largest satisfaction that all groups reach, by a linear program over every reply's probability."""
    z, pooled = odd.z, odd.oracle.form is Form.POOLED
    prompt_of_reply = (
        np.zeros(len(z), int) if pooled else np.repeat(np.arange(len(odd.table.prompts)), odd.table.candidates)
    )
    count = prompt_of_reply[-1] + 1
    rows, bounds = [], []
    for group in groups:
        for j in np.flatnonzero(~np.isnan(group.targets)):
            d = group.targets[j]
            rows.append(np.append(-z[:, j] / count, d if group.raised[j] else 0.0))
            bounds.append(0.0 if group.raised[j] else -min(d, 0.0))
    if not any(group.raised.any() for group in groups):
        return 1.0
    result = linprog(
        np.append(np.zeros(len(z)), -1.0),
        A_ub=np.array(rows),
        b_ub=bounds,
        A_eq=np.column_stack([prompt_of_reply == np.arange(count)[:, None], np.zeros(count)]),
        b_eq=np.ones(count),
        bounds=[(0, None)] * len(z) + [(0, 1)],
    )
    return -float(result.fun)


@scaled_examples(25)
@given(odd_tables(most_values=6), BUDGETS)
def test_common_palettes_stay_within_the_budget(odd: OddTable, budget: float):
    groups = draw_groups(odd, odd.rng)
    equal = [Group(group.name, group.targets) for group in groups]
    fairest, bargain = max_min(odd.oracle, groups, budget), nash(odd.oracle, groups, budget)
    for result in (fairest, bargain):
        assert all_finite(result.solution.weights, result.solution.kl, result.satisfaction)
        assert result.solution.kl <= min(budget, odd.oracle.log_candidates) + 1e-6
        assert np.all(result.satisfaction >= -1e-4)
        assert np.all(result.satisfaction <= 1 + 1e-12)
        assert result.gap >= 0
        assert (result.limit is not BindingLimit.NONE) or result.satisfaction.min() > 1 - 1e-6
    assert fairest.gap < 1e-4
    assert bargain.gap < 1e-3 or bargain.gap == np.inf
    if budget == np.inf:
        unlimited = max_min(odd.oracle, equal, budget)
        assert unlimited.satisfaction.min() == pytest.approx(largest_common_satisfaction(odd, equal), abs=2e-5)
    for concession in concessions(groups, fairest, satisfaction_alone(odd.oracle, groups, budget)):
        assert concession.alone >= concession.common - 1e-6 or concession.common > 1 - 1e-6
    for pair in clashes(odd.oracle, groups, budget):
        assert np.isfinite(pair.kl) or pair.margin is not None


@scaled_examples(60)
@given(odd_tables(), odd_tables())
def test_drift_between_any_two_tables(before: OddTable, after: OddTable):
    targets = before.oracle.rewards_at(before.targets(1)[0])
    try:
        result = drift(before.table, after.table, targets)
    except InputError:
        # One table has several replies for most prompts, the other has one reply for each.
        assert Form.POOLED not in (before.table.form, after.table.form)
        assert (before.table.candidates == 1).all() or (after.table.candidates == 1).all()
        return
    assert all_finite(result.base.before, result.base.after, result.scale_before, result.scale_after, result.short)
    assert not np.isnan(result.base.error).any()
    if result.held is not None:
        assert all_finite(result.held.before, result.held.after, result.held_kl)
    unchanged = drift(before.table, before.table, targets)
    assert not unchanged.base.real.any()
    assert not unchanged.missed.any()


@scaled_examples(90)
@given(odd_tables(most_values=6), st.integers(1, 40), st.booleans())
def test_sequential_paths_are_finite_and_their_dual_rises(odd: OddTable, rounds: int, grow_only: bool):
    targets = odd.targets(1)[0]
    targeted = ~np.isnan(targets) & ~odd.oracle.constant
    if not (~np.isnan(targets)).any():
        with pytest.raises(InputError):
            sequential_path(odd.oracle, targets)
        return
    path = sequential_path(odd.oracle, targets, rounds=rounds, grow_only=grow_only)
    assert all_finite(path.weights, path.levels, path.kl, path.dual, path.residual)
    assert np.all(path.weights >= 0)
    if not grow_only:
        assert np.all(np.diff(path.dual) >= -1e-8)
    largest_margin = odd.true_margin(targets)
    if path.status == Status.CONVERGED:
        assert largest_margin > -BOUNDARY_TOLERANCE or np.any(odd.oracle.constant & (targets > 0))
        np.testing.assert_allclose(path.levels[-1][targeted], solve(odd.oracle, targets).levels[targeted], atol=1e-5)
    if largest_margin > BOUNDARY_TOLERANCE:
        assert path.status != Status.UNBOUNDED


@scaled_examples(60)
@given(odd_tables(most_values=4))
def test_error_bars_are_finite_or_too_few_prompts_are_refused(odd: OddTable):
    targets = odd.targets(1)[0]
    try:
        result = confidence(odd.oracle, targets, draws=20, folds=2, seed=1)
    except InputError:
        assert len(odd.table.prompts) < 2
        return
    assert sum(result.probability.values()) == pytest.approx(1.0)
    assert all(0 <= p <= 1 for p in result.probability.values())
    for interval in (result.margin, result.weights, result.kl, result.levels):
        if interval is not None:
            # An end may be infinite, where the palette is out of reach in resampled prompts.
            assert all_finite(interval.estimate)
            assert np.all(np.asarray(interval.low) <= np.asarray(interval.high))


@scaled_examples(150)
@given(odd_tables(), st.sampled_from([0.0, 1e-9, 0.3, 50.0]))
def test_baselines_stay_within_the_budget(odd: OddTable, budget: float):
    directions = random_weights(5, len(odd.table.values), seed=1)
    weights = solve_rays(odd.oracle, directions, budget).weights[:, 0]
    evaluation = evaluate_weights(odd.oracle, weights, odd.targets(1)[0])
    assert all_finite(weights, evaluation.kl, evaluation.levels)
    assert np.all(evaluation.kl <= budget + 1e-8)
    wins = win_rates(odd.table, weights / odd.oracle.scale, odd.oracle.form)
    assert np.all((wins >= -1e-12) & (wins <= 1 + 1e-12))


@scaled_examples(120)
@given(odd_tables(most_values=6), st.booleans())
def test_frontiers_stay_within_the_budget_and_are_optimal(odd: OddTable, floored: bool):
    """Contours spend no more than their budget, and no other weights within it give more of the pair."""
    size = len(odd.table.values)
    if size < 2:
        with pytest.raises(InputError):
            frontier(odd.oracle, (0, 0), [1.0])
        return
    budgets, floors = [1e-3, 0.3, 50.0], None
    if floored:
        floors = np.where(odd.rng.random(size) < 0.5, odd.rng.uniform(-1, 0.3, size), np.nan)
    result = frontier(odd.oracle, (0, size - 1), budgets, floors=floors, directions=5)
    directions = np.zeros((5, size))
    directions[:, 0], directions[:, -1] = np.sin(np.linspace(0, np.pi / 2, 5)), np.cos(np.linspace(0, np.pi / 2, 5))
    random_weights = odd.rng.exponential(0.5, (50, size)) * [1.0, *odd.rng.integers(0, 2, size - 2), 1.0]
    random_moments = odd.oracle.batch_moments(random_weights)
    random_kl = np.sum(random_weights * random_moments.levels, axis=1) - random_moments.log_normaliser
    for contour in result.contours:
        assert all_finite(contour.weights, contour.levels)
        if np.isfinite(contour.budget):
            assert all_finite(contour.kl)
            assert np.all(contour.kl <= contour.budget + 1e-7)
        if floors is not None and len(contour.levels):
            floor_indices = np.flatnonzero(~np.isnan(result.floors))
            assert np.all(contour.levels[:, floor_indices] >= result.floors[floor_indices] - 1e-5)
        if floors is None:
            affordable = random_moments.levels[random_kl <= contour.budget]
            for direction, levels in zip(directions, contour.levels, strict=True):
                assert np.all(affordable @ direction <= direction @ levels + 1e-5)


@scaled_examples(80)
@given(odd_tables(most_values=4))
def test_sensitivity_curves_rise_and_meet_their_targets(odd: OddTable):
    """A curve's cost and weights never fall along it, and every point meets its targets."""
    targets, value = odd.targets(1)[0], int(odd.rng.integers(len(odd.table.values)))
    others = np.where(np.arange(len(targets)) == value, np.nan, targets)
    result, largest_margin = sensitivity_curve(odd.oracle, targets, value, points=9), odd.true_margin(others)
    if np.isnan(result.highest):
        assert largest_margin < BOUNDARY_TOLERANCE
        return
    assert largest_margin > -BOUNDARY_TOLERANCE
    assert all_finite(result.targets, result.weights, result.levels, result.kl, result.highest)
    assert np.all(np.diff(result.targets) > 0)
    assert np.all(np.diff(result.kl) >= -1e-8)
    assert np.all(result.weights >= 0)
    if len(result.targets):
        assert result.targets[-1] <= result.highest + 1e-9
        targeted = ~np.isnan(others) & ~odd.oracle.constant
        assert np.all(result.levels[:, targeted] >= others[targeted] - 1e-6)
    assert all(result.targets[0] - 1e-6 <= s.target <= result.targets[-1] + 1e-6 for s in result.switches)


@scaled_examples(150)
@given(odd_tables(most_values=6))
def test_prices_are_finite_and_shares_sum_to_one(odd: OddTable):
    solution = solve(odd.oracle, odd.targets(1)[0])
    if solution.status is not Status.CONVERGED:
        return
    result = local_sensitivity(solution)
    assert all_finite(result.price, result.share, result.elasticity, result.weights, result.levels)
    assert result.share.sum() == pytest.approx(1.0) or not result.share.any()
    assert (result.price >= 0).all()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)
ROW = st.fixed_dictionaries({"prompt": TEXT.filter(str.strip), "reply": TEXT, "tact": st.floats(-1e6, 1e6)})


@scaled_examples(60)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_tables_round_trip_through_every_file_format(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]):
    folder = tmp_path_factory.mktemp("rows")
    pd.DataFrame(rows).to_csv(folder / "a.csv", index=False)
    pd.DataFrame(rows).to_parquet(folder / "a.parquet")
    (folder / "a.json").write_text(json.dumps(rows))
    (folder / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    names = ("a.json", "a.jsonl", "a.parquet", "a.csv")
    tables = [import_table(folder / name, values=["tact"], lookalikes="apart").table for name in names]
    for table in tables:
        assert sorted(table.rewards.ravel()) == sorted(row["tact"] for row in rows)
        assert set(table.prompts) == {row["prompt"] for row in rows}
        assert table.prompts == tables[0].prompts
    assert tables[1].replies == tables[2].replies == tables[0].replies
    save(tables[0], folder / "b.parquet")
    assert load(folder / "b.parquet").replies == tables[0].replies


@scaled_examples(250)
@given(st.one_of(st.binary(max_size=200), st.text(st.sampled_from('[]{}",;:\n\t aprompteply01.5-%'), max_size=80)))
def test_invalid_files_raise_input_errors_only(tmp_path_factory: pytest.TempPathFactory, content: bytes | str):
    path: Path = tmp_path_factory.mktemp("rubbish") / "a"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with contextlib.suppress(InputError):
        assert isinstance(import_table(path).table, RewardTable)
