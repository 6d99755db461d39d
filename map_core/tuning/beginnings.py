"""Advantages of a reply's tokens from scores of its beginnings, each some tokens longer than the last.

With S(s) the score of the first tokens s of a reply, the value that a beginning promises is estimated as
G(s) = b (S(s) - mean over the prompt's replies at that length), where a reply that has ended by then counts with its
reward. The slope b of a length is a regression of rewards on scores. The advantage of a token is the change of G over
the stretch that it is in, so that what one stretch earns is not credited to another. A value that cannot be scored
before the end credits its whole reward to every token: right as well, and with more noise. Constraint: numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from map_core.core.types import Reply
from map_core.scoring import Scorer, score_checked


@dataclass(frozen=True, eq=False)
class ScoredBeginnings:
    """A reply with the scores of its beginnings.

    Args:
        stops: (beginning,) tokens of each, increasing; all are shorter than the reply.
        scores: (beginning, value) in reward units.
        rewards: (value,) of the whole reply.
        actions: tokens, and one more where it ended by itself.
    """

    stops: tuple[int, ...]
    scores: np.ndarray
    rewards: np.ndarray
    actions: int


def score_beginnings(
    scorers: Sequence[Scorer | None],
    prompt: str,
    replies: Sequence[Sequence[int]],
    log_probs: Sequence[np.ndarray],
    rewards: np.ndarray,
    finished: np.ndarray,
    decode: Callable[[Sequence[int]], str],
    every: int,
) -> list[ScoredBeginnings]:
    """Score the beginnings of replies to one prompt.

    Args:
        scorers: (value,) one a value; None for one that is not scored before the end.
        prompt: what was asked.
        replies: (reply,) token ids.
        log_probs: (reply,) of the tokens, (token,) at temperature 1.
        rewards: (reply, value) of the whole replies.
        finished: (reply,) ended by itself.
        decode: returns the text of tokens.
        every: tokens from one beginning to the next; no beginning is within half of that of the reply's end.

    Raises:
        ScorerError: a beginning cannot be scored.
    """
    stops = [tuple(range(every, len(tokens) - every // 2, every)) for tokens in replies]
    beginnings = [
        Reply(decode(tokens[:stop]), tuple(tokens[:stop]), tuple(known[:stop].tolist()), finished=False)
        for tokens, known, own in zip(replies, log_probs, stops, strict=True)
        for stop in own
    ]
    scores = np.zeros((len(beginnings), len(scorers)))
    for value, scorer in enumerate(scorers):
        if scorer is not None and beginnings:
            scores[:, value] = score_checked(scorer, prompt, beginnings)
    parts = np.split(scores, np.cumsum([len(own) for own in stops])[:-1])
    return [
        ScoredBeginnings(own, part, row, len(tokens) + int(ended))
        for own, part, row, tokens, ended in zip(stops, parts, rewards, replies, finished, strict=True)
    ]


def centred_scores(replies: Sequence[ScoredBeginnings]) -> list[np.ndarray]:
    """Return the scores (beginning, value) of each reply less the mean of all replies at that length."""
    longest = max((reply.stops for reply in replies), key=len)
    means = []
    for place in range(len(longest)):
        means.append(
            np.mean(
                [reply.scores[place] if place < len(reply.stops) else reply.rewards for reply in replies],
                axis=0,
            )
        )
    return [reply.scores - np.array(means[: len(reply.stops)]).reshape(reply.scores.shape) for reply in replies]


def slopes(prompts: Sequence[Sequence[ScoredBeginnings]]) -> np.ndarray:
    """Return the slopes (beginning, value) of rewards on centred scores; neighbouring lengths share their replies.

    Args:
        prompts: the replies to some prompts.
    """
    count = max(len(reply.stops) for replies in prompts for reply in replies)
    products, squares = np.zeros((2, count + 2, len(prompts[0][0].rewards)))  # a row more at either end
    for replies in prompts:
        mean = np.mean([reply.rewards for reply in replies], axis=0)
        for reply, scores in zip(replies, centred_scores(replies), strict=True):
            products[1 : len(scores) + 1] += scores * (reply.rewards - mean)
            squares[1 : len(scores) + 1] += scores**2
    products, squares = (sums[:-2] + sums[1:-1] + sums[2:] for sums in (products, squares))
    return np.divide(products, squares, out=np.zeros_like(products), where=squares > 1e-12)


def advantages(replies: Sequence[ScoredBeginnings], slopes: np.ndarray, partial: Sequence[bool]) -> list[np.ndarray]:
    """Return the advantages (action, value) of each reply, in reward units.

    Args:
        replies: to one prompt.
        slopes: (beginning, value); the last one stands for all longer beginnings, and 1 where there are none.
        partial: (value,) whether its beginnings were scored.
    """
    mean = np.mean([reply.rewards for reply in replies], axis=0)
    by_reply = []
    for reply, scores in zip(replies, centred_scores(replies), strict=True):
        own = slopes[np.minimum(np.arange(len(scores)), len(slopes) - 1)] if len(slopes) else 1.0
        gain = reply.rewards - mean
        promised = np.vstack([np.zeros_like(gain), scores * own, gain])
        lengths = np.diff([0, *reply.stops, reply.actions])
        change = np.repeat(np.diff(promised, axis=0), lengths, axis=0)
        by_reply.append(np.where(np.asarray(partial), change, gain))
    return by_reply
