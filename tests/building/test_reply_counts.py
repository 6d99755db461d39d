"""Tests of the remarks of a build about its replies: reasoning and missing log-probabilities."""

from __future__ import annotations

import math

import pytest

from map_core.building.reply_counts import ReplyCounts
from map_core.building.writer import TableRow
from map_core.core.types import Reply


def counts_of(*texts: str, log_prob: float = -1.0) -> ReplyCounts:
    counts = ReplyCounts()
    for number, text in enumerate(texts):
        reply = Reply(text, (1,), (log_prob,), finished=True)
        counts.add([TableRow(number, reply, log_prob, (0.0,))])
    return counts


@pytest.mark.parametrize(
    ("text", "thinking", "unanswered"),
    [
        ("<think>Bees. The user wants", 1, 1),
        ("\n<think>\nBees.\n</think>\n\nThey collect nectar.", 1, 0),
        ("Bees.</think>They collect nectar.", 1, 0),
        ("They collect nectar.", 0, 0),
        ("I <think> so.", 0, 0),
        ("", 0, 0),
    ],
)
def test_reasoning_in_a_reply_is_counted(text: str, thinking: int, unanswered: int) -> None:
    counts = counts_of(text)
    assert (counts.replies, counts.thinking, counts.unanswered) == (1, thinking, unanswered)


def test_remark_on_reasoning_names_the_remedy() -> None:
    counts = counts_of("<think>Bees.", "<think>Bees.</think>Nectar.", "Nectar.")
    (server,), (local,) = counts.remarks(on_server=True), counts.remarks(on_server=False)
    assert server.startswith("2 of 3 replies contain the model's reasoning")
    assert "1 end before an answer begins" in server
    assert "enable_thinking" in server
    assert "enable_thinking" not in local
    assert "NAME@URL" in local
    assert counts_of("Nectar.").remarks(on_server=True) == ()


def test_remark_on_missing_log_probabilities() -> None:
    partly_known, unknown = counts_of("a", "b"), counts_of("a", log_prob=math.nan)
    partly_known.unknown_log_probs = 1
    assert partly_known.remarks(on_server=True)[0].startswith("1 of 2 replies has no log-probability")
    assert unknown.remarks(on_server=True) == partly_known.remarks(on_server=False) == ()
