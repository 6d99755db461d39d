"""What speaks, in one line: from what the table says, and never more than it says."""

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
def test_a_name_states_a_size_or_it_is_not_known(name, size, good_for):
    line = speaker({"model": {"name": name}})
    assert (line.model, line.size, line.good_for) == (name, size, good_for)


def test_what_the_table_says_counts_first():
    line = speaker({"model": {"name": "tuned-7b", "parameters": 7.6e9, "good_for": " letters to\n patients "}})
    assert line.size == "7.6 billion parameters"
    assert line.good_for == line.short == "letters to patients"


@pytest.mark.parametrize("metadata", [{}, {"model": None}, {"model": {}}, {"model": {"name": "  "}}])
def test_a_table_that_names_no_model_says_so(metadata):
    line = speaker(metadata)
    assert line.model == "A model that the table does not name"
    assert line.size == "size not known"
    assert line.good_for == UNKNOWN


def test_the_address_of_a_server_is_not_shown():
    assert speaker({"model": {"name": "mine@http://gpu-box:8000/v1"}}).model == "mine"


@pytest.mark.parametrize("odd", [True, "many", -3, [7]])
def test_a_number_of_parameters_that_is_none_is_left_out(odd):
    assert speaker({"model": {"name": "mine", "parameters": odd}}).size == "size not known"
