"""Collect candidates as they are written, score the complete ones, and choose one by the weights in force."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, cast

import numpy as np

from map_core.core.types import Reply
from map_core.engines.tokens import Token, reply_of
from map_core.generation.choice import Choice, choose
from map_core.generation.events import Finished, Scored
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.generation.steering import Steering


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
