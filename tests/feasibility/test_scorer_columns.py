"""Tests of several scorers of one value: by hand, against a conic solver, round trips and invalid input."""

from __future__ import annotations

import numpy as np
import pytest

import map_core as vp
from map_core.analysis.generation_weights import reply_weights
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.aim import aim
from map_core.feasibility.cuts import with_demands
from map_core.feasibility.demands import Demands
from map_core.feasibility.repairs import repairs
from map_core.interface.table import Table
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target
from map_core.solver.newton import solve
from map_core.text.protections import beside_sentences, with_column_names
from tests.feasibility.test_cuts import cut_of, levels_of, primal
from tests.lazy import LazyModule
from tests.palettes.test_target_columns import table_from_rewards
from tests.tables import make_table

cvxpy = LazyModule("cvxpy")
TWO_SCORERS = Demands(scorers=(("humor", ("positivity",)),))


def test_two_independent_scorers_by_hand():
    table = table_from_rewards([[0, 0], [0, 1], [1, 0], [1, 1]], [4])
    first, second = table.values
    levels = np.array([0.75, np.nan])
    cut, solution = cut_of(table, levels, Demands(scorers=((first, (second,)),)))
    assert cut.oracle.rewards_at(solution.levels)[[0, 2]] == pytest.approx([0.75, 0.75])
    assert (solution.weights / cut.oracle.scale)[[0, 2]] == pytest.approx([np.log(3)] * 2)
    assert solution.kl == pytest.approx(0.261624, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_solution_matches_a_conic_solver(seed: int):
    table = make_table(5, 6, seed=seed)
    levels = levels_of(table, humor=0.4, helpfulness=0.2)
    rewards, oracle = table.rewards[:, 3].reshape(5, 6), MemoryOracle.of(table)

    def second_scorer_constraint(p: cvxpy.Variable) -> list[cvxpy.Constraint]:
        return [cvxpy.sum(cvxpy.multiply(p, rewards)) / 5 >= oracle.base[3] + 0.4 * oracle.scale[3]]

    _, solution = cut_of(table, levels, TWO_SCORERS)
    assert solution.kl == pytest.approx(primal(table, levels, second_scorer_constraint), abs=1e-5)


def test_shares_cohorts_and_mixes_hold_for_every_scorer():
    table = vp.load_table()
    targets = {"kindness": "p60", "kindness>=p20": 0.9, "kindness@Workplace writing": "+0sd"}
    solution = vp.solve(table, targets, beside={"every_scorer": {"kindness": ["positivity"]}, "any_mix": 0.01})
    for target in targets:
        by_positivity = f"by positivity: {target}"
        assert solution.levels[by_positivity] >= solution.targets[by_positivity] - 1e-6
    assert solution.targets["by positivity: kindness>=p20"] == pytest.approx(0.9)
    one_scorer = vp.solve(table, targets, beside={"any_mix": 0.01})
    assert solution.kl > one_scorer.kl
    assert any(name.startswith("by positivity: kindness (mix") for name in solution.levels)


@pytest.mark.parametrize("target", ["humor", "min(humor,+0.3sd)"])
def test_equivalent_scorer_changes_nothing_and_another_one_adds_a_floor(target: str):
    table = make_table()
    opened = Table(table, MemoryOracle.of(table))
    targets = {target: "+0.1sd"}
    cost = vp.solve(opened, targets).kl
    rewards = table.rewards.copy()
    rewards[:, 3] = 7.0 + 0.1 * rewards[:, 2]  # the same scorer on a different scale
    copied = make_table()
    copied = type(copied)(**{**vars(copied), "rewards": rewards})
    with_equivalent = vp.solve(
        Table(copied, MemoryOracle.of(copied)),
        targets,
        beside={"every_scorer": {"humor": ["positivity"]}},
    )
    assert with_equivalent.kl == pytest.approx(cost, abs=1e-8)
    assert vp.solve(opened, targets, beside={"every_scorer": {"humor": ["positivity"]}}).kl > cost


def test_the_generator_has_the_sum_of_both_weights():
    table = make_table()
    cut, solution = cut_of(table, levels_of(table, humor=0.4, positivity=0.1), TWO_SCORERS)
    weights = dict(zip(cut.table.values, solution.weights / cut.oracle.scale, strict=True))
    summed = reply_weights(cut.table.derived, weights, ())
    assert summed["positivity"] == pytest.approx(weights["positivity"] + weights["by positivity: humor"])


def test_nearest_palette_is_attainable_for_every_scorer():
    table = make_table()
    oracle = MemoryOracle.of(table)
    palette = Palette(targets={name: Target(50.0, free=True) for name in table.values})
    palette = palette.with_target("humor", Target(99.5))
    palette = Palette(targets=palette.targets, beside=Beside(every_scorer=("humor=positivity,helpfulness",)))
    aimed = aim(table, oracle, palette)
    assessment = assess(aimed.oracle, aimed.standardised(palette), locked=aimed.locked(palette))
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert assessment.nearest is not None
    lowered = aimed.with_scorers(assessment.nearest.targets)
    level = float(oracle.base[2] + lowered[2] * oracle.scale[2])
    lowered_palette = palette.with_target("humor", Target(90.0, level))
    aimed_lowered = aim(table, oracle, lowered_palette)
    assert assess(aimed_lowered.oracle, aimed_lowered.standardised(lowered_palette)).verdict is not Verdict.OUT_OF_REACH
    assert aimed.count(palette) == 2
    suggestions = repairs(AttainableLevels(aimed.oracle), assessment, aimed.locked(palette))
    merged = aimed.of_targets(suggestions).ways
    assert [repair.values for repair in merged] == [(2,)]
    assert len(suggestions.ways) > 1
    assert merged[0].targets[2] == pytest.approx(
        max(aimed.with_scorers(repair.targets)[2] for repair in suggestions.ways)
    )
    assert with_column_names(aimed, list(table.values))[-1] == "helpfulness (scorer of humor)"


def test_scorers_round_trip_and_have_a_sentence():
    beside = Beside(every_scorer=("kindness=kind_b,kind_c",))
    assert beside.as_dict() == {"every_scorer": {"kindness": ["kind_b", "kind_c"]}}
    assert Beside.from_dict(beside.as_dict()) == beside
    assert Beside.from_items(beside.items()) == beside
    assert beside_sentences(beside, str) == ["What is asked of kindness holds for kind_b and kind_c too."]


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"every_scorer": ["kindness"]}, "expected the values of the table that score each value too"),
        ({"every_scorer": {"humor": []}}, "expected NAME=SCORER"),
        ({"every_scorer": {"humor": ["humor"]}}, "expected another value"),
        ({"every_scorer": {"humor": ["wit"]}}, "Unknown value 'wit'"),
    ],
)
def test_invalid_scorers_are_refused(beside: dict[str, object], message: str):
    table = make_table()
    with pytest.raises(InputError, match=message):
        vp.solve(Table(table, MemoryOracle.of(table)), {"humor": "+0.1sd"}, beside=beside)


