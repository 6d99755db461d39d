"""Tests of the two wordings, numbers and everyday words, on the same results."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from map_core.feasibility import AttainableLevels, assess
from map_core.feasibility.limits import limits
from map_core.feasibility.repairs import repairs
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.text import changes, sentences, verdict
from map_core.text import repairs as repairs_text
from map_core.text.units import Units
from map_core.text.wording import NUMBERS, PLAIN, effort
from tests.tables import VALUES, make_table

TABLE = make_table(prompts=24, candidates=32, seed=3)
ORACLE = MemoryOracle.of(TABLE)
UNITS = Units(ORACLE, percentiles(TABLE), "percentile", VALUES)
#: Terms that the plain wording must not contain.
TECHNICAL_TERMS = re.compile(r"\bnats\b|\bp\d|best of|standard deviation|AUC|percentile")


@pytest.mark.parametrize(
    ("kl", "expected"),
    [(0.0, "no"), (4e-4, "no"), (0.3, "very small"), (0.31, "small"), (0.7, "small"), (1.5, "medium"), (9.0, "large")],
)
def test_an_effort_grows_with_the_distance(kl, expected):
    assert effort(kl) == expected


def test_effort_of_an_unknown_distance():
    assert effort(math.nan) == "unknown"


@pytest.mark.parametrize("percentile", [0.0, 49.6, 70.2, 99.9, 100.0])
def test_plain_levels_are_percentiles_without_the_letter(percentile):
    assert PLAIN.level(percentile) == NUMBERS.level(percentile).removeprefix("p")
    assert PLAIN.level(percentile, toward="down") == NUMBERS.level(percentile, toward="down").removeprefix("p")


def test_unknown_levels_are_dashes():
    assert PLAIN.level(math.nan) == NUMBERS.level(math.nan) == "–"
    assert PLAIN.target(math.nan) == NUMBERS.target(math.nan) == "–"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.6, 0.6, "It takes as much effort as now: small effort."),
        (0.6, 1.2, "It takes a medium effort, instead of a small one."),
        (0.6, 0.0, "It takes no effort, instead of a small one."),
        (0.0, 0.6, "It takes a small effort, instead of none."),
        (0.6, 0.65, "It takes a little more effort than now: still a small one."),
        (0.65, 0.4, "It takes less effort than now: still a small one."),
    ],
)
def test_sentences_that_compare_efforts(before, after, expected):
    assert changes.cost_sentence(before, after, PLAIN) == expected


def all_texts(wording, targets: list[float]) -> str:
    """Return all sentences on a palette."""
    assessment = assess(ORACLE, np.array(targets))
    limit_levels = limits(ORACLE, assessment.targets)
    text = verdict.verdict_text(assessment, ORACLE, None, None, VALUES, UNITS.percentile, wording=wording)
    repair_options = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    conflict = repairs_text.conflict_sentence(
        repair_options, assessment, VALUES, UNITS.percentile, limit_levels, wording
    )
    repair_lines = repairs_text.repair_texts(
        repair_options, assessment, VALUES, UNITS.percentile, limit_levels, wording
    )
    return " ".join([text.sentence, conflict, *(f"{repair.label} {repair.meaning}" for repair in repair_lines)])


def test_percentiles_of_an_impossible_palette_agree_in_both_wordings():
    targets = [1.6, 1.6, np.nan, np.nan]
    numbers, plain = all_texts(NUMBERS, targets), all_texts(PLAIN, targets)
    assert TECHNICAL_TERMS.search(plain) is None
    assert TECHNICAL_TERMS.search(numbers) is not None
    percentiles_in_numbers = re.findall(r"\bp(\d+(?:\.\d+)?)", numbers)
    assert any("." in percentile for percentile in percentiles_in_numbers)
    # The plain wording has the same percentiles, rounded to integers, in the same order.
    assert [f"{float(percentile):.0f}" for percentile in percentiles_in_numbers] == re.findall(
        r"(?<![\w.])\d+(?:\.\d+)?", plain
    )


def test_repair_below_one_percentile_keeps_a_decimal():
    assert repairs_text._from_to(80.4, 80.0, PLAIN) == "80.4 → 80"
    assert repairs_text._from_to(81.0, 80.0, PLAIN) == "81 → 80"
    assert repairs_text._from_to(80.4, 80.0, NUMBERS) == "p80.4 → p80"


def test_saved_sentences_are_reworded():
    saved = "Set humor to p69.7. A point of the frontier at 0.5 nats was taken, p7x and top-p 1 as they were."
    assert NUMBERS.reworded(saved) == saved
    assert PLAIN.reworded(saved) == (
        "Set humor to 70. A point of the frontier with a small effort was taken, p7x and top-p 1 as they were."
    )


def test_limits_of_a_value():
    assert sentences.limit(75.4, 80.9, NUMBERS) == "p75 (reliable), p80 (possible)"
    assert sentences.limit(75.4, 80.9, PLAIN) == "75 (reliable), 80 (possible)"


def test_a_gap_is_worded_by_its_size():
    assert [PLAIN.miss(gap) for gap in (0.05, 0.2, 2.0)] == ["falls just short", "falls well short", "falls far short"]
    assert PLAIN.miss(0.2, several=True) == "fall well short"
    assert NUMBERS.miss(0.004) == "falls less than 0.01 standard deviations short"


def test_agreement_of_scores_with_people():
    assert PLAIN.agreement(0.861, 0.8, 0.9) == "agrees with people 86 times in 100 (80 to 90)"
    assert NUMBERS.agreement(0.861, 0.8, 0.9) == "AUC 0.86 (0.80 to 0.90)"
