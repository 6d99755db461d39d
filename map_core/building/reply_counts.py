"""Count what the user should know about the replies of a table while it is written.

Constraint: standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from map_core.building.writer import TableRow
from map_core.core import remedies

#: The marks around the reasoning of many models, which stands in the text where no server takes it out.
THINKING, ANSWER = "<think>", "</think>"


@dataclass
class ReplyCounts:
    """Numbers of replies.

    Args:
        replies: all of them.
        unknown_log_probs: those whose log-probability is unknown.
        thinking: those that contain reasoning in its marks.
        unanswered: those of ``thinking`` that end before the reasoning does.
    """

    replies: int = 0
    unknown_log_probs: int = 0
    thinking: int = 0
    unanswered: int = 0

    def add(self, rows: Iterable[TableRow]) -> None:
        """Count the replies to a prompt."""
        for row in rows:
            text = row.reply.text.lstrip()
            thinks = text.startswith(THINKING) or ANSWER in text  # some templates put the first mark into the prompt
            self.replies += 1
            self.unknown_log_probs += math.isnan(row.log_prob)
            self.thinking += thinks
            self.unanswered += thinks and ANSWER not in text

    def remarks(self, on_server: bool) -> tuple[str, ...]:
        """Return sentences for the user.

        Args:
            on_server: whether a server drew the replies, which may report log-probabilities or not.
        """
        remarks = []
        if on_server and 0 < self.unknown_log_probs < self.replies:
            have = "has" if self.unknown_log_probs == 1 else "have"
            remarks.append(
                f"{self.unknown_log_probs:,} of {self.replies:,} replies {have} no log-probability: the server told "
                "fewer than it counted tokens, as some do where several tokens make one character."
            )
        if self.thinking:
            cut = ""
            if self.unanswered:
                cut = f"; {self.unanswered:,} end before an answer begins{remedies.LONGER_REPLIES}"
            off = '--request-extra \'{"chat_template_kwargs": {"enable_thinking": false}}\''
            how = f"switch thinking off ({off}), or let" if on_server else "use a server (--model NAME@URL) and let"
            remarks.append(
                f"{self.thinking:,} of {self.replies:,} replies contain the model's reasoning in {THINKING} marks, "
                f"which is scored as a part of the reply{cut}. {remedies.THINKING_OFF.of(how)}"
            )
        return tuple(remarks)
