"""Candidates stopped early: those that will hardly be picked are not written to their end.

After 32 tokens a quarter of the candidates go on, after 64 an eighth; which, is drawn by what their beginnings
foretell, and a candidate that had a chance p of going on weighs 1/p afterwards. So the candidates that are left, with
their weights, represent the tilted distribution whatever the beginnings foretold, and the estimate of the normaliser
is unbiased; a bad guess costs effective sample size and nothing else.

What a beginning of t tokens foretells is shrunk towards the candidates' mean by t / (t + 16): on the embedded table the
regression of a whole reply's reward on that of its beginning has slopes of 0.5, 0.7 and 0.86 at 16, 32 and 64 tokens
(``python -m tests.benchmarks candidates``). Values that cannot score beginnings count at the end only. Replies that
have ended go on at no cost, and so does the base candidate, which stays a draw from the base model.

Source: Fearnhead and Clifford, On-line inference for hidden Markov models via particle filters, JRSS B 2003 (who goes
on); Sun et al., Fast best-of-N decoding via speculative rejection, 2024 (arXiv 2410.20290), stops candidates without
the weights.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from map_core.generation.candidates import (
    CandidateBuffer,
    choose_by_weights,
    finished_event,
    partial_gains,
    score_complete,
)
from map_core.generation.events import Event, Pruned
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import Scoring
from map_core.generation.smc import extend_block

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.generation.weights import CurrentWeights

#: After so many tokens, this share of the candidates goes on.
SCHEDULE = ((32, 0.25), (64, 0.125))
#: Tokens after which half of a beginning's distance from the mean is believed.
HALF_BELIEVED = 16
_PRUNING_STREAM = 0x9B0E


def sample_pruned(
    engine: Engine, scoring: Scoring, request: GenerationRequest, weights: CurrentWeights
) -> Generator[Event, None, None]:
    """Draw replies and stop unpromising ones on the way.

    Args:
        engine: the base model; one that goes on from beginnings.
        scoring: of this prompt's replies.
        request: what is generated; at least two candidates.
        weights: the current weights.

    Yields:
        :class:`Tokens`; after a part of the replies :class:`Scored` and :class:`Pruned`; then :class:`Scored` a value
        and :class:`Finished`.
    """
    count, longest = request.candidates, request.settings.max_new_tokens
    buffer = CandidateBuffer(count)
    written = np.zeros(count)  # log of the chance with which each was written so far
    stream = np.random.default_rng([request.seed, _PRUNING_STREAM])
    parts = [(end, share) for end, share in SCHEDULE if end < longest]
    start = 0
    for number, (end, share) in enumerate([*parts, (longest, 1.0)]):
        settings = replace(request.settings, max_new_tokens=end - start)
        going = [k for k in np.flatnonzero(np.isfinite(written)).tolist() if not buffer.has_ended(k)]
        yield from extend_block(engine, request, buffer, settings, number, going, final=end == longest)
        start = end
        unfinished = np.array([k for k in going if not buffer.has_ended(k) and k != request.base], dtype=int)
        most = max(1, round(share * count))
        if end == longest or len(unfinished) <= most:
            continue
        gains = yield from partial_gains(scoring, request, buffer, weights)
        phi = np.zeros(count) if gains is None else gains * end / (end + HALF_BELIEVED)
        chances = chances_to_go_on(phi[unfinished] - written[unfinished], most)
        stays = systematic(chances, stream)
        written[unfinished] += np.log(chances)
        written[unfinished[~stays]] = math.inf
        yield Pruned(buffer.step, tuple(unfinished[~stays].tolist()))
    replies = buffer.replies()
    left = np.flatnonzero(np.isfinite(written))
    scored = yield from score_complete(scoring, replies, left.tolist())
    # The normaliser is a mean over all that were begun, and not over those that are left.
    written[left] += math.log(count / len(left))
    choice = choose_by_weights(scored, request, weights, count, written)
    stopped = count - len(left)
    notes = [f"{stopped} of {count} candidates were stopped early."] if stopped else []
    yield finished_event(buffer, scoring, replies, scored, choice, tuple(written.tolist()), *notes)


def chances_to_go_on(scores: np.ndarray, most: int) -> np.ndarray:
    """Return with which chance each candidate goes on, so that as many do as may: min(1, w / c), adding up to ``most``.

    Weighing 1 / chance afterwards, this changes the weights least, by expected squared error.

    Args:
        scores: (candidate,) log of what each is foretold to weigh, in nats.
        most: from 1 to the number of candidates.

    Example:
        >>> chances_to_go_on(np.log([6.0, 1.0, 1.0, 2.0]), 2).tolist()
        [1.0, 0.25, 0.25, 0.5]

    Source: Fearnhead and Clifford, 2003, section 3.
    """
    # None is without a chance, or a wrong guess could never be mended.
    weights = np.exp(np.maximum(scores - scores.max(), math.log(1e-9)))
    descending = np.sort(weights)[::-1]
    rest = np.cumsum(descending[::-1])[::-1]
    # The largest ones go on for certain, as long as each weighs more than its share of what is left.
    certain = next(k for k in range(most) if descending[k] * (most - k) <= rest[k] or k == most - 1)
    return np.minimum(1.0, weights * (most - certain) / rest[certain])


def systematic(chances: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Draw which candidates go on, (candidate,) bool; as many as the chances add up to, a whole number.

    Source: Carpenter, Clifford, Fearnhead, Improved particle filter for nonlinear problems, 1999.
    """
    edges = np.concatenate([[0.0], np.cumsum(chances)])
    ticks = edges * (round(edges[-1]) / edges[-1]) - stream.random()
    return np.diff(np.ceil(ticks)) > 0
