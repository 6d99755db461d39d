"""Tests of the texts on results of tuned models: tables of checks and the facts of a study."""

from __future__ import annotations

import pytest

from map_core.studies.tuning_study import TuningStudy
from map_core.text.tuning import GRID, LevelWords
from map_core.text.tuning_evidence import check_rows, choosing_rows, palette_title, study_facts, study_sentence
from map_core.text.wording import NUMBERS, PLAIN
from tests.text.test_tuning import make_check

LEVEL_WORDS = LevelWords({"v0": "Humor", "v1": "Kindness"}, {"v0": (GRID / 100).tolist()}, PLAIN)


def choice(candidates: int, share_of_way: float) -> dict[str, object]:
    return {
        "candidates": candidates,
        "share_of_way": share_of_way,
        "share_of_way_interval": [share_of_way - 0.1, share_of_way + 0.1],
        "ess": 1.9,
    }


def check_with_choices(*outcomes: str | None) -> dict[str, object]:
    choices = {"tuned": [choice(1, 0.4), choice(4, 0.7)], "base": [choice(1, 0.0), choice(16, 0.9)]}
    return {**make_check(*outcomes), "kl": 0.5, "kl_forecast": 0.29, "choosing": choices}


def test_check_rows():
    checks = [("Kind", check_with_choices("falls short", "delivers", None)), ("New", None)]
    header, rows = check_rows(checks, "Tuned model", LEVEL_WORDS)
    assert [header[0], *header[-3:]] == ["Tuned model", "Effort", "Needed", "Values"]
    assert rows[0] == ["Kind", "80%", "70% to 90%", "small", "very small", "Humor: falls short; Kindness: delivers"]
    assert rows[1][:2] == ["New", "not checked yet"]
    assert {len(row) for row in (header, *rows)} == {6}
    _, (numbers, _) = check_rows(checks, "Tuned model", LevelWords({}, {}, NUMBERS))
    assert numbers[3:5] == ["0.50", "0.29"]


def test_choosing_rows_compare_tuned_and_base_model():
    header, rows = choosing_rows(check_with_choices("delivers"), LEVEL_WORDS)
    assert rows == [
        ["1 reply", "40% (30% to 50%)", "0% (-10% to 10%)"],
        ["4 replies", "70% (60% to 80%)", ""],
        ["16 replies", "", "90% (80% to 100%)"],
    ]
    header, rows = choosing_rows(check_with_choices("delivers"), LevelWords({}, {}, NUMBERS))
    assert "Effective sample size" in header[3]
    assert rows[1][3:] == ["1.9", ""]


def make_study(**summary: object) -> TuningStudy:
    study_summary = {
        "palettes": 2,
        "share_of_way": 0.6,
        "share_of_way_interval": [0.5, 0.7],
        "lowest_share_of_a_value": 0.2,
        "nats_over_lambdas": 1.3,
        "training_cpu_seconds": 1500.0,
        "tuned, 4 candidates": {"share_of_way": 0.8, "ess": 2.1, "tokens": 500},
        "base, 16 candidates": {"share_of_way": 0.9, "ess": 8.0, "tokens": 2000},
        **summary,
    }
    palettes = tuple(
        {"asked": ["v0=p65", "v1=p60"], "check": check_with_choices("delivers", "falls short")} for _ in range(2)
    )
    return TuningStudy(
        "pairs", "python -m tests.benchmarks.bench_tuning", "2026-11-30", "two cores", study_summary, palettes
    )


def test_palette_title_lists_values_and_levels():
    assert palette_title(["v0=p65", "v1=p60"], LEVEL_WORDS) == "Humor at 65, kindness at 60"
    assert palette_title(["v0=p65"], LevelWords({"v0": "Humor"}, {}, NUMBERS)) == "Humor at p65"


def test_study_facts_show_the_summary():
    facts = study_facts(make_study(), LEVEL_WORDS)
    assert [figure for _, figure, _ in facts] == ["60%", "20%", "1.30 times", "80%", "25 minutes"]
    assert "90%" in facts[3][2]
    assert "effective" not in facts[3][2]
    assert "effective sample size 2.1" in study_facts(make_study(), LevelWords({}, {}, NUMBERS))[3][2]
    assert len(study_facts(make_study(**{"base, 16 candidates": None}), LEVEL_WORDS)) == 4


@pytest.mark.parametrize("part", ["Compare replies", "8 prompts", "4 replies each", "2026-11-30, two cores"])
def test_study_sentence_states_method_date_and_machine(part: str):
    assert part in study_sentence(make_study())
