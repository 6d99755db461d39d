"""Tests of units: no function mistakes targets in reward units for standard deviations."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

import map_core as vp
from map_core.analysis.baselines import compare_baselines, evaluate_weights
from map_core.analysis.frontier import frontier, surface
from map_core.analysis.frontier_spread import spread_frontier
from map_core.analysis.local_steps import Keep, local_step
from map_core.analysis.order_effects import compare_orders
from map_core.analysis.sensitivity import sensitivity_curve
from map_core.analysis.sequential import sequential_path
from map_core.confidence import confidence
from map_core.confidence.cross_fit import cross_fit
from map_core.confidence.holdout_levels import holdout_levels
from map_core.confidence.table_quality import advise
from map_core.core.reward_levels import RewardLevels
from map_core.core.types import Verdict
from map_core.errors import InputError
from map_core.feasibility import AttainableLevels, assess, margin, smallest_conflict
from map_core.feasibility.nearest import nearest
from map_core.feasibility.ranges import smoothed_ranges
from map_core.groups import Group
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.targets import resolve
from map_core.solver.batched import solve_many
from map_core.solver.newton import solve
from map_core.solver.rays import solve_rays
from tests.tables import make_table

TABLE = make_table(prompts=24, candidates=16, seed=2)
ORACLE = MemoryOracle.of(TABLE)
VALUES = len(TABLE.values)
#: Humor is far from 0 in its own unit, so a reward mistaken for deviations is out of reach.
ASKED = {"helpfulness": "+0.2sd", "humor": "p60"}
ONE = np.eye(VALUES)[1]

TAKE_TARGETS: dict[str, Callable[[Oracle, np.ndarray], Any]] = {
    "assess": assess,
    "margin": margin,
    "highest": lambda oracle, d: AttainableLevels(oracle).highest(d, 0),
    "ranges": lambda oracle, d: AttainableLevels(oracle).ranges(d),
    "smoothed ranges": smoothed_ranges,
    "nearest": lambda oracle, d: nearest(oracle, d, budget=0.02),
    "conflict": lambda oracle, d: smallest_conflict(AttainableLevels(oracle), d),
    "solve": solve,
    "solve many": lambda oracle, d: solve_many(oracle, d).weights,
    "rays": lambda oracle, d: solve_rays(oracle, ONE, 0.5, floors=d),
    "frontier": lambda oracle, d: frontier(oracle, (1, 3), [0.5], floors=d, directions=5),
    "surface": lambda oracle, d: surface(oracle, (0, 1, 3), [0.5], floors=d),
    "spread": lambda oracle, d: spread_frontier(oracle, (1, 3), [0.5], floors=d),
    "sensitivity": lambda oracle, d: sensitivity_curve(oracle, d, 0, points=3),
    "local step": lambda oracle, d: local_step(oracle, d, 0, 0.05, Keep.COST),
    "sequence": lambda oracle, d: sequential_path(oracle, d, rounds=2),
    "orders": lambda oracle, d: compare_orders(oracle, d),
    "baselines": lambda oracle, d: compare_baselines(TABLE, d, count=5),
    "judged": lambda oracle, d: evaluate_weights(oracle, ONE, d),
    "confidence": lambda oracle, d: confidence(oracle, d, draws=20),
    "cross-fit": cross_fit,
    "held-out": lambda oracle, d: holdout_levels(oracle, np.arange(24) > 12, ONE, d),
    "advice": lambda oracle, d: advise(TABLE, oracle, d),
}


def same(first: Any, second: Any) -> bool:
    """Return whether two results have the same numbers, whatever their types are."""
    if is_dataclass(first):
        return all(same(getattr(first, field.name), getattr(second, field.name)) for field in fields(first))
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray | float) and np.asarray(first).dtype.kind == "f":
        return type(first) is type(second) and np.array_equal(first, second, equal_nan=True)
    return bool(np.all(first == second))


@pytest.mark.parametrize("name", TAKE_TARGETS)
def test_reward_levels_are_converted(name: str) -> None:
    levels = resolve(ASKED, TABLE, ORACLE)
    assert same(TAKE_TARGETS[name](ORACLE, levels), TAKE_TARGETS[name](ORACLE, ORACLE.standardise(levels)))


def test_a_reachable_palette_is_reachable_in_either_unit() -> None:
    levels = resolve(ASKED, TABLE, ORACLE)
    assert assess(ORACLE, levels).verdict is Verdict.REACHABLE
    assert assess(ORACLE, np.asarray(levels)).verdict is Verdict.OUT_OF_REACH  # 2.4 deviations would be another palette


def test_computed_targets_are_deviations() -> None:
    levels = RewardLevels.of([1.5, np.nan])
    assert isinstance(levels.copy(), RewardLevels)
    assert isinstance(pickle.loads(pickle.dumps(levels)), RewardLevels)
    for plain in (levels - 1, levels / 2, np.isnan(levels), levels > 1, np.add(1.0, levels, out=levels.copy())):
        assert type(plain) is np.ndarray


def test_targets_of_groups_are_deviations() -> None:
    with pytest.raises(InputError, match=r"The targets of 'children' are rewards; .* standardise\(\)"):
        Group("children", resolve(ASKED, TABLE, ORACLE))


@pytest.mark.parametrize(
    "call",
    [
        lambda table: vp.assess(table, ASKED),
        lambda table: vp.solve(table, ASKED),
        lambda table: vp.error_bars(table, ASKED),
        lambda table: vp.sensitivity(table, ASKED, "humor"),
        lambda table: vp.frontier(table, ("helpfulness", "humor")),
    ],
)
def test_interface_accepts_its_own_table_and_names(call: Callable[[Any], Any]) -> None:
    with pytest.raises(vp.PaletteError, match=r"expected what load_table\(\) returns"):
        call(ORACLE)
    with pytest.raises(vp.PaletteError, match="expected names with levels"):
        vp.assess(vp.Table(TABLE, ORACLE), resolve(ASKED, TABLE, ORACLE))


def test_one_palette_through_the_whole_interface() -> None:
    """Reward units in, reward units out: each result is a target of the next function."""
    table = vp.Table(TABLE, ORACLE)
    targets = {"helpfulness": 0.35, "humor": 3.0}
    palette = vp.assess(table, targets)
    assert palette.verdict == "reachable"
    assert palette.targets == pytest.approx(targets)
    assert palette.levels["helpfulness"] >= 0.35 - 1e-9
    assert palette.levels["humor"] == pytest.approx(3.0)
    # Levels from their definition: means of the rewards under softmax(weights . r), all in the table's own units.
    scores = TABLE.rewards.reshape(24, 16, VALUES) @ np.array(list(palette.weights.values()))
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    levels = np.einsum("ik,ikj->j", shares, TABLE.rewards.reshape(24, 16, VALUES)) / 24
    assert list(palette.levels.values()) == pytest.approx(levels)
    assert list(table.base.values()) == pytest.approx(TABLE.rewards.mean(axis=0))

    solved = vp.solve(table, palette.levels)
    assert solved.weights == pytest.approx(palette.weights, abs=1e-5)
    assert solved.kl == pytest.approx(palette.kl, abs=1e-8)

    bars = vp.error_bars(table, palette.levels)
    assert bars.levels.estimate == pytest.approx(levels, abs=1e-6)
    assert np.all((bars.levels.low < levels) & (levels < bars.levels.high))
    assert bars.weights.estimate == pytest.approx(list(palette.weights.values()), abs=1e-5)
    assert bars.targets == pytest.approx(levels, abs=1e-6)

    sweep = vp.sensitivity(table, targets, "humor", points=5)
    assert sweep.targets[0] == pytest.approx(table.base["humor"])
    halfway = vp.assess(table, {**targets, "humor": sweep.targets[2]})
    assert halfway.kl == pytest.approx(sweep.kl[2], abs=1e-8)
    for name in table.values:
        assert halfway.levels[name] == pytest.approx(sweep.levels[name][2], abs=1e-6)
        assert halfway.weights[name] == pytest.approx(sweep.weights[name][2], abs=1e-5)

    point = vp.frontier(table, ("helpfulness", "humor"), budgets=[0.3], limit=False).points(0.3)[20]
    reached = vp.assess(table, {name: point[name] for name in targets})
    assert reached.verdict == "reachable"
    assert reached.kl == pytest.approx(0.3, abs=1e-6)
    assert reached.levels == pytest.approx(point, abs=1e-5)
    frontier = vp.frontier(table, ("helpfulness", "positivity"), budgets=[0.3], floors={"humor": 2.6}, limit=False)
    assert all(levels["humor"] >= 2.6 - 1e-6 for levels in frontier.points(0.3))

    far = vp.assess(table, {"helpfulness": 50.0, "humor": 3.0})
    assert far.verdict == "out_of_reach"
    assert vp.assess(table, far.nearest).verdict == "reachable"
