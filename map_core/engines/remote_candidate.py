"""Read the stream of one reply that a server draws: its tokens, its end, and whether all tokens were reported.

Constraint: standard library only; the chunks are those of the openai client.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from map_core.core import remedies
from map_core.engines.tokens import UNKNOWN_TOKEN, Token
from map_core.errors import EngineError

#: Fields of an answer in which servers return a model's reasoning (vLLM, llama.cpp; OpenRouter, Ollama).
THINKING = ("reasoning_content", "reasoning")
#: Number of tokens around hidden reasoning that a server counts but may not report: its delimiters and a line end.
_UNREPORTED_AROUND_THOUGHTS = 3


@dataclass
class RemoteCandidate:
    """A candidate that is being read.

    Args:
        candidate: its index in the call.
        most: its maximum number of tokens.
        drawn: number of tokens so far; pieces of text if the server does not report tokens.
        reported: number of log-probabilities received so far, including those of reasoning and of the end.
        thoughts: number of pieces of hidden reasoning so far, which do not belong to the reply.
        half: the first surrogate of a character whose second one is still missing.
        has_text: whether any text of the reply has arrived.
        ended: whether the reply is complete.
        unreported: number of tokens that the server may count without reporting them.
        waiting: tokens that were not taken yet.
        held: the last token, until :meth:`close`.
    """

    candidate: int
    most: int
    drawn: int = 0
    reported: int = 0
    thoughts: int = 0
    half: str = ""
    has_text: bool = False
    ended: bool = False
    unreported: int = 0
    waiting: deque[Token] = field(default_factory=deque)
    held: list[Token] = field(default_factory=list)

    def take(self, choice: Any) -> None:
        """Read a chunk's part of this candidate.

        The text of a chunk with several tokens is assigned to the last of them. The end may come with the last token
        (vLLM) or in a separate chunk (llama.cpp, transformers).

        Raises:
            EngineError: the server ended the reply for a reason other than its end, the length limit or its filter.
        """
        if self.ended:
            return
        reason = choice.finish_reason or None
        text = self._whole_characters(choice.delta.content or "", reason is not None)
        reason = "stop" if reason == "eos_token" else reason  # the name in text-generation-inference
        reported = reported_log_probs(choice)
        self.reported += len(reported)
        if any(getattr(choice.delta, name, None) for name in THINKING):
            # Log-probabilities of reasoning, alone or mixed with the reply's, are not those of the reply.
            self.thoughts += max(1, len(reported))
            reported = []
        self.has_text |= bool(text)
        if reason is not None and self.thoughts and not self.has_text and reason != "content_filter":
            raise EngineError(
                f"The model spent all {self.thoughts:,} tokens of a reply on hidden thinking and said nothing. Allow "
                f"more tokens{remedies.LONGER_REPLIES}, or {remedies.START_WITHOUT_THINKING}"
            )
        if reason not in (None, "stop", "length", "content_filter"):
            raise EngineError(
                f"The server ended a reply for the reason {reason!r}; expected stop or length. Ask something else."
            )
        end: list[Token] = []
        if reason == "stop":
            end = [Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, last=True, finished=True)]
            self.unreported = 1
        elif reason == "content_filter":
            end = [self._no_token(filtered=True)]
        elif reason == "length" and self.reported and not text and not reported:
            end = [self._no_token()]
        if reason == "stop" and reported and not (reported[-1][0] and text.endswith(reported[-1][0])):
            # The last reported token is the end-of-turn token, since the reply does not end with its text.
            end = [replace(end[0], log_prob=reported.pop()[1])]
            self.unreported = 0
        log_probs = [log_prob for _, log_prob in reported] or (
            [math.nan] if text or (reason == "length" and not end) else []
        )
        tokens = [
            Token(self.candidate, UNKNOWN_TOKEN, "", log_prob, last=False, finished=False) for log_prob in log_probs
        ]
        if tokens:
            tokens[-1] = replace(tokens[-1], text=text)
        self.drawn += len(tokens)
        # If tokens are reported, the last one is recognised by their number: a later chunk with the end has none.
        self.ended = bool(reason) or (bool(reported) and self.drawn >= self.most)
        tokens += end
        if self.ended:
            self.held = [replace(tokens.pop(), last=True)]
        self.waiting.extend(tokens)

    def close(self, missing: int = 0) -> None:
        """Release the last token, after ``missing`` tokens that the server has counted but not reported."""
        unreported = Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, last=False, finished=False)
        self.waiting.extend([*[unreported] * missing, *self.held])
        self.held = []

    def _whole_characters(self, text: str, at_end: bool) -> str:
        """Join surrogates that arrive in separate chunks, and replace unpaired ones by U+FFFD.

        Servers that split text by UTF-16 units send an emoji in two chunks.
        """
        text, self.half = self.half + text, ""
        if not at_end and "\ud800" <= text[-1:] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _no_token(self, filtered: bool = False) -> Token:
        """Return a token that marks the end of a reply without being drawn by the model."""
        return Token(
            self.candidate, UNKNOWN_TOKEN, "", math.nan, last=True, finished=False, filtered=filtered, drawn=False
        )

    @property
    def most_counted(self) -> int:
        """The maximum number of tokens that the server has counted if it reported all tokens of the reply."""
        return self.reported + self.unreported + (_UNREPORTED_AROUND_THOUGHTS if self.thoughts else 0)


def reported_log_probs(choice: Any) -> list[tuple[str, float]]:
    """Return the tokens that a chunk reports, with their log-probabilities."""
    content = (choice.logprobs and choice.logprobs.content) or ()
    return [(str(entry.token), float(entry.logprob)) for entry in content]


def close_all(candidates: Sequence[RemoteCandidate], counted: int | None) -> None:
    """Release the last tokens of the replies to one request.

    A server may report fewer log-probabilities than it has drawn tokens: llama.cpp reports one where several tokens
    form a character. Such a reply gets the missing tokens without log-probabilities, so that those of the whole reply
    count as unknown (:func:`map_core.engines.tokens.reply_of`).

    Args:
        candidates: the replies, all ended.
        counted: the server's count of tokens of all of them; None if it does not count.
    """
    reports = any(candidate.reported for candidate in candidates)
    if reports and counted is None and any(c.drawn < c.most and not c.held[0].drawn for c in candidates):
        # A reply was cut before its length limit and the server does not count, so tokens may be missing.
        counted = sum(candidate.most_counted for candidate in candidates) + 1
    missing = max(0, (counted or 0) - sum(candidate.most_counted for candidate in candidates)) if reports else 0
    for candidate in candidates:
        # With several replies it is not known which of them lacks tokens.
        candidate.close(missing if len(candidates) == 1 else min(missing, 1))
