"""The verdict in a reader's units: each sentence compared with figures worked out from the same results."""

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
    """A stand-in for percentiles that can be worked out by hand: 50 at the base level, 10 a standard deviation."""
    return 50.0 + 10.0 * level


def worded(targets: list[float]) -> tuple[Assessment, verdict.VerdictText]:
    assessment = assess(ORACLE, np.array(targets))
    solution = assessment.solution
    prices = None if solution is None else local_sensitivity(solution)
    errors = None if solution is None else verdict.level_errors(ORACLE, solution)
    return assessment, verdict.verdict_text(assessment, ORACLE, prices, errors, VALUES, percentile)


def test_a_palette_that_can_be_had():
    assessment, text = worded([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    assert text.headline == "Reachable"
    assert [line.value for line in text.lines] == [0, 2]
    assert text.lines[0].text.startswith("p50 → p54 ± ")
    assert text.lines[0].meaning == "better than 54 of 100 of the model's own replies"
    assert text.cost == f"Like picking the best of {amounts.best_of(assessment.solution.kl):.1f} replies"
    assert text.cost_detail.startswith(f"{assessment.solution.kl:.2f} nats")
    assert text.share == pytest.approx(assessment.solution.kl / math.log(32))
    assert text.bottleneck.lower() in VALUES


def test_free_values_that_move_are_told_with_the_loser_first():
    assessment, text = worded([0.6, math.nan, math.nan, math.nan])
    assert assessment.solution is not None
    moves = {VALUES[j]: 10 * assessment.solution.levels[j] for j in (1, 2, 3)}
    noticed = [name for name, move in sorted(moves.items(), key=lambda pair: pair[1]) if abs(move) >= verdict.NOTICED]
    assert noticed
    assert re.findall(r"(\w+) p50 →", text.unasked) == noticed


def test_what_falls_is_said_beside_the_verdict_with_the_largest_fall_first():
    found, told = worded([0.6, math.nan, math.nan, math.nan])
    assert found.solution is not None
    falls = {j: -10 * found.solution.levels[j] for j in (1, 2, 3) if -10 * found.solution.levels[j] >= 1}
    assert falls
    assert [(fall.value, fall.text) for fall in told.falls] == [
        (j, f"{VALUES[j]} by {falls[j]:.0f}") for j in sorted(falls, key=lambda j: -falls[j])
    ]
    # What is kept does not fall.
    kept = [0.6, *(0.0 if j in falls else math.nan for j in (1, 2, 3))]
    assert not {fall.value for fall in worded(kept)[1].falls} & set(falls)


def test_error_bars_are_student_t_of_the_sandwich():
    assessment, text = worded([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    errors = verdict.level_errors(ORACLE, assessment.solution)
    assert errors is not None
    assert text.lines[0].text.endswith(f"± {10 * errors[0]:.0f}")
    assert f"within {10 * max(errors[0], errors[2]):.0f} percentiles" in text.sure


def test_a_step_costs_what_a_solve_of_it_costs():
    assessment, text = worded([0.4, math.nan, 0.3, math.nan])
    assert assessment.solution is not None
    for tag in text.tags:
        targets = assessment.targets.copy()
        targets[tag.value] += verdict.PRICE_STEP
        again = assess(ORACLE, targets)
        assert again.solution is not None
        assert (
            tag.cost
            == f"best of {amounts.best_of(assessment.solution.kl):.1f} → {amounts.best_of(again.solution.kl):.1f}"
        )
        assert tag.step == f"p{50 + 10 * targets[tag.value] - 1:.0f} → p{50 + 10 * targets[tag.value]:.0f}"
    assert [tag.value for tag in text.tags] == sorted(
        (tag.value for tag in text.tags), key=lambda j: -assessment.solution.weights[j]
    )


def test_no_step_is_offered_beyond_the_end():
    found, told = worded([0.4, math.nan, 0.3, math.nan])
    assert found.solution is not None
    assert {tag.value for tag in told.tags} == {0, 2}
    prices = local_sensitivity(found.solution)
    # Value 0 ends half a step above its level, value 2 at p54.6, of which p54 can be had, p55 is not to be said.
    ends = np.array([0.45, math.nan, 0.46, math.nan])
    tags = verdict.price_tags(found.solution, prices, VALUES, percentile, ends)
    assert [(tag.value, tag.step) for tag in tags] == [(2, "p53 → p54")]
    found, told = worded([0.4, math.nan, 0.36, math.nan])
    assert found.solution is not None
    tags = verdict.price_tags(found.solution, local_sensitivity(found.solution), VALUES, percentile, ends + 0.001)
    assert [(tag.value, tag.step) for tag in tags] == [(2, "p54 → p54")]


def test_what_a_step_takes_is_the_derivative_of_the_loser():
    assessment, text = worded([0.6, math.nan, math.nan, math.nan])
    assert assessment.solution is not None
    moves = local_sensitivity(assessment.solution).levels[:, 0].copy()
    moves[0] = 0
    loser = int(np.argmin(moves))
    taken = -10 * verdict.PRICE_STEP * moves[loser]
    assert text.tags[0].takes == f"lowers {VALUES[loser]} by {taken:.1f} points"


def test_nothing_asked_costs_nothing():
    _, text = worded([math.nan] * 4)
    assert text.cost == "Like the base model"
    assert text.tags == ()
    assert text.lines == ()


def test_out_of_reach_tells_what_the_nearest_gives_and_no_price():
    assessment, text = worded([1.5, 1.5, math.nan, math.nan])
    assert assessment.verdict is Verdict.OUT_OF_REACH
    assert text.cost == text.sure == text.bottleneck == ""
    assert [line.value for line in text.lines] == [0, 1]


def test_ways_out_say_who_gives_way_and_by_how_much():
    targets = np.array([0.9, 0.9, math.nan, math.nan])
    assessment = assess(ORACLE, targets)
    mended = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    texts = repair_texts(mended, assessment, VALUES, percentile)
    assert len(texts) == len(mended.ways)
    assert texts[-1].label == "Share the change evenly"
    for way, words_of_it in zip(mended.ways[:-1], texts[:-1], strict=True):
        assert words_of_it.label.startswith(f"Lower {VALUES[way.values[0]]}")
    first = mended.ways[0]
    j = first.values[0]
    assert f"{VALUES[j]} p59 → p{50 + 10 * first.targets[j]:.0f}" in texts[0].meaning
    why = conflict_sentence(mended, assessment, VALUES, percentile)
    assert "helpfulness" in why.lower()
    assert "harmlessness" in why


@pytest.mark.parametrize("first", [0.9, 1.13, 1.37, 1.5])
def test_what_the_nearest_palette_gives_is_what_its_button_sets(first: float):
    assessment, text = worded([first, 0.9, math.nan, math.nan])
    mended = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    places = repaired_percentiles(mended.ways[-1], percentile)
    assert places
    for line in text.lines:
        if line.value in places:
            assert line.text.endswith(f" → p{places[line.value]:.0f}")


def test_a_button_and_the_sentence_say_the_same_two_numbers():
    targets = np.array([0.9, 0.9, math.nan, math.nan])
    assessment = assess(ORACLE, targets)
    mended = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    most = limits(ORACLE, targets)
    why = conflict_sentence(mended, assessment, VALUES, percentile, most)
    for way, button in zip(mended.ways[:-1], repair_texts(mended, assessment, VALUES, percentile, most), strict=False):
        (j,) = way.values
        reliable, possible = (math.floor(50 + 10 * level[j]) for level in (most.reliable, most.possible))
        assert button.meaning == f"{VALUES[j]} p59 → p{reliable}"
        assert f"{VALUES[j]} at most p{reliable} (reliable), p{possible} (possible)" in why
        # The button sets what it says, and that is reachable.
        (place,) = repaired_percentiles(way, percentile, most).values()
        taken = targets.copy()
        taken[j] = (place - 50) / 10
        assert assess(ORACLE, taken).verdict is Verdict.REACHABLE
