"""Stop candidates early that are unlikely to be picked.

After 32 tokens a quarter of the candidates continue, after 64 an eighth. They are drawn at random, with probabilities
that depend on the rewards of the partial replies; a candidate that continued with probability p weighs 1/p afterwards.
So the remaining candidates, with their weights, represent the tilted distribution whatever the partial rewards
predicted, and the estimate of the normaliser is unbiased; a bad prediction only costs effective sample size.

The prediction from t tokens is shrunk towards the candidates' mean by t / (t + 16): on the embedded table the
regression of a whole reply's reward on that of its beginning has slopes of 0.5, 0.7 and 0.86 at 16, 32 and 64 tokens
(``python -m tests.benchmarks candidates``). Values that cannot score partial replies count at the end only. Replies
that have ended are always kept, at no cost, and so is the base candidate, which stays a draw from the base model.

Source: Fearnhead and Clifford, On-line inference for hidden Markov models via particle filters, JRSS B 2003 (the
probabilities); Sun et al., Fast best-of-N decoding via speculative rejection, 2024 (arXiv 2410.20290), stops candidates
without the weights.
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

#: Numbers of tokens, each with the share of the candidates that continues after it.
SCHEDULE = ((32, 0.25), (64, 0.125))
#: Number of tokens at which a prediction is shrunk half-way towards the mean.
SHRINKAGE_TOKENS = 16
_PRUNING_STREAM = 0x9B0E


def sample_pruned(
    engine: Engine, scoring: Scoring, request: GenerationRequest, weights: CurrentWeights
) -> Generator[Event, None, None]:
    """Draw replies and stop unpromising ones early.

    Args:
        engine: the base model; it must be able to continue partial replies.
        scoring: of this prompt's replies.
        request: what is generated; at least two candidates.
        weights: the current weights.

    Yields:
        :class:`Tokens`; after each stage :class:`Scored` and :class:`Pruned`; at the end :class:`Scored` for each value
        and :class:`Finished`.
    """
    count, longest = request.candidates, request.settings.max_new_tokens
    buffer = CandidateBuffer(count)
    log_kept = np.zeros(count)  # log of the probability with which each was kept so far; inf for stopped ones
    stream = np.random.default_rng([request.seed, _PRUNING_STREAM])
    stages = [(end, share) for end, share in SCHEDULE if end < longest]
    start = 0
    for stage, (end, share) in enumerate([*stages, (longest, 1.0)]):
        settings = replace(request.settings, max_new_tokens=end - start)
        active = [k for k in np.flatnonzero(np.isfinite(log_kept)).tolist() if not buffer.has_ended(k)]
        yield from extend_block(engine, request, buffer, settings, stage, active, final=end == longest)
        start = end
        unfinished = np.array([k for k in active if not buffer.has_ended(k) and k != request.base], dtype=int)
        most = max(1, round(share * count))
        if end == longest or len(unfinished) <= most:
            continue
        gains = yield from partial_gains(scoring, request, buffer, weights)
        phi = np.zeros(count) if gains is None else gains * end / (end + SHRINKAGE_TOKENS)
        probabilities = continuation_probabilities(phi[unfinished] - log_kept[unfinished], most)
        continues = systematic(probabilities, stream)
        log_kept[unfinished] += np.log(probabilities)
        log_kept[unfinished[~continues]] = math.inf
        yield Pruned(buffer.step, tuple(unfinished[~continues].tolist()))
    replies = buffer.replies()
    kept = np.flatnonzero(np.isfinite(log_kept))
    rewards = yield from score_complete(scoring, replies, kept.tolist())
    # The normaliser is a mean over all candidates, and not over the remaining ones.
    log_kept[kept] += math.log(count / len(kept))
    choice = choose_by_weights(rewards, request, weights, count, log_kept)
    stopped = count - len(kept)
    notes = [f"{stopped} of {count} candidates were stopped early."] if stopped else []
    yield finished_event(buffer, scoring, replies, rewards, choice, tuple(log_kept.tolist()), *notes)


def continuation_probabilities(scores: np.ndarray, most: int) -> np.ndarray:
    """Return the probability with which each candidate continues: min(1, w / c), with c such that they sum to ``most``.

    Of all probabilities with this sum, weighting by their inverse then changes the weights least, by expected squared
    error.

    Args:
        scores: (candidate,) log of the predicted weights, in nats.
        most: from 1 to the number of candidates.

    Example:
        >>> continuation_probabilities(np.log([6.0, 1.0, 1.0, 2.0]), 2).tolist()
        [1.0, 0.25, 0.25, 0.5]

    Source: Fearnhead and Clifford, 2003, section 3.
    """
    # Every probability is positive, or a wrong prediction could never be corrected.
    weights = np.exp(np.maximum(scores - scores.max(), math.log(1e-9)))
    descending = np.sort(weights)[::-1]
    rest = np.cumsum(descending[::-1])[::-1]
    # The largest ones continue for certain, as long as each exceeds its share of the remaining weight.
    certain = next(k for k in range(most) if descending[k] * (most - k) <= rest[k] or k == most - 1)
    return np.minimum(1.0, weights * (most - certain) / rest[certain])


def systematic(probabilities: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Draw which candidates continue, (candidate,) bool, by systematic sampling.

    Args:
        probabilities: (candidate,) of continuing; their sum, a whole number, is how many do.
        stream: of random numbers.

    Source: Carpenter, Clifford, Fearnhead, Improved particle filter for nonlinear problems, 1999.
    """
    edges = np.concatenate([[0.0], np.cumsum(probabilities)])
    ticks = edges * (round(edges[-1]) / edges[-1]) - stream.random()
    return np.diff(np.ceil(ticks)) > 0
