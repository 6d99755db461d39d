"""One place decides between numbers and everyday words: the same result, worded for both kinds of readers."""

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
#: What only engineers read.
FIGURES = re.compile(r"\bnats\b|\bp\d|best of|standard deviation|AUC|percentile")


@pytest.mark.parametrize(
    ("kl", "called"),
    [(0.0, "no"), (4e-4, "no"), (0.3, "very small"), (0.31, "small"), (0.7, "small"), (1.5, "medium"), (9.0, "large")],
)
def test_an_effort_grows_with_the_distance(kl, called):
    assert effort(kl) == called


def test_a_distance_that_is_not_known_has_no_size():
    assert effort(math.nan) == "unknown"


@pytest.mark.parametrize("percentile", [0.0, 49.6, 70.2, 99.9, 100.0])
def test_a_place_is_the_percentile_without_its_letter(percentile):
    assert PLAIN.level(percentile) == NUMBERS.level(percentile).removeprefix("p")
    assert PLAIN.level(percentile, toward="down") == NUMBERS.level(percentile, toward="down").removeprefix("p")


def test_a_level_that_is_not_known_is_a_dash_in_both():
    assert PLAIN.level(math.nan) == NUMBERS.level(math.nan) == "–"
    assert PLAIN.target(math.nan) == NUMBERS.target(math.nan) == "–"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.6, 0.6, "It takes as much effort as now: small effort."),
        (0.6, 1.2, "It takes a medium effort, instead of a small one."),
        (0.6, 0.0, "It takes no effort, instead of a small one."),
        (0.0, 0.6, "It takes a small effort, instead of none."),
        (0.6, 0.65, "It takes a little more effort than now: still a small one."),
        (0.65, 0.4, "It takes less effort than now: still a small one."),
    ],
)
def test_efforts_are_held_against_each_other(before, after, said):
    assert changes.cost_sentence(before, after, PLAIN) == said


def everything(wording, targets: list[float]) -> str:
    """All that is said of a palette."""
    assessment = assess(ORACLE, np.array(targets))
    most = limits(ORACLE, assessment.targets)
    text = verdict.verdict_text(assessment, ORACLE, None, None, VALUES, UNITS.percentile, wording=wording)
    mended = repairs(AttainableLevels(ORACLE), assessment, np.zeros(4, dtype=bool))
    why = repairs_text.conflict_sentence(mended, assessment, VALUES, UNITS.percentile, most, wording)
    ways = repairs_text.repair_texts(mended, assessment, VALUES, UNITS.percentile, most, wording)
    return " ".join([text.sentence, why, *(f"{way.label} {way.meaning}" for way in ways)])


def test_what_is_not_possible_has_the_same_places_in_both_wordings():
    targets = [1.6, 1.6, np.nan, np.nan]
    numbers, plain = everything(NUMBERS, targets), everything(PLAIN, targets)
    assert FIGURES.search(plain) is None
    assert FIGURES.search(numbers) is not None
    places = re.findall(r"\bp(\d+(?:\.\d+)?)", numbers)
    assert any("." in place for place in places)
    # Whole places in everyday words, of the same targets and levels in the same order.
    assert [f"{float(place):.0f}" for place in places] == re.findall(r"(?<![\w.])\d+(?:\.\d+)?", plain)


def test_a_repair_smaller_than_a_place_keeps_the_digits_that_tell():
    assert repairs_text._from_to(80.4, 80.0, PLAIN) == "80.4 → 80"
    assert repairs_text._from_to(81.0, 80.0, PLAIN) == "81 → 80"
    assert repairs_text._from_to(80.4, 80.0, NUMBERS) == "p80.4 → p80"


def test_what_was_kept_with_numbers_is_worded_for_its_reader():
    kept = "Set humor to p69.7. A point of the frontier at 0.5 nats was taken, p7x and top-p 1 as they were."
    assert NUMBERS.reworded(kept) == kept
    assert PLAIN.reworded(kept) == (
        "Set humor to 70. A point of the frontier with a small effort was taken, p7x and top-p 1 as they were."
    )


def test_the_most_of_a_value_is_worded_once():
    assert sentences.limit(75.4, 80.9, NUMBERS) == "p75 (reliable), p80 (possible)"
    assert sentences.limit(75.4, 80.9, PLAIN) == "75 (reliable), 80 (possible)"


def test_a_gap_is_worded_by_its_size():
    assert [PLAIN.miss(gap) for gap in (0.05, 0.2, 2.0)] == ["falls just short", "falls well short", "falls far short"]
    assert PLAIN.miss(0.2, several=True) == "fall well short"
    assert NUMBERS.miss(0.004) == "falls less than 0.01 standard deviations short"


def test_scores_agree_with_people_so_many_times_in_a_hundred():
    assert PLAIN.agreement(0.861, 0.8, 0.9) == "agrees with people 86 times in 100 (80 to 90)"
    assert NUMBERS.agreement(0.861, 0.8, 0.9) == "AUC 0.86 (0.80 to 0.90)"
