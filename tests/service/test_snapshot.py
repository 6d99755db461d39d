"""What a moment of a generation shows: the base reply beside a pick, and replies that were cut."""

from __future__ import annotations

import pytest

from map_core.service.snapshot import Candidate, GenerationSnapshot, Phase


def snapshot(*texts: str, base: int) -> GenerationSnapshot:
    return GenerationSnapshot("id", Phase.DONE, 0, "", tuple(Candidate(text) for text in texts), base, {})


@pytest.mark.parametrize(
    ("texts", "base", "picked", "expected"),
    [
        ("abc", 1, 0, 1),  # two replies: the base model's own draw
        ("abc", 1, 1, 2),  # both on one candidate: the next
        ("abc", 2, 2, 0),  # counted round
        ("aabc", 0, 1, 2),  # two candidates, one reply
        ("aab", 2, 0, 2),
        ("aaa", 1, 2, 1),  # nothing else to show
        ("a", 0, 0, 0),
    ],
)
def test_the_base_reply_differs_from_the_picked_one_where_any_does(texts: str, base: int, picked: int, expected: int):
    assert snapshot(*texts, base=base).base_beside(picked) == expected


def test_a_reply_that_was_cut_ends_in_an_ellipsis():
    assert Candidate("One two ", ended=True).display_text == "One two\u00a0…", "never alone on a line"
    assert Candidate("One two.", ended=True, finished=True).display_text == "One two."
    assert Candidate("One two").display_text == "One two", "it is still being written"
