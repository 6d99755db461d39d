"""Re-sample the replies to one prompt block by block: sequential Monte Carlo.

K - 1 particles and the base candidate are written side by side. After every block of tokens the partial replies are
scored; a particle's weight is exp(phi - offset), with phi = beta lambda . r of the partial reply and offset what
earlier re-sampling has already accounted for. When the effective sample size falls below half of the particles they
are re-sampled, and all have the mean weight from then on. At the end phi is the true final lambda . r, untempered, so
partial rewards are only a guide: whatever they are, the weighted particles represent the tilted distribution, and the
estimate of the normaliser is unbiased. beta rises linearly to 1 at the longest reply, so that early, uncertain rewards
count little.

Values that cannot score partial replies count at the end only. The base candidate is never re-sampled: it stays a draw
from the base model. Constraint: the arithmetic is in :func:`resample`, numpy only, so that it can be compared with the
exact distribution.

Source: Del Moral, Doucet, Jasra, Sequential Monte Carlo samplers, JRSS B 2006; Lew et al., Sequential Monte Carlo
steering of large language models, 2023 (arXiv 2306.03081).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from map_core.core.softmax import softmax
from map_core.core.types import SamplingSettings
from map_core.engines.draw_request import candidate_seeds
from map_core.engines.tokens import Token
from map_core.generation.candidates import (
    CandidateBuffer,
    choose_by_weights,
    finished_event,
    partial_gains,
    score_complete,
)
from map_core.generation.events import Event, Resampled, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.generation.weights import CurrentWeights

#: Re-sample when the effective sample size falls below this share of the particles.
RESAMPLE_BELOW = 0.5
#: Seeds of one block; larger than any number of candidates.
_BLOCK_SEEDS = 4096
_RESAMPLING_STREAM = 0xB10C


def sample_blocks(
    engine: Engine, scoring: Scoring, request: GenerationRequest, weights: CurrentWeights
) -> Generator[Event, None, None]:
    """Draw replies block by block and re-sample them in between.

    Args:
        engine: the base model; it must be able to continue partial replies.
        scoring: of this prompt's replies.
        request: what is generated; at least two candidates.
        weights: the current weights.

    Yields:
        :class:`Tokens`; after each block :class:`Scored` and, if the weights are uneven, :class:`Resampled`; at the end
        :class:`Scored` for each value and :class:`Finished`.
    """
    count, longest = request.candidates, request.settings.max_new_tokens
    buffer = CandidateBuffer(count)
    offsets = np.zeros(count)
    offsets[request.base] = math.inf
    particles = np.flatnonzero(np.isfinite(offsets))
    stream = np.random.default_rng([request.seed, _RESAMPLING_STREAM])
    for block, start in enumerate(range(0, longest, request.block)):
        settings = replace(request.settings, max_new_tokens=min(request.block, longest - start))
        final = start + settings.max_new_tokens >= longest
        active = [k for k in range(count) if not buffer.has_ended(k)]
        yield from extend_block(engine, request, buffer, settings, block, active, final)
        gains = None if buffer.ended else (yield from partial_gains(scoring, request, buffer, weights))
        if gains is None:
            continue
        phi = gains * (start + settings.max_new_tokens) / longest  # beta lambda . r
        resampled = resample(phi[particles], offsets[particles], stream)
        if resampled is not None:
            ancestors = np.arange(count)
            ancestors[particles] = particles[resampled[0]]
            offsets[particles] = resampled[1]
            buffer.tokens = [
                [replace(token, candidate=k) for token in buffer.tokens[ancestor]]
                if k != ancestor
                else buffer.tokens[k]
                for k, ancestor in enumerate(ancestors.tolist())
            ]
            yield Resampled(buffer.step, tuple(ancestors.tolist()))
    replies = buffer.replies()
    rewards = yield from score_complete(scoring, replies)
    weighted = request.values_of(name for name, weight in weights.by_value.items() if weight)
    at_end = [name for name in weighted if name not in scoring.partial]
    notes = [f"Only whole replies can be scored on {', '.join(at_end)}, so it counts at the end."] if at_end else []
    choice = choose_by_weights(rewards, request, weights, count, offsets)
    yield finished_event(buffer, scoring, replies, rewards, choice, tuple(offsets.tolist()), *notes)


def extend_block(
    engine: Engine,
    request: GenerationRequest,
    buffer: CandidateBuffer,
    settings: SamplingSettings,
    block: int,
    active: Sequence[int],
    final: bool,
) -> Iterator[Tokens]:
    """Extend candidates, all of one length, by one block of tokens.

    Args:
        engine: the base model.
        request: what is generated.
        buffer: the candidates so far; written to.
        settings: with the tokens of this block.
        block: its index; each block has random numbers of its own.
        active: indices of the candidates to extend.
        final: whether replies end with this block.
    """
    if not active:
        return
    most = engine.at_once or len(active)
    for start in range(0, len(active), most):
        batch = active[start : start + most]
        seeds = candidate_seeds(request.seed, [block * _BLOCK_SEEDS + k for k in batch])
        beginnings = [[token.token for token in buffer.tokens[k]] for k in batch]
        stream = engine.extend(replace(request.draw_request(), settings=settings), beginnings, seeds)
        for tokens in buffer.read(stream):
            renumbered = tuple(_token_of_reply(token, batch[token.candidate], final) for token in tokens)
            for token in renumbered:
                buffer.tokens[token.candidate].append(token)
            yield Tokens(buffer.step, renumbered)


def _token_of_reply(token: Token, candidate: int, final: bool) -> Token:
    """Return a block's token as one of its reply, which continues unless it ended by itself or in the last block."""
    if token.last and not token.finished and not final:
        # The engine replaces a character that the end of the block cut in two; the next block has it whole.
        return replace(token, candidate=candidate, last=False, text=token.text.rstrip("\ufffd"))
    return replace(token, candidate=candidate)


def resample(phi: np.ndarray, offsets: np.ndarray, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Re-sample systematically where the weights have become uneven.

    Args:
        phi: (particle,) tempered lambda . r of the partial replies, in nats.
        offsets: (particle,) nats that earlier re-sampling has already accounted for.
        stream: of random numbers; used only when particles are re-sampled.

    Returns:
        Ancestors (particle,) and new offsets (particle,): phi of the ancestor less the log of the mean weight, so that
        all particles have the mean weight. None while the effective sample size is at least :data:`RESAMPLE_BELOW` of
        their number.

    Source: Carpenter, Clifford, Fearnhead, Improved particle filter for nonlinear problems, 1999.
    """
    weights, count = softmax(phi - offsets), len(phi)
    if weights.effective_sample_size >= RESAMPLE_BELOW * count:
        return None
    edges = np.cumsum(weights.probabilities)
    ticks = (np.arange(count) + stream.random()) / count * edges[-1]
    ancestors = np.minimum(np.searchsorted(edges, ticks, side="right"), int(np.flatnonzero(weights.probabilities)[-1]))
    # A particle with children keeps its index, so that its text stays where people read it.
    ancestors = _parents_in_place(ancestors)
    return ancestors, phi[ancestors] - weights.log_mean


def _parents_in_place(ancestors: np.ndarray) -> np.ndarray:
    """Order the ancestors so that every particle that has children is its own first child."""
    count = len(ancestors)
    placed = np.full(count, -1)
    children = np.bincount(ancestors, minlength=count)
    parents = np.flatnonzero(children)
    placed[parents] = parents
    placed[placed < 0] = np.repeat(parents, children[parents] - 1)
    return placed
