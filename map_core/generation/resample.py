"""Whole replies: K candidates of the base model, their rewards, one pick; more of them where a goal asks for it.

Partial replies are scored now and then so that people see a leader early. That is a guide and is paid from a budget
(:data:`PROVISIONAL_SHARE` of the sampling time); replies that have ended are scored on the way in any case. What is
picked depends on the complete replies alone, and so on the request (up to the rounding of a scorer's batches) and
never on how fast the machine was. Drawing more until a goal is met makes the number of candidates depend on their
rewards; the estimates stay consistent and are no longer exactly those of a fixed K.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from map_core.generation.events import Event, Finished, More, Scored, Tokens
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.choice import Choice, choose
from map_core.generation.reward_cache import Scoring
from map_core.core.types import Reply

if TYPE_CHECKING:
    from map_core.generation.steering import Steering
    from map_core.engines.base import Engine, Token

#: Partial replies are looked at every so many decoding steps ...
PROVISIONAL_STEPS = 16
#: ... as long as that costs no more than this share of the time that sampling is expected to take.
PROVISIONAL_SHARE = 0.2


class Growing:
    """The candidates as they are written, and what they have cost.

    Args:
        candidates: how many there are at first.
    """

    def __init__(self, candidates: int) -> None:
        self.tokens: list[list[Token]] = [[] for _ in range(candidates)]
        self.step = self.drawn = 0
        self.seconds = 0.0

    def replies(self) -> list[Reply]:
        """The candidates so far, in order."""
        from map_core.engines.base import reply_of

        return [reply_of(tokens) for tokens in self.tokens]

    @property
    def ended(self) -> bool:
        """No candidate has more to come."""
        return all(tokens and tokens[-1].last for tokens in self.tokens)

    def read(self, stream: Iterator[list[Token]]) -> Iterator[list[Token]]:
        """The steps of an engine's stream; its time is counted, and it is closed at the end."""
        with closing(cast("Generator[list[Token], None, None]", stream)):
            while True:
                began = time.perf_counter()
                tokens = next(stream, None)
                self.seconds += time.perf_counter() - began
                if tokens is None:
                    return
                self.step += bool(tokens)
                self.drawn += len(tokens)
                yield tokens


def whole(
    engine: Engine, scoring: Scoring, request: GenerationRequest, steering: Steering
) -> Generator[Event, None, None]:
    """Draw whole replies and choose among them.

    Args:
        engine: the base model.
        scoring: of this prompt's replies.
        request: what is asked, with the method "resample" or "best".
        steering: the weights in force.

    Yields:
        :class:`Tokens` with :class:`Scored` between them, :class:`More` before a further draw, :class:`Finished`.
    """
    growing = Growing(0)
    most = request.most_candidates or request.candidates
    while True:
        first = len(growing.tokens)
        count = min(request.candidates, most - first)
        if first:
            yield More(first + count)
        growing.tokens += [[] for _ in range(count)]
        yield from _draw(engine, scoring, request, growing, first, count)
        replies = growing.replies()
        rewards = yield from completed(scoring, replies)
        choice = chosen(rewards, request, steering, len(replies))
        if len(replies) >= most or _good_enough(request, choice):
            break
    yield outcome(growing, scoring, replies, rewards, choice, (0.0,) * len(replies))


def completed(scoring: Scoring, replies: Sequence[Reply]) -> Generator[Scored, None, dict[str, tuple[float, ...]]]:
    """Score complete replies on every value of the request; their rewards come back."""
    rewards: dict[str, tuple[float, ...]] = {}
    for name in scoring.names:
        rewards[name] = scoring.rewards(name, replies, complete=True)
        yield Scored(name, rewards[name], provisional=False)
    return rewards


def outcome(
    growing: Growing,
    scoring: Scoring,
    replies: Sequence[Reply],
    rewards: dict[str, tuple[float, ...]],
    choice: Choice,
    log_offsets: tuple[float, ...],
    *notes: str,
) -> Finished:
    """What came of it, with what it has cost; notes come before those of scorers that failed."""
    return Finished(
        replies=tuple(replies),
        rewards=rewards,
        log_offsets=log_offsets,
        choice=choice,
        tokens=growing.drawn,
        sampling_seconds=growing.seconds,
        provisional_seconds=scoring.partial_seconds,
        scoring_seconds=scoring.complete_seconds,
        notes=(*notes, *scoring.failures),
    )


def _draw(
    engine: Engine, scoring: Scoring, request: GenerationRequest, growing: Growing, first: int, count: int
) -> Iterator[Event]:
    stream = engine.sample(
        request.prompt,
        count,
        request.settings,
        request.seed,
        first=first,
        system=request.system,
        history=request.history,
    )
    began = growing.step
    watched = request.provisional and len(growing.tokens) > 1
    for tokens in growing.read(stream):
        moved = [_numbered(token, first) for token in tokens]
        for token in moved:
            growing.tokens[token.candidate].append(token)
        yield Tokens(growing.step, tuple(moved))
        step = growing.step - began
        if not watched or not moved or step % PROVISIONAL_STEPS or growing.ended:
            continue
        replies = growing.replies()
        complete = [reply for reply, one in zip(replies, growing.tokens, strict=True) if one and one[-1].last]
        for name in request.scored if complete else ():
            scoring.rewards(name, complete, complete=False)  # remembered for the end
        expected = scoring.partial_seconds + scoring.expected_seconds(growing.drawn)
        if expected <= PROVISIONAL_SHARE * growing.seconds * request.settings.max_new_tokens / step:
            for name in scoring.partial:
                yield Scored(name, scoring.rewards(name, replies, complete=False), provisional=True)


def _numbered(token: Token, first: int) -> Token:
    return replace(token, candidate=token.candidate + first) if first else token


def _good_enough(request: GenerationRequest, choice: Choice) -> bool:
    enough = request.least_ess is None or choice.ess >= request.least_ess
    return enough and (request.largest_error is None or choice.error <= request.largest_error)


def chosen(
    rewards: dict[str, tuple[float, ...]],
    request: GenerationRequest,
    steering: Steering,
    candidates: int,
    log_offsets: np.ndarray | None = None,
) -> Choice:
    """The choice by the weights in force; values without a weight are not asked for."""
    weights = steering.weights
    names = [name for name in rewards if weights.get(name, 0.0) != 0.0]
    table = np.array([rewards[name] for name in names], dtype=np.float64).reshape(len(names), candidates).T
    return choose(
        table,
        [weights[name] for name in names],
        request.seed,
        log_offsets=log_offsets,
        best=request.method is Method.BEST,
        base=request.base,
    )
