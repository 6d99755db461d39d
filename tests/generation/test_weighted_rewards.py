"""Tests of weighted rewards of a reply (rewards, shares and tails) and the choice that follows from them."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.analysis.generation_weights import GenerationWeightsSolver, reply_weights
from map_core.data.derived_columns import Cohort, ColumnKind, DerivedColumn
from map_core.errors import InputError
from map_core.generation.candidates import choose_by_weights
from map_core.generation.request import GenerationRequest
from map_core.generation.weighted_rewards import scored_values, weighted_rewards
from map_core.generation.weights import CurrentWeights
from map_core.oracle import MemoryOracle
from map_core.palettes.target_columns import with_target_columns
from map_core.palettes.targets import resolve
from map_core.solver.newton import solve
from tests.tables import USE_CASES, make_table


def test_rewards_shares_and_tails_of_values():
    rewards = {"humor": (0.0, 0.5, np.nan), "calm": (1.0, 2.0, 3.0)}
    weights = {"humor>=0.5": 2.0, "calm": 1.0, "min(calm,1.5)": 3.0, "humor": 0.0, "gone": 1.0}
    table, effective_weights = weighted_rewards(rewards, weights, 3)
    assert effective_weights == [1.0, 2.0, 3.0]
    assert table[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert table[:2, 1].tolist() == [0.0, 1.0]
    assert np.isnan(table[2, 1])
    assert table[:, 2].tolist() == [1.0, 1.5, 1.5]


def test_value_named_like_a_share_takes_precedence():
    table, _ = weighted_rewards({"a": (1.0,), "a>=0.5": (7.0,)}, {"a>=0.5": 1.0}, 1)
    assert table.tolist() == [[7.0]]
    assert scored_values(["a>=0.5", "b>=1.0", "b"], {"a>=0.5"}) == ("a>=0.5", "b")


def test_a_request_scores_the_value_of_a_share_once():
    request = GenerationRequest("Hello", {"humor>=0.5": 1.0, "humor": 0.5, "min(calm,0.0)": 1.0}, ("humor",))
    assert request.scored == ("humor", "calm")


def test_choice_probabilities_reproduce_the_solved_levels():
    """The generator's probabilities on each prompt's own replies give the levels of the solution."""
    table = make_table(prompts=8, candidates=16)
    levels = {"humor>=p30": 0.9, f"positivity@{USE_CASES[0]}": "+0.3sd", "helpfulness": "+0.1sd"}
    extended, oracle, (targets,) = with_target_columns(table, MemoryOracle.of(table), [levels])
    solution = solve(oracle, oracle.standardise(resolve(targets, extended, oracle)))
    by_name = dict(zip(extended.values, (solution.weights / oracle.scale).tolist(), strict=True))
    totals = np.zeros(len(extended.values))
    for i, use_case in enumerate(table.use_cases):
        weights = reply_weights(extended.derived, by_name, [Cohort("use_case", use_case)])
        rewards = {name: tuple(table.rewards[table.rows(i), j]) for j, name in enumerate(table.values)}
        choice = choose_by_weights(rewards, GenerationRequest("x", weights), CurrentWeights(weights), 16)
        totals += np.array(choice.probabilities) @ extended.rewards[extended.rows(i)] / 8
    assert totals == pytest.approx(oracle.rewards_at(solution.levels), abs=1e-9)
    assert set(reply_weights(extended.derived, by_name)) == {*table.values, extended.derived[0].reply_name}


def test_weights_of_a_palette_by_cohort():
    table = make_table(prompts=8, candidates=16)
    cohort_name = f"humor@{USE_CASES[0]}"
    extended, oracle, (targets,) = with_target_columns(
        table, MemoryOracle.of(table), [{"humor": "+0.1sd", cohort_name: "+0.5sd"}]
    )
    solver = GenerationWeightsSolver(extended, oracle.form, scored=table.values)
    levels = resolve(targets, extended, oracle)
    in_cohort = solver.solve(levels, 16, [Cohort("use_case", USE_CASES[0])])
    outside_cohort = solver.solve(levels, 16, [Cohort("use_case", USE_CASES[1])])
    assert in_cohort.weights["humor"] > 0
    assert outside_cohort.weights == solver.solve(levels, 16).weights
    assert outside_cohort.weights.get("humor", 0.0) < in_cohort.weights["humor"]
    assert in_cohort.facts.unscored == ()


def test_a_column_without_a_cohort_keeps_its_weight():
    share = DerivedColumn("humor>=p20", "humor", ColumnKind.SHARE, 0.25)
    assert reply_weights([share], {"humor>=p20": 2.0, "calm": 1.0}) == {"humor>=0.25": 2.0, "calm": 1.0}


def test_threshold_must_be_a_number():
    with pytest.raises(InputError, match="threshold in reward units"):
        weighted_rewards({"humor": (0.0,)}, {"humor>=p20": 1.0}, 1)
