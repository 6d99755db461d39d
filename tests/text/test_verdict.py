"""Tests of the verdict texts in percentiles, each compared with figures computed from the same results."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from map_core.analysis.sensitivity import local_sensitivity
from map_core.core import amounts
from map_core.core.types import Verdict
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.feasibility.limits import limits
from map_core.feasibility.repairs import repairs
from map_core.oracle import MemoryOracle
from map_core.text import verdict
from map_core.text.repairs import conflict_sentence, repair_texts, repaired_percentiles
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=24, candidates=32, seed=3)
ORACLE = MemoryOracle.of(TABLE)


def percentile(value: int, level: float) -> float:
    """Return a stub of the percentile of a level: 50 at the base level, and 10 per standard deviation."""
    return 50.0 + 10.0 * level


def verdict_of(targets: list[float]) -> tuple[Assessment, verdict.VerdictText]:
    assessment = assess(ORACLE, np.array(targets))
    solution = assessment.solution
    prices = None if solution is None else local_sensitivity(solution)
    errors = None if solution is None else verdict.level_errors(ORACLE, solution)
    return assessment, verdict.verdict_text(assessment, ORACLE, prices, errors, VALUES, percentile)


def test_reachable_palette():
    assessment, text = verdict_of([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    assert text.headline == "Reachable"
    assert [line.value for line in text.lines] == [0, 2]
    assert text.lines[0].text.startswith("p50 → p54 ± ")
    assert text.lines[0].meaning == "better than 54 of 100 of the model's own replies"
    assert text.cost == f"Like picking the best of {amounts.best_of(assessment.solution.kl):.1f} replies"
    assert text.cost_detail.startswith(f"{assessment.solution.kl:.2f} nats")
    assert text.share == pytest.approx(assessment.solution.kl / math.log(32))
    assert text.bottleneck.lower() in VALUES


def test_side_effects_list_the_largest_loss_first():
    assessment, text = verdict_of([0.6, math.nan, math.nan, math.nan])
    assert assessment.solution is not None
    moves = {VALUES[j]: 10 * assessment.solution.levels[j] for j in (1, 2, 3)}
    expected = [name for name, move in sorted(moves.items(), key=lambda pair: pair[1]) if abs(move) >= verdict.NOTICED]
    assert expected
    assert re.findall(r"(\w+) p50 →", text.unasked) == expected


def test_falls_are_listed_with_the_largest_first():
    assessment, text = verdict_of([0.6, math.nan, math.nan, math.nan])
    assert assessment.solution is not None
    falls = {j: -10 * assessment.solution.levels[j] for j in (1, 2, 3) if -10 * assessment.solution.levels[j] >= 1}
    assert falls
    assert [(fall.value, fall.text) for fall in text.falls] == [
        (j, f"{VALUES[j]} by {falls[j]:.0f}") for j in sorted(falls, key=lambda j: -falls[j])
    ]
    # Values with a target at their base level do not fall.
    with_floors = [0.6, *(0.0 if j in falls else math.nan for j in (1, 2, 3))]
    assert not {fall.value for fall in verdict_of(with_floors)[1].falls} & set(falls)


def test_error_bars_are_student_t_of_the_sandwich():
    assessment, text = verdict_of([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    errors = verdict.level_errors(ORACLE, assessment.solution)
    assert errors is not None
    assert text.lines[0].text.endswith(f"± {10 * errors[0]:.0f}")
    assert f"within {10 * max(errors[0], errors[2]):.0f} percentiles" in text.sure


def test_cost_of_a_step_matches_a_new_solution():
    assessment, text = verdict_of([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    for tag in text.tags:
        targets = assessment.targets.copy()
        targets[tag.value] += verdict.PRICE_STEP
        after_step = assess(ORACLE, targets)
        assert after_step.solution is not None
        assert (
            tag.cost
            == f"best of {amounts.best_of(assessment.solution.kl):.1f} → {amounts.best_of(after_step.solution.kl):.1f}"
        )
        assert tag.step == f"p{50 + 10 * targets[tag.value] - 1:.0f} → p{50 + 10 * targets[tag.value]:.0f}"
    assert [tag.value for tag in text.tags] == sorted(
        (tag.value for tag in text.tags), key=lambda j: -assessment.solution.weights[j]
    )


def test_no_step_exceeds_the_attainable_limit():
    assessment, text = verdict_of([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    assert {tag.value for tag in text.tags} == {0, 2}
    prices = local_sensitivity(assessment.solution)
    # The limit of value 0 is half a step above its level; that of value 2 is p54.6, so p54 is offered and p55 is not.
    ends = np.array([0.45, math.nan, 0.46, math.nan])
    tags = verdict.price_tags(assessment.solution, prices, VALUES, percentile, ends)
    assert [(tag.value, tag.step) for tag in tags] == [(2, "p53 → p54")]
    assessment, text = verdict_of([0.4, math.nan, 0.36, math.nan])
    assert assessment.solution is not None
    tags = verdict.price_tags(
        assessment.solution, local_sensitivity(assessment.solution), VALUES, percentile, ends + 0.001
    )
    assert [(tag.value, tag.step) for tag in tags] == [(2, "p54 → p54")]


def test_loss_from_a_step_is_its_derivative():
    assessment, text = verdict_of([0.6, math.nan, math.nan, math.nan])
    assert assessment.solution is not None
    moves = local_sensitivity(assessment.solution).levels[:, 0].copy()
    moves[0] = 0
    largest_loss = int(np.argmin(moves))
    lowered_by = -10 * verdict.PRICE_STEP * moves[largest_loss]
    assert text.tags[0].takes == f"lowers {VALUES[largest_loss]} by {lowered_by:.1f} points"


def test_palette_without_targets_costs_nothing():
    _, text = verdict_of([math.nan] * 4)
    assert text.cost == "Like the base model"
    assert text.tags == ()
    assert text.lines == ()


def test_out_of_reach_shows_the_nearest_palette_without_a_price():
    assessment, text = verdict_of([1.5, 1.5, math.nan, math.nan])
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert text.cost == text.sure == text.bottleneck == ""
    assert [line.value for line in text.lines] == [0, 1]


def test_repairs_state_which_value_is_lowered_by_how_much():
    targets = np.array([0.9, 0.9, math.nan, math.nan])
    assessment = assess(ORACLE, targets)
    repair_options = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    texts = repair_texts(repair_options, assessment, VALUES, percentile)
    assert len(texts) == len(repair_options.ways)
    assert texts[-1].label == "Share the change evenly"
    for repair, repair_text in zip(repair_options.ways[:-1], texts[:-1], strict=True):
        assert repair_text.label.startswith(f"Lower {VALUES[repair.values[0]]}")
    first = repair_options.ways[0]
    j = first.values[0]
    assert f"{VALUES[j]} p59 → p{50 + 10 * first.targets[j]:.0f}" in texts[0].meaning
    conflict = conflict_sentence(repair_options, assessment, VALUES, percentile)
    assert "helpfulness" in conflict.lower()
    assert "harmlessness" in conflict


@pytest.mark.parametrize("first", [0.9, 1.13, 1.37, 1.5])
def test_levels_of_the_nearest_palette_are_those_its_button_sets(first: float):
    assessment, text = verdict_of([first, 0.9, math.nan, math.nan])
    repair_options = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    repaired = repaired_percentiles(repair_options.ways[-1], percentile)
    assert repaired
    for line in text.lines:
        if line.value in repaired:
            assert line.text.endswith(f" → p{repaired[line.value]:.0f}")


def test_repair_button_and_sentence_agree():
    targets = np.array([0.9, 0.9, math.nan, math.nan])
    assessment = assess(ORACLE, targets)
    repair_options = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    limit_levels = limits(ORACLE, targets)
    conflict = conflict_sentence(repair_options, assessment, VALUES, percentile, limit_levels)
    for repair, button in zip(
        repair_options.ways[:-1],
        repair_texts(repair_options, assessment, VALUES, percentile, limit_levels),
        strict=False,
    ):
        (j,) = repair.values
        reliable, possible = (
            math.floor(50 + 10 * level[j]) for level in (limit_levels.reliable, limit_levels.possible)
        )
        assert button.meaning == f"{VALUES[j]} p59 → p{reliable}"
        assert f"{VALUES[j]} at most p{reliable} (reliable), p{possible} (possible)" in conflict
        # The button sets the stated level, which is reachable.
        (percentile_set,) = repaired_percentiles(repair, percentile, limit_levels).values()
        repaired_targets = targets.copy()
        repaired_targets[j] = (percentile_set - 50) / 10
        assert assess(ORACLE, repaired_targets).verdict is Verdict.REACHABLE
