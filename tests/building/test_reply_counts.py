"""What a build says about its replies."""

from __future__ import annotations

import math

import pytest

from map_core.building.reply_counts import ReplyCounts
from map_core.building.writer import TableRow
from map_core.core.types import Reply


def counted(*texts: str, log_prob: float = -1.0) -> ReplyCounts:
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
    counts = counted(text)
    assert (counts.replies, counts.thinking, counts.unanswered) == (1, thinking, unanswered)


def test_reasoning_is_said_with_what_helps() -> None:
    counts = counted("<think>Bees.", "<think>Bees.</think>Nectar.", "Nectar.")
    (server,), (local,) = counts.remarks(on_server=True), counts.remarks(on_server=False)
    assert server.startswith("2 of 3 replies contain the model's reasoning")
    assert "1 end before an answer begins" in server
    assert "enable_thinking" in server
    assert "enable_thinking" not in local
    assert "NAME@URL" in local
    assert counted("Nectar.").remarks(on_server=True) == ()


def test_log_probabilities_that_some_replies_lack_are_said() -> None:
    some, none = counted("a", "b"), counted("a", log_prob=math.nan)
    some.unknown_log_probs = 1
    assert some.remarks(on_server=True)[0].startswith("1 of 2 replies has no log-probability")
    assert none.remarks(on_server=True) == some.remarks(on_server=False) == ()
