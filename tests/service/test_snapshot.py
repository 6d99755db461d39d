"""Tests of generation snapshots: the base reply shown beside a picked one, and truncated replies."""

from __future__ import annotations

import pytest

from map_core.service.snapshot import Candidate, GenerationSnapshot, Phase


def snapshot(*texts: str, base: int) -> GenerationSnapshot:
    return GenerationSnapshot("id", Phase.DONE, 0, "", tuple(Candidate(text) for text in texts), base, {})


@pytest.mark.parametrize(
    ("texts", "base", "picked", "expected"),
    [
        ("abc", 1, 0, 1),  # two replies: the base candidate
        ("abc", 1, 1, 2),  # base and picked candidate are the same: the next one
        ("abc", 2, 2, 0),  # the next one, cyclically
        ("aabc", 0, 1, 2),  # two candidates with the same reply
        ("aab", 2, 0, 2),
        ("aaa", 1, 2, 1),  # no other reply
        ("a", 0, 0, 0),
    ],
)
def test_base_reply_differs_from_the_picked_reply_if_possible(texts: str, base: int, picked: int, expected: int):
    assert snapshot(*texts, base=base).base_beside(picked) == expected


def test_truncated_reply_ends_in_an_ellipsis():
    assert Candidate("One two ", ended=True).display_text == "One two\u00a0…", "never alone on a line"
    assert Candidate("One two.", ended=True, finished=True).display_text == "One two."
    assert Candidate("One two").display_text == "One two", "it is still being written"
