"""Tests of the texts of a tuning: levels as percentiles, outcomes, estimates."""

from __future__ import annotations

import pytest

from map_core.text.tuning import (
    GRID,
    OUTCOMES,
    ROUTES,
    LevelWords,
    checking_sentence,
    distance_sentence,
    estimate_sentence,
    level_rows,
    overall_sentence,
    place_of,
    proposal_sentence,
    round_sentences,
    scale_sentence,
    value_outcomes,
)
from map_core.text.wording import NUMBERS, PLAIN
from map_core.tuning.check import TuningOutcome
from map_core.tuning.settings import TuningMethod

#: Percentiles 0 to 100 are levels 0 to 1.
GRIDS = {"humor": (GRID / 100).tolist()}


def value_check(outcome: str | None = "delivers", tuned: float = 0.6) -> dict[str, object]:
    return {"base": 0.5, "tuned": tuned, "tuned_error": 0.05, "forecast": 0.62, "outcome": outcome}


def make_check(*outcomes: str | None, share: float | None = 0.8) -> dict[str, object]:
    values = {f"v{n}": value_check(outcome) for n, outcome in enumerate(outcomes)}
    interval = [None, None] if share is None else [share - 0.1, share + 0.1]
    return {
        "values": values,
        "share_of_way": share,
        "share_of_way_interval": interval,
        "level": 0.9,
        "prompts": 8,
        "replies": 4,
    }


def test_every_method_and_outcome_has_a_text():
    assert set(ROUTES) == {method.value for method in TuningMethod}
    assert set(OUTCOMES) == {outcome.value for outcome in TuningOutcome}


def test_round_sentence_compares_levels_with_targets():
    words = LevelWords({"humor": "Humor"}, GRIDS, PLAIN)
    rounds = [{"levels": {"humor": 0.55}, "targets": {"humor": 0.6}}]
    assert round_sentences(rounds, words) == ["Round 1: Humor 55 (target 60)."]
    rounds[0]["holds"] = True
    assert round_sentences(rounds, words)[0].endswith("(target 60). The targets hold, within the margin of error.")
    assert round_sentences([], words) == []


def test_levels_are_shown_as_percentiles_of_the_base_replies():
    assert place_of(GRIDS["humor"], 0.25) == pytest.approx(25.0)
    assert place_of(None, 0.25) is None
    assert place_of(GRIDS["humor"], None) is None
    words = LevelWords({"humor": "Humor"}, GRIDS, PLAIN)
    assert (words.level("humor", 0.25), words.level("kindness", 0.25), words.level("humor", None)) == (
        "25",
        "0.25",
        "–",
    )
    assert LevelWords({}, GRIDS, NUMBERS).level("humor", 0.25) == "p25"


def test_scale_sentence():
    assert "out of 100" not in scale_sentence(LevelWords({}, {}, PLAIN))
    assert "of 100 replies" in scale_sentence(LevelWords({}, GRIDS, PLAIN))
    assert "percentiles" in scale_sentence(LevelWords({}, GRIDS, NUMBERS))


def test_targeted_values_come_first():
    levels = {name: {"base": 0.5, "tuned": 0.6, "forecast": 0.7} for name in ("humor", "kindness")}
    header, rows = level_rows(levels, {"kindness": 0.65}, LevelWords({}, GRIDS, PLAIN))
    assert len(header) == 5
    assert rows == [["kindness", "0.5", "0.6", "0.65", "0.7"], ["humor", "50", "60", "no target", "70"]]


def test_targeted_values_have_an_outcome_with_an_interval():
    words = LevelWords({"v0": "Humor"}, {"v0": GRIDS["humor"]}, PLAIN)
    (outcome,) = value_outcomes(make_check("falls short", None), words)
    assert (outcome.title, outcome.outcome) == ("Humor", "falls short")
    assert outcome.sentence == "60 where 62 was forecast; the true level lies from 55 to 65 in 90 of 100 cases."


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("delivers", "delivers", None), "delivers what"),
        (("delivers", "falls short"), "falls short of"),
        (("delivers", "overshoots"), "goes further"),
        (("delivers", "unsure"), "Too few replies"),
    ],
)
def test_the_verdict_is_that_of_the_worst_value(outcomes, expected):
    sentence = overall_sentence(make_check(*outcomes))
    assert expected in sentence
    assert "80% of the way" in sentence
    assert "70% to 90% in 90 of 100 cases (8 prompts that it was not tuned on, 4 replies each)" in sentence


def test_negative_share_of_the_way_reads_as_none():
    assert "It comes none of the way" in overall_sentence(make_check("falls short", share=-2.3))
    assert "of the way" not in overall_sentence(make_check("unsure", share=None))


def test_estimate_has_readable_units():
    estimate = {
        "step_seconds": 37.5,
        "seconds": 1800.0,
        "peak_bytes": 4_500_000_000,
        "checkpoint_bytes": 24_000_000,
        "result_bytes": 9_000_000,
    }
    sentence = estimate_sentence(estimate)
    assert "30 minutes" in sentence
    assert "4.50 GB of memory, and 24.0 MB of disk space" in sentence
    assert "on the way" in sentence
    assert "on the way" not in estimate_sentence(estimate | {"step_seconds": None})
    read_earlier = estimate_sentence(estimate | {"step_seconds": None, "seconds": 0.0})
    assert "0 seconds" not in read_earlier
    assert "read for an earlier model" in read_earlier


def test_times_of_rounds_and_checks_are_stated_if_measured():
    assert checking_sentence({}) == ""
    assert checking_sentence({"check_seconds": 60.4}) == "Testing it on new prompts takes about 60 seconds."
    rounds = {"rounds": 4, "round_seconds": 150.0, "check_seconds": 40.0}
    assert checking_sentence(rounds) == (
        "Answering prompts takes about 2 minutes each time, 10 minutes if it learns 4 times, with this machine as busy "
        "as it is now. Testing it on new prompts takes about 40 seconds."
    )


def test_distance_is_in_nats_in_the_numbers_wording():
    assert distance_sentence(0.5, 0.29, NUMBERS).endswith("0.50 nats; the palette needs 0.29 nats.")
    assert "nats" not in distance_sentence(-0.1, 0.29, PLAIN)


@pytest.mark.parametrize(("ess", "expected"), [(4.2, "is close to"), (2.2, "is on the way to"), (1.1, "is far from")])
def test_proposal_sentence_depends_on_the_effective_sample_size(ess, expected):
    assert expected in proposal_sentence("Kind", ess, 5)