def test_value_without_target_adds_no_scorer_columns():
    table = make_table()
    cut = with_demands(table, MemoryOracle.of(table), levels_of(table, helpfulness=0.1), TWO_SCORERS)
    assert cut.columns == ()
    assert solve(cut.oracle, cut.oracle.standardise(cut.levels)).kl > 0


def test_lock_applies_to_further_scorers_and_a_mix_lowers_its_target():
    table = make_table()
    oracle = MemoryOracle.of(table)
    targets = {name: Target(50.0, free=name != "humor", locked=name == "humor") for name in table.values}
    palette = Palette(targets=targets).with_target("humor", Target(60.0, locked=True))
    palette = Palette(targets=palette.targets, beside=Beside(every_scorer=("humor=positivity",), any_mix=0.05))
    aimed = aim(table, oracle, palette)
    locked = dict(zip(aimed.table.values, aimed.locked(palette), strict=True))
    assert locked["humor"]
    assert locked["by positivity: humor"]
    assert not locked["positivity"]
    # The column of a mix has the name of no target; lowering it lowers the target that it belongs to.
    lowered = np.full(len(aimed.table.values), np.nan)
    mixes = [k for k, column in enumerate(aimed.table.derived, aimed.plain) if column.mix and column.scorer_of]
    assert mixes
    lowered[mixes[0]] = -0.5
    level = aimed.oracle.rewards_at(lowered)[mixes[0]]
    lowered_target = (level - oracle.base[3]) / oracle.scale[3]
    assert aimed.with_scorers(lowered)[2] == pytest.approx(lowered_target)


def test_nearest_targets_are_valid_targets_in_python():
    table = make_table()
    opened = Table(table, MemoryOracle.of(table))
    beside = {"every_scorer": {"humor": ["positivity", "helpfulness"]}, "no_worse_tail": ["humor"], "any_mix": 0.02}
    assessment = vp.assess(opened, {"humor": "+1.8sd", "humor>=p20": 0.9}, beside=beside)
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert set(assessment.nearest) == {"humor", "humor>=p20"}
    assert vp.assess(opened, assessment.nearest, beside=beside).verdict is not Verdict.OUT_OF_REACH
