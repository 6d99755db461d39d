"""Collect candidates as they are written, score the complete ones, and choose one by the current weights."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from map_core.core.types import Reply
from map_core.engines.tokens import Token, TokenStream, reply_of
from map_core.errors import EngineError
from map_core.generation.choice import Choice
from map_core.generation.events import Finished, Scored
from map_core.generation.reply_floors import choose_above_floors
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.reward_cache import Scoring
from map_core.generation.weighted_rewards import weighted_rewards

if TYPE_CHECKING:
    from map_core.generation.weights import CurrentWeights


class CandidateBuffer:
    """The tokens of each candidate so far, with their count and the time they took.

    Args:
        candidates: the initial number.

    Attributes:
        tokens: (candidate, token).
        step: decoding steps with tokens so far.
        drawn: tokens so far, over all candidates, replaced ones included.
        seconds: time spent in the engine.
    """

    def __init__(self, candidates: int) -> None:
        self.tokens: list[list[Token]] = [[] for _ in range(candidates)]
        self.step = self.drawn = 0
        self.seconds = 0.0

    def replies(self) -> list[Reply]:
        """Return the candidates so far, in order."""
        return [reply_of(tokens) for tokens in self.tokens]

    def has_ended(self, candidate: int) -> bool:
        """Return whether a candidate is complete."""
        tokens = self.tokens[candidate]
        return bool(tokens) and tokens[-1].last

    @property
    def ended(self) -> bool:
        """Whether every candidate is complete."""
        return all(map(self.has_ended, range(len(self.tokens))))

    def read(self, stream: TokenStream) -> Iterator[list[Token]]:
        """Yield the steps of an engine's stream, count its time, and close it at the end.

        Raises:
            EngineError: a server's content filter cut a reply short, so that the candidates are no fair sample.
        """
        with closing(stream):
            while True:
                began = time.perf_counter()
                tokens = next(stream, None)
                self.seconds += time.perf_counter() - began
                if tokens is None:
                    return
                if any(token.filtered for token in tokens):
                    raise EngineError("The server's content filter ended a reply. Ask something else.")
                self.step += bool(tokens)
                self.drawn += len(tokens)
                yield tokens


def partial_gains(
    scoring: Scoring, request: GenerationRequest, buffer: CandidateBuffer, weights: CurrentWeights
) -> Generator[Scored, None, np.ndarray | None]:
    """Score the partial replies, yield each value's rewards, and return lambda . r, (candidate,) nats.

    Values that cannot score partial replies are left out; None where no weighted value can.
    """
    weighted = request.values_of(name for name, weight in weights.by_value.items() if weight != 0.0)
    replies, rewards = buffer.replies(), {}
    for name in (name for name in scoring.partial if name in weighted):
        rewards[name] = scoring.rewards(name, replies, complete=False)
        yield Scored(name, rewards[name], provisional=True)
    if not rewards:
        return None
    # Weights may have changed while the values were being scored: those of unscored values count later.
    table, lam = weighted_rewards(rewards, weights.by_value, len(replies))
    gains = np.asarray(table @ np.array(lam))
    known = gains[~np.isnan(gains)]
    # A partial reply that cannot be scored predicts nothing: it gets the mean, whatever the range of the rewards.
    return np.where(np.isnan(gains), known.mean() if known.size else 0.0, gains)


def score_complete(
    scoring: Scoring, replies: Sequence[Reply], indices: Sequence[int] | None = None
) -> Generator[Scored, None, dict[str, tuple[float, ...]]]:
    """Score complete replies on every value of the request, yield each value's, and return rewards by value.

    Args:
        scoring: of this prompt's replies.
        replies: all candidates.
        indices: of the complete ones; the others get NaN. None when all are complete.
    """
    rewards: dict[str, tuple[float, ...]] = {}
    for name in scoring.names:
        if indices is None:
            rewards[name] = scoring.rewards(name, replies, complete=True)
        else:
            column = np.full(len(replies), np.nan)
            column[list(indices)] = scoring.rewards(name, [replies[k] for k in indices], complete=True)
            rewards[name] = tuple(column.tolist())
        yield Scored(name, rewards[name], provisional=False)
    return rewards


def finished_event(
    buffer: CandidateBuffer,
    scoring: Scoring,
    replies: Sequence[Reply],
    rewards: dict[str, tuple[float, ...]],
    choice: Choice,
    log_offsets: tuple[float, ...],
    *notes: str,
) -> Finished:
    """Build the last event; ``notes`` come before those on failures of scorers."""
    return Finished(
        replies=tuple(replies),
        rewards=rewards,
        log_offsets=log_offsets,
        choice=choice,
        tokens=buffer.drawn,
        sampling_seconds=buffer.seconds,
        provisional_seconds=scoring.partial_seconds,
        scoring_seconds=scoring.complete_seconds,
        notes=(*notes, *scoring.failures),
    )


def choose_by_weights(
    rewards: dict[str, tuple[float, ...]],
    request: GenerationRequest,
    weights: CurrentWeights,
    candidates: int,
    log_offsets: np.ndarray | None = None,
) -> Choice:
    """Choose a candidate by the current weights, among those that meet the request's floors."""
    table, counted = weighted_rewards(rewards, weights.by_value, candidates)
    return choose_above_floors(
        rewards,
        request.floors,
        table,
        counted,
        request.seed,
        log_offsets=log_offsets,
        best=request.method is Method.BEST,
        base=request.base,
        headroom=request.headroom,
    )
