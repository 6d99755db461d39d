"""Draw candidates from a tuned model and choose with importance weights exp(lambda . r) p0 / q.

N - 1 candidates are drawn from the tuned model q and the base candidate from the base model p0. Together they are a
sample of the mixture m = p0 / N + q (N - 1) / N, so that a candidate's weight is exp(lambda . r) p0 / m (the balance
heuristic). It is at most N times the weight without q, and a reply that q never gives is still possible, so that the
choice is exact in the limit whatever q is. The base candidate stays a draw from the base model. How well q suits a
palette shows in the effective sample size.

Constraint: engines and scorers are arguments; the arithmetic is in :func:`log_offsets`, numpy only.

Source: Veach and Guibas, Optimally combining sampling techniques, SIGGRAPH 1995; Hesterberg, Weighted average
importance sampling and defensive mixture distributions, Technometrics 1995.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.generation.candidates import CandidateBuffer, choose_by_weights, finished_event, score_complete
from map_core.generation.events import Event, Tokens
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.generation.weights import CurrentWeights


def log_offsets(log_ratios: np.ndarray, base_candidates: int = 1) -> np.ndarray:
    """Return log m - log p0 of candidates, which :func:`map_core.generation.choice.choose` subtracts from lambda . r.

    Args:
        log_ratios: (candidate,) log q - log p0.
        base_candidates: how many of them were drawn from p0; the others were drawn from q.

    Example:
        >>> log_offsets(np.array([0.0, 0.0])).tolist()
        [0.0, 0.0]
    """
    count = len(log_ratios)
    if base_candidates == count:
        return np.zeros(count)
    tuned = np.log((count - base_candidates) / count) + log_ratios
    return np.asarray(np.logaddexp(np.log(base_candidates / count), tuned) if base_candidates else tuned)


def check_proposal(request: GenerationRequest, engine: Engine, proposal: Engine) -> None:
    """Refuse a request that candidates of a tuned model cannot serve.

    Raises:
        InputError: another method, sampling that truncates the vocabulary, a given beginning or verbatim text, or an
            engine that cannot score given replies.
    """
    if request.method not in (Method.RESAMPLE, Method.BEST) or request.most_candidates is not None:
        raise InputError("Candidates of a tuned model are whole replies, all drawn at once: the method is 'resample'.")
    if request.settings.top_p < 1.0 or request.settings.top_k:
        raise InputError("A tuned model is sampled over its whole vocabulary. Use top_p 1 and top_k 0.")
    if request.beginning or request.verbatim:
        raise InputError(
            "A tuned model answers whole chats only; the request has a beginning of the reply or verbatim text. Leave "
            "that out, or leave out the tuned model."
        )
    for model in (engine, proposal):
        if not model.extends:
            raise InputError(
                f"The engine {model.info.name!r} cannot compute the probability of a given reply. Open both models on "
                "this machine."
            )


def sample_proposals(
    engine: Engine,
    proposal: Engine,
    scoring: Scoring,
    request: GenerationRequest,
    weights: CurrentWeights,
) -> Generator[Event, None, None]:
    """Draw the base candidate from the base model and the others from the tuned one, and choose with exact weights.

    Args:
        engine: the base model.
        proposal: the tuned model, with the same vocabulary.
        scoring: of this prompt's replies.
        request: what is generated; ``candidates`` counts the base candidate too.
        weights: the current weights.

    Yields:
        :class:`Tokens`, then :class:`Scored` a value and :class:`Finished`, whose ``log_offsets`` are log m - log p0.
    """
    count, base = request.candidates, request.base
    buffer = CandidateBuffer(count)
    draws = [(engine, replace(request.draw_request(), candidates=1, first=base), [base])]
    if count > 1:
        others = [k for k in range(count) if k != base]
        draws.append((proposal, replace(request.draw_request(), candidates=count - 1, first=count), others))
    for model, draw, candidates in draws:
        for tokens in buffer.read(model.sample(draw)):
            renumbered = tuple(replace(token, candidate=candidates[token.candidate]) for token in tokens)
            for token in renumbered:
                buffer.tokens[token.candidate].append(token)
            yield Tokens(buffer.step, renumbered)
    replies, ratios = scored_by_both(engine, proposal, request, buffer.replies())
    offsets = log_offsets(ratios) if count > 1 else np.zeros(1)
    rewards = yield from score_complete(scoring, replies)
    choice = choose_by_weights(rewards, request, weights, count, offsets)
    yield finished_event(buffer, scoring, replies, rewards, choice, tuple(offsets.tolist()))


def scored_by_both(
    engine: Engine, proposal: Engine, request: GenerationRequest, replies: Sequence[Reply]
) -> tuple[list[Reply], np.ndarray]:
    """Return replies with the base model's log-probabilities, which some values read, and their log q - log p0.

    Returns:
        The replies, and (reply,) log q - log p0.
    """
    base = engine.reply_scores(request.draw_request(), replies)
    tuned = proposal.reply_scores(request.draw_request(), replies)
    with_base = [replace(reply, log_probs=score.token_log_probs) for reply, score in zip(replies, base, strict=True)]
    return with_base, np.array([q.log_prob - p.log_prob for q, p in zip(tuned, base, strict=True)])
