"""Rejection by segments: one reply, written a segment at a time, each segment proposed until its reward is accepted.

At each segment up to K continuations of what is written are proposed, a round at a time. A proposal is accepted
with probability min(1, exp(beta (lambda . r - goal))), with beta rising in a straight line to 1 at the longest
reply and the goal lambda . c, what the targets ask of a reply (one standard deviation above the segment's first
round where it is not known); when none is accepted in K proposals one is drawn by softmax(beta lambda . r). It
spends less than whole replies where the first proposals are good. It is no sample of the tilted distribution (its
reply depends on rewards of beginnings): it stands beside the other methods for comparison.

Source: the idea of Li et al., Cascade reward sampling, 2024 (arXiv 2406.16306), with blocks of a fixed length.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from map_core.core.types import Reply
from map_core.generation.candidates import Growing, completed, outcome
from map_core.generation.choice import Choice
from map_core.generation.events import Event, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.engines.base import Engine, Token
    from map_core.generation.steering import Steering

#: Rounds that the K proposals of a segment come in.
ROUNDS = 4
_SEED_STRIDE = 4096
_ACCEPTING_STREAM = 0x5E67


def segments(
    engine: Engine, scoring: Scoring, request: GenerationRequest, steering: Steering
) -> Generator[Event, None, None]:
    """Write one reply by segments, and beside it the base reply; two candidates come of it, the base one first.

    Args:
        engine: the base model; one that goes on from beginnings.
        scoring: of this prompt's replies.
        request: what is asked; K proposals a segment at most.
        steering: the weights in force.

    Yields:
        :class:`Tokens` of accepted segments and of the base reply, :class:`Scored` a value, :class:`Finished`.
    """
    from map_core.engines.base import candidate_seed, reply_of

    longest = request.settings.max_new_tokens
    growing = Growing(2)
    stream = np.random.default_rng([request.seed, _ACCEPTING_STREAM])
    seeds = iter(range(_SEED_STRIDE, 2**30))
    asked = {"system": request.system, "history": request.history}
    plain = engine.sample(request.prompt, 1, request.settings, request.seed, **asked)  # type: ignore[arg-type]
    for tokens in growing.read(plain):
        growing.tokens[0] += tokens
        yield Tokens(growing.step, tuple(tokens))
    reply = growing.tokens[1]
    for start in range(0, longest, request.block):
        size = min(request.block, longest - start)
        settings, beta = replace(request.settings, max_new_tokens=size), (start + size) / longest
        written = [token.token for token in reply]
        proposals: list[list[Token]] = []
        scores: list[float] = []
        goal, accepted = 0.0, -1
        a_round = max(1, request.candidates // ROUNDS)
        while accepted < 0 and len(proposals) < request.candidates:
            count = min(a_round, request.candidates - len(proposals))
            drawn: list[list[Token]] = [[] for _ in range(count)]
            own = [candidate_seed(request.seed, next(seeds)) for _ in range(count)]
            stepping = engine.extend(request.prompt, [written] * count, settings, own, **asked)  # type: ignore[arg-type]
            for tokens in growing.read(stepping):
                for token in tokens:
                    drawn[token.candidate].append(token)
            fresh = _scores(scoring, steering, [reply_of([*reply, *one]) for one in drawn])
            goal = goal if proposals else _goal(request, fresh)
            for number, score in enumerate(fresh, start=len(proposals)):
                if accepted < 0 and stream.random() < np.exp(min(0.0, beta * (score - goal))):
                    accepted = number
            proposals += drawn
            scores += fresh
        if accepted < 0:
            shares = np.exp(beta * (np.array(scores) - max(scores)))
            accepted = int(stream.choice(len(shares), p=shares / shares.sum()))
        last = start + size >= longest
        for token in proposals[accepted]:
            reply.append(replace(token, candidate=1, last=token.finished or (last and token.last)))
            yield Tokens(growing.step, (reply[-1],))
        if reply[-1].last:
            break
    replies = growing.replies()
    final = yield from completed(scoring, replies)
    choice = Choice((0.0, 1.0), float("nan"), 1.0, float("nan"), 0.0, picked=1, base=0)
    yield outcome(growing, scoring, replies, final, choice, (float("inf"), 0.0))


def _goal(request: GenerationRequest, first: list[float]) -> float:
    return float(np.mean(first) + np.std(first)) if request.goal is None else request.goal


def _scores(scoring: Scoring, steering: Steering, replies: list[Reply]) -> list[float]:
    """lambda . r of partial replies, by the values that can score them."""
    total = np.zeros(len(replies))
    for name in scoring.partial:
        if weight := steering.weights.get(name, 0.0):
            total += weight * np.nan_to_num(scoring.rewards(name, replies, complete=False))
    return [float(score) for score in total]
