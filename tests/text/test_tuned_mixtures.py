"""Tests of the texts that compare mixed models with exact decoding."""

from __future__ import annotations

from map_core.text.tuned_mixtures import how_sentence, missing_sentence, mixture_rows, parts_sentence
from map_core.text.tuning import LevelWords
from map_core.text.wording import NUMBERS, PLAIN

RESULT = {
    "prompts": 16,
    "replies": 8,
    "levels": {"humor": {"base": 0.0, "tuned": 0.2, "forecast": 0.3}},
    "share_of_way": 0.6,
    "share_of_way_90": [0.4, 0.8],
    "kl": 0.5,
    "kl_forecast": 0.29,
}


def test_rows_compare_the_methods():
    soup = {**RESULT, "share_of_way": 0.3, "share_of_way_90": None, "kl": -0.01}
    header, rows = mixture_rows(RESULT, soup, ["humor"], LevelWords({"humor": "Humor"}, {}, PLAIN))
    assert header[-2:] == ["Effort", "Humor"]
    assert [row[1:] for row in rows] == [
        ["100%", "", "very small", "0.3"],
        ["60%", "40% to 80%", "small", "0.2"],
        ["30%", "", "no", "0.2"],
    ]
    _, rows = mixture_rows(RESULT, None, ["humor"], LevelWords({}, {}, NUMBERS))
    assert [row[3] for row in rows] == ["0.29", "0.50"]


def test_sentences_state_the_sample_and_the_parts():
    assert "16 prompts" in how_sentence(RESULT)
    assert "8 replies" in how_sentence(RESULT)
    text = parts_sentence({"kind": 0.922, "funny": 0.0}, {"kind": 1.0})
    assert text == "Weights of the mixture: kind 0.92 and funny 0.00. Shares of the average: kind 100%."
    assert "Shares" not in parts_sentence({"kind": 0.0}, {})


def test_values_without_a_model_are_named():
    assert "Kindness has one. For humor there is none yet" in missing_sentence(["kindness"], ["humor"])
    assert "For humor and wit there is none" in missing_sentence([], ["humor", "wit"])
