"""Tests of the one-line description of a model, which states only what the table contains."""

from __future__ import annotations

import pytest

from map_core.text.speaker import UNKNOWN, speaker


@pytest.mark.parametrize(
    ("name", "size", "good_for"),
    [
        ("smollm2-135m-instruct", "135 million parameters", "a very small demo model: judge the tone, not the facts"),
        ("Qwen2.5-0.5B", "500 million parameters", "a very small demo model: judge the tone, not the facts"),
        ("org/llama-3.1-8B-Instruct", "8 billion parameters", "a small model: check its facts"),
        ("big-70b", "70 billion parameters", UNKNOWN),
        ("gpt-x", "size not known", UNKNOWN),
        ("phi-3-mini-4k-instruct", "size not known", UNKNOWN),
        ("a1b2c3", "size not known", UNKNOWN),
    ],
)
def test_size_is_read_from_the_name_if_possible(name, size, good_for):
    line = speaker({"model": {"name": name}})
    assert (line.model, line.size, line.good_for) == (name, size, good_for)


def test_metadata_of_the_table_take_precedence():
    line = speaker({"model": {"name": "tuned-7b", "parameters": 7.6e9, "good_for": " letters to\n patients "}})
    assert line.size == "7.6 billion parameters"
    assert line.good_for == line.short == "letters to patients"


@pytest.mark.parametrize("metadata", [{}, {"model": None}, {"model": {}}, {"model": {"name": "  "}}])
def test_table_without_a_model_name(metadata):
    line = speaker(metadata)
    assert line.model == "A model that the table does not name"
    assert line.size == "size not known"
    assert line.good_for == UNKNOWN


def test_the_address_of_a_server_is_not_shown():
    assert speaker({"model": {"name": "mine@http://gpu-box:8000/v1"}}).model == "mine"


@pytest.mark.parametrize("parameters", [True, "many", -3, [7]])
def test_invalid_number_of_parameters_is_ignored(parameters):
    assert speaker({"model": {"name": "mine", "parameters": parameters}}).size == "size not known"
