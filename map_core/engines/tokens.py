"""Tokens as engines stream them, and the replies that they add up to.

Constraint: standard library only, so that whoever reads a stream loads no tokenizer.
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
        candidate: which of the K replies, from 0.
        token: its id; :data:`UNKNOWN_TOKEN` where the engine does not report it.
        text: the text that this token makes certain; empty inside a character and for the end of the turn.
        log_prob: natural logarithm of its probability under the model (temperature 1, nothing cut off); NaN where the
            engine does not report it.
        last: no token of this candidate follows.
        finished: it is the end-of-turn token, so the reply ended by itself; implies ``last``.
        filtered: the server's content filter ended the reply here; implies ``last``.
        drawn: it is a token of the model's; False for one that only says that the reply is cut or filtered.
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
    """Join one candidate's tokens, so far or to the end, into a reply (the end-of-turn token left out).

    Token ids and log-probabilities are left out as a whole where the engine does not report every one of them.
    """
    kept = [t for t in tokens if t.drawn and not t.finished]
    ids, log_probs = tuple(t.token for t in kept), tuple(t.log_prob for t in kept)
    return Reply(
        text="".join(t.text for t in tokens),
        tokens=() if UNKNOWN_TOKEN in ids else ids,
        log_probs=() if any(math.isnan(log_prob) for log_prob in log_probs) else log_probs,
        finished=any(t.finished for t in tokens),
        filtered=any(t.filtered for t in tokens),
    )
