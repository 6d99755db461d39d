"""Sample an aligned reply: draw candidates of the base model, score them, choose one by the weights.

This is the only entry point from a prompt to a base and an aligned reply, for the command line, the worker and the
library. :func:`generation_events` is a plain generator of frozen events (:mod:`map_core.generation.events`), so the
consumer sets the pace, and closing it stops the engine within one token. The request's method decides how candidates
become a reply: :mod:`resample`, :mod:`smc`, :mod:`pruning` or, with a tuned model, :mod:`proposal`. Constraint: no
thread, no queue, no model library; engine and scorers are arguments.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from map_core.errors import InputError
from map_core.generation.events import Begun, Event, Finished
from map_core.generation.proposal import check_proposal, sample_proposals
from map_core.generation.pruning import sample_pruned
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.resample import sample_whole
from map_core.generation.reward_cache import RewardCache, Scoring, ScoringCosts
from map_core.generation.smc import sample_blocks
from map_core.generation.weights import CurrentWeights
from map_core.scoring.base import Scorer

if TYPE_CHECKING:
    from map_core.engines.base import Engine

#: Methods that write replies part by part, for which the engine has to continue partial replies.
IN_PARTS = {Method.BLOCKS: sample_blocks, Method.PRUNE: sample_pruned}


def generation_events(
    engine: Engine,
    scorers: Mapping[str, Scorer],
    request: GenerationRequest,
    *,
    costs: ScoringCosts | None = None,
    cache: RewardCache | None = None,
    weights: CurrentWeights | None = None,
    proposal: Engine | None = None,
) -> Generator[Event, None, None]:
    """Draw candidates, score them, and pick the aligned reply.

    Args:
        engine: the base model.
        scorers: by name; at least those of ``request.scored``.
        request: what is generated.
        costs: what scoring cost in earlier requests; updated.
        cache: rewards of earlier requests; updated.
        weights: replace the request's, and may change while replies are being written; a change counts from then on.
        proposal: a tuned model that all candidates but the base one are drawn from, see
            :mod:`map_core.generation.proposal`.

    Yields:
        :class:`Begun`, then :class:`Tokens` for each decoding step with other events in between, and
        :class:`Finished`.

    Raises:
        InputError: an unknown value, a prompt that the engine refuses, or a method that the engine does not support.
        ScorerError: a scorer failed on every reply.
    """
    scoring = Scoring(scorers, request.scored, request.prompt, costs, cache, beginning=request.beginning)
    engine.check(request.draw_request())
    method = IN_PARTS.get(request.method, sample_whole) if request.candidates > 1 else sample_whole
    if method is not sample_whole and not engine.extends:
        raise InputError(
            f"The engine {engine.info.name!r} cannot continue from the beginning of a reply, which the method "
            f"{request.method.value!r} needs. Use the method 'resample'."
        )
    if (request.beginning or request.verbatim) and not engine.extends:
        start = "a given beginning of the reply" if request.beginning else "text without a chat"
        raise InputError(f"The engine {engine.info.name!r} takes whole chats only, and cannot continue from {start}.")
    if proposal is not None:
        check_proposal(request, engine, proposal)
    weights = CurrentWeights(request.weights) if weights is None else weights
    yield Begun(request.base)
    if proposal is not None:
        drawn = sample_proposals(engine, proposal, scoring, request, weights)
    else:
        drawn = method(engine, scoring, request, weights)
    with closing(drawn) as events:
        for event in events:
            if isinstance(event, Finished):
                yield replace(event, prompt_tokens=engine.prompt_tokens(request.draw_request()))
            else:
                yield event
