"""Tests of cut replies: the mark, and the text without its incomplete last sentence."""

from __future__ import annotations

import pytest

from map_core.core.cut_replies import complete_sentences, with_mark


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. Take a coat. And then", "It rains. Take a coat."),
        ("Is it so? Yes! Quite sure", "Is it so? Yes!"),
        ('She said: "Go." Then she sm', 'She said: "Go."'),
        ("It is **done.** And more", "It is **done.**"),
        ("Two things:\n\n1. Sleep well.\n2. Eat\n3", "Two things:\n\n1. Sleep well."),
        ("First come the long words of a sentence. 10. Nex", "First come the long words of a sentence. 10."),
        ("Erst regnet es…\nDann sch", "Erst regnet es…"),
        ("It costs 3.50 or 4.75 in all of the sh", "It costs 3.50 or 4.75 in all of the sh"),
        ("No end at all", "No end at all"),
        (
            "A. This sentence is far longer than what would be left of th",
            "A. This sentence is far longer than what would be left of th",
        ),
        ("Whole to the end.", "Whole to the end."),
        ("", ""),
    ],
)
def test_complete_sentences_by_hand(text, expected):
    assert complete_sentences(text) == expected


def test_the_mark_stays_with_the_last_word():
    assert with_mark(complete_sentences("It rains. Take a coat. And then"), True) == "It rains. Take a coat.\u00a0…"
    assert with_mark("It rains.", False) == "It rains."
