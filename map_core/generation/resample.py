"""Draw whole replies: K candidates of the base model, scored, one of them picked; more until a goal is met.

Partial replies are scored from time to time so that people see an early leader. That is only a guide and limited to
:data:`PROVISIONAL_SHARE` of the sampling time; replies that have ended are always scored while others are being
written. The pick depends on the complete replies alone, and so on the request (up to the rounding of a scorer's
batches) and never on the speed of the machine. Drawing until a goal is met makes the number of candidates depend on
their rewards. A race (:func:`map_core.generation.choice.race`) stops without bias. A goal of effective sample size or
standard error does not: lucky first candidates end the draw early, so that the aligned reply falls short of the tilt's
level on average; a note says so.

More candidates than the engine draws at once (:attr:`map_core.engines.base.Engine.at_once`) are drawn in blocks and
scored in between, so that other requests get their turn. A candidate's random numbers do not depend on its block.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from map_core.engines.tokens import reply_of
from map_core.generation.candidates import CandidateBuffer, choose_by_weights, finished_event, score_complete
from map_core.generation.choice import Choice
from map_core.generation.events import Event, More, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.generation.weights import CurrentWeights

#: Decoding steps between two scorings of partial replies.
PROVISIONAL_STEPS = 16
#: Most of the expected sampling time that scoring partial replies may take, as a share.
PROVISIONAL_SHARE = 0.2
#: The note on a draw that stopped at a goal of effective sample size or standard error.
STOPPED_BY_REWARDS = (
    "When drawing stopped depended on the candidates' scores, so replies fall a little short of the forecast on "
    "average."
)


def sample_whole(
    engine: Engine, scoring: Scoring, request: GenerationRequest, weights: CurrentWeights
) -> Generator[Event, None, None]:
    """Draw whole replies and choose among them.

    Args:
        engine: the base model.
        scoring: of this prompt's replies.
        request: what is generated, with the method "resample" or "best".
        weights: the current weights.

    Yields:
        :class:`Tokens` and :class:`Scored`, :class:`More` before each further draw, and :class:`Finished`.
    """
    buffer = CandidateBuffer(0)
    most = request.most_candidates or request.candidates
    while True:
        first = len(buffer.tokens)
        count = min(request.candidates, most - first)
        if first:
            yield More(first + count)
        buffer.tokens += [[] for _ in range(count)]
        yield from _draw(engine, scoring, request, buffer, first, count)
        replies = buffer.replies()
        rewards = yield from score_complete(scoring, replies)
        choice = choose_by_weights(rewards, request, weights, len(replies))
        if len(replies) >= most or _goals_met(request, choice):
            break
    biased = request.least_ess is not None or request.largest_error is not None
    notes = [STOPPED_BY_REWARDS] if biased and request.candidates < len(replies) < most else []
    yield finished_event(buffer, scoring, replies, rewards, choice, (0.0,) * len(replies), *notes)


def _draw(
    engine: Engine, scoring: Scoring, request: GenerationRequest, buffer: CandidateBuffer, first: int, count: int
) -> Iterator[Event]:
    """Draw ``count`` candidates from index ``first`` on, in blocks that the engine draws at once."""
    most = engine.at_once or count
    if count <= most:
        yield from _draw_block(engine, scoring, request, buffer, first, count)
        return
    for start in range(first, first + count, most):
        size = min(most, first + count - start)
        yield from _draw_block(engine, scoring, replace(request, provisional=False), buffer, start, size)
        written = [reply_of(tokens) for tokens in buffer.tokens[start : start + size]]
        for name in request.scored:
            scoring.rewards(name, written, complete=False)  # cached for the end
            yield Tokens(buffer.step, ())  # lets other requests run


def _draw_block(
    engine: Engine, scoring: Scoring, request: GenerationRequest, buffer: CandidateBuffer, first: int, count: int
) -> Iterator[Event]:
    """Draw a block of candidates from index ``first`` on; score ended ones, and partial ones within the time limit."""
    stream = engine.sample(replace(request.draw_request(), candidates=count, first=first))
    first_step = buffer.step
    provisional = request.provisional and len(buffer.tokens) > 1
    for tokens in buffer.read(stream):
        renumbered = [replace(token, candidate=token.candidate + first) for token in tokens] if first else tokens
        for token in renumbered:
            buffer.tokens[token.candidate].append(token)
        yield Tokens(buffer.step, tuple(renumbered))
        step = buffer.step - first_step
        if not provisional or not tokens or step % PROVISIONAL_STEPS or buffer.ended:
            continue
        replies = buffer.replies()
        complete = [reply for k, reply in enumerate(replies) if buffer.has_ended(k)]
        for name in request.scored if complete else ():
            scoring.rewards(name, complete, complete=False)  # cached for the end
        expected = scoring.partial_seconds + scoring.expected_seconds(buffer.drawn)
        if expected <= PROVISIONAL_SHARE * buffer.seconds * request.settings.max_new_tokens / step:
            for name in scoring.partial:
                yield Scored(name, scoring.rewards(name, replies, complete=False), provisional=True)


def _goals_met(request: GenerationRequest, choice: Choice) -> bool:
    return (
        (request.least_ess is None or choice.ess >= request.least_ess)
        and (request.largest_error is None or choice.error <= request.largest_error)
        and (request.headroom is None or bool(choice.decided))
    )
