"""Reads the stream of one reply that a server draws: its tokens, what ends it, and whether all tokens were told.

Constraint: standard library only; the chunks are those of the openai client.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from map_core.engines.tokens import UNKNOWN_TOKEN, Token
from map_core.errors import EngineError

#: Fields of an answer in which servers put what a model thinks before it speaks (vLLM, llama.cpp; OpenRouter, Ollama).
THINKING = ("reasoning_content", "reasoning")
#: Tokens around hidden thoughts that a server counts and may not tell: the marks before and after them, a line's end.
_UNTOLD_AROUND_THOUGHTS = 3


@dataclass
class RemoteCandidate:
    """A candidate that is being read.

    Args:
        candidate: its place in the call.
        most: the most tokens that it may have.
        drawn: tokens so far; pieces of text where the server does not report tokens.
        told: log-probabilities that the server has told so far, those of thoughts and of the end included.
        thoughts: pieces of hidden thinking so far, which are no part of the reply.
        half: the first half of a character whose second one is to come.
        said: whether any text of the reply has come.
        ended: nothing more of the reply is to come.
        untold: tokens that the server may count and not tell.
        waiting: tokens that nobody has taken yet.
        held: the last token, until :meth:`close`.
    """

    candidate: int
    most: int
    drawn: int = 0
    told: int = 0
    thoughts: int = 0
    half: str = ""
    said: bool = False
    ended: bool = False
    untold: int = 0
    waiting: deque[Token] = field(default_factory=deque)
    held: list[Token] = field(default_factory=list)

    def take(self, choice: Any) -> None:
        """Read a chunk's part of this candidate.

        A chunk of several tokens has one text: it belongs to the last of them. The end may come with the last token
        (vLLM) or in a chunk of its own (llama.cpp, transformers).

        Raises:
            EngineError: the server ended the reply for another reason than its end, its length or its filter.
        """
        if self.ended:
            return
        reason = choice.finish_reason or None
        text = self._whole_characters(choice.delta.content or "", reason is not None)
        reason = "stop" if reason == "eos_token" else reason  # text-generation-inference's word for it
        reported = told_log_probs(choice)
        self.told += len(reported)
        if any(getattr(choice.delta, name, None) for name in THINKING):
            # The log-probabilities of thoughts, alone or mixed with the reply's, are not the reply's.
            self.thoughts += max(1, len(reported))
            reported = []
        self.said |= bool(text)
        if reason is not None and self.thoughts and not self.said and reason != "content_filter":
            raise EngineError(
                f"The model spent all {self.thoughts:,} tokens of a reply on hidden thinking and said nothing. Allow "
                "more tokens (--max-new-tokens), or start the server with thinking switched off: llama.cpp's "
                "--reasoning-budget 0, or enable_thinking false in vLLM's --default-chat-template-kwargs."
            )
        if reason not in (None, "stop", "length", "content_filter"):
            raise EngineError(
                f"The server ended a reply for the reason {reason!r}; expected stop or length. Ask something else."
            )
        end: list[Token] = []
        if reason == "stop":
            end = [Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, last=True, finished=True)]
            self.untold = 1
        elif reason == "content_filter":
            end = [self._no_token(filtered=True)]
        elif reason == "length" and self.told and not text and not reported:
            end = [self._no_token()]
        if reason == "stop" and reported and not (reported[-1][0] and text.endswith(reported[-1][0])):
            # The last reported token is the end-of-turn token: its text is not the reply's.
            end = [replace(end[0], log_prob=reported.pop()[1])]
            self.untold = 0
        log_probs = [log_prob for _, log_prob in reported] or (
            [math.nan] if text or (reason == "length" and not end) else []
        )
        tokens = [
            Token(self.candidate, UNKNOWN_TOKEN, "", log_prob, last=False, finished=False) for log_prob in log_probs
        ]
        if tokens:
            tokens[-1] = replace(tokens[-1], text=text)
        self.drawn += len(tokens)
        # Where tokens are reported, the last one is known when it comes: an end in a later chunk brings none.
        self.ended = bool(reason) or (bool(reported) and self.drawn >= self.most)
        tokens += end
        if self.ended:
            self.held = [replace(tokens.pop(), last=True)]
        self.waiting.extend(tokens)

    def close(self, missing: int = 0) -> None:
        """Let the last token go, after so many that the server has counted and not told."""
        untold = Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, last=False, finished=False)
        self.waiting.extend([*[untold] * missing, *self.held])
        self.held = []

    def _whole_characters(self, text: str, at_end: bool) -> str:
        """Return text whose characters can be written: halves of one (surrogates) joined, or replaced by U+FFFD.

        Servers that cut text by UTF-16 send an emoji in two chunks.
        """
        text, self.half = self.half + text, ""
        if not at_end and "\ud800" <= text[-1:] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _no_token(self, filtered: bool = False) -> Token:
        """Return what says that a reply is at its end without a token of the model's."""
        return Token(
            self.candidate, UNKNOWN_TOKEN, "", math.nan, last=True, finished=False, filtered=filtered, drawn=False
        )

    @property
    def most_counted(self) -> int:
        """The most tokens that the server can have counted if it told all those of the reply."""
        return self.told + self.untold + (_UNTOLD_AROUND_THOUGHTS if self.thoughts else 0)


def told_log_probs(choice: Any) -> list[tuple[str, float]]:
    """Return the tokens that a chunk tells with their log-probabilities."""
    return [(str(t.token), float(t.logprob)) for t in (choice.logprobs and choice.logprobs.content) or ()]


def close_all(candidates: Sequence[RemoteCandidate], counted: int | None) -> None:
    """Let the last tokens of the replies to one request go.

    A server may tell fewer log-probabilities than it has drawn tokens: llama.cpp tells one where several tokens make a
    character. Such a reply gets the tokens that it lacks, without log-probabilities, so that those of the whole reply
    count as unknown (:func:`map_core.engines.tokens.reply_of`).

    Args:
        candidates: the replies, all ended.
        counted: the tokens of all of them as the server counts them; None where it does not.
    """
    tells = any(candidate.told for candidate in candidates)
    if tells and counted is None and any(c.drawn < c.most and not c.held[0].drawn for c in candidates):
        # Cut before the length that was asked for, and nobody counts: tokens may lack.
        counted = sum(candidate.most_counted for candidate in candidates) + 1
    missing = max(0, (counted or 0) - sum(candidate.most_counted for candidate in candidates)) if tells else 0
    for candidate in candidates:
        # Which of several replies lacks tokens is not known.
        candidate.close(missing if len(candidates) == 1 else min(missing, 1))
