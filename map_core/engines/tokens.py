"""Tokens as engines stream them, and replies joined from them.

Constraint: standard library only, so that reading a stream loads no tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from map_core.core.types import Reply

#: The id of a token that the engine does not report.
UNKNOWN_TOKEN = -1


@dataclass(frozen=True)
class Token:
    """One token of one candidate, as it is drawn.

    Args:
        candidate: index of the reply, from 0 to K - 1.
        token: its id; :data:`UNKNOWN_TOKEN` if the engine does not report it.
        text: the text that this token completes; empty inside a character and for the end of the turn.
        log_prob: natural logarithm of its probability under the model (temperature 1, no truncation); NaN if the engine
            does not report it.
        last: whether it is the last token of the candidate.
        finished: whether it is the end-of-turn token, so that the reply ended by itself; implies ``last``.
        filtered: whether the server's content filter ended the reply here; implies ``last``.
        drawn: whether the model drew it; False for one that only marks a reply as cut or filtered.
    """

    candidate: int
    token: int
    text: str
    log_prob: float
    last: bool
    finished: bool
    filtered: bool = False
    drawn: bool = True


#: The tokens of one decoding step at a time; closing it stops the drawing.
TokenStream = Generator[list[Token], None, None]


def reply_of(tokens: Sequence[Token]) -> Reply:
    """Join the tokens of one candidate, complete or not, to a reply without the end-of-turn token.

    Token ids and log-probabilities are empty if the engine has not reported every one of them.
    """
    drawn = [token for token in tokens if token.drawn and not token.finished]
    ids, log_probs = tuple(token.token for token in drawn), tuple(token.log_prob for token in drawn)
    return Reply(
        text="".join(token.text for token in tokens),
        tokens=() if UNKNOWN_TOKEN in ids else ids,
        log_probs=() if any(math.isnan(log_prob) for log_prob in log_probs) else log_probs,
        finished=any(token.finished for token in tokens),
        filtered=any(token.filtered for token in tokens),
    )
