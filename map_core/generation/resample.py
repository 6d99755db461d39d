"""Whole replies: K candidates of the base model, their rewards, one pick; more of them where a goal asks for it.

Partial replies are scored now and then so that people see a leader early. That is a guide and is paid from a budget
(:data:`PROVISIONAL_SHARE` of the sampling time); replies that have ended are scored on the way in any case. What is
picked depends on the complete replies alone, and so on the request (up to the rounding of a scorer's batches) and
never on how fast the machine was. Drawing more until a goal is met makes the number of candidates depend on their
rewards. A race (:func:`map_core.generation.choice.race`) stops without a bias. An effective sample size or an error
does not: lucky first candidates end the draw early, and the aligned reply falls short of the tilt's level on average,
which is said.

Where there are more candidates than the engine draws in one go (:attr:`map_core.engines.base.Engine.at_once`), they are
drawn a block of candidates after the other and scored in between, so that other requests get their turn. A candidate's
random numbers are its own, whichever block it is drawn in.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from map_core.engines.tokens import Token, reply_of
from map_core.generation.candidates import CandidateBuffer, choose_by_weights, finished_event, score_complete
from map_core.generation.choice import Choice
from map_core.generation.events import Event, More, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import Scoring

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.generation.weights import CurrentWeights

#: Partial replies are looked at every so many decoding steps ...
PROVISIONAL_STEPS = 16
#: ... as long as that costs no more than this share of the time that sampling is expected to take.
PROVISIONAL_SHARE = 0.2
#: The note of a draw that stopped at an effective sample size or an error.
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
        :class:`Tokens` with :class:`Scored` between them, :class:`More` before a further draw, :class:`Finished`.
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
    """Draw candidates, a block of them after the other where they are many."""
    most = engine.at_once or count
    if count <= most:
        yield from _draw_block(engine, scoring, request, buffer, first, count)
        return
    for start in range(first, first + count, most):
        size = min(most, first + count - start)
        yield from _draw_block(engine, scoring, replace(request, provisional=False), buffer, start, size)
        written = [reply_of(tokens) for tokens in buffer.tokens[start : start + size]]
        for name in request.scored:
            scoring.rewards(name, written, complete=False)  # remembered for the end
            yield Tokens(buffer.step, ())  # a turn for others


def _draw_block(
    engine: Engine, scoring: Scoring, request: GenerationRequest, buffer: CandidateBuffer, first: int, count: int
) -> Iterator[Event]:
    stream = engine.sample(replace(request.draw_request(), candidates=count, first=first))
    first_step = buffer.step
    watch = request.provisional and len(buffer.tokens) > 1
    for tokens in buffer.read(stream):
        numbered = [_numbered(token, first) for token in tokens]
        for token in numbered:
            buffer.tokens[token.candidate].append(token)
        yield Tokens(buffer.step, tuple(numbered))
        step = buffer.step - first_step
        if not watch or not numbered or step % PROVISIONAL_STEPS or buffer.ended:
            continue
        replies = buffer.replies()
        complete = [
            reply for reply, written in zip(replies, buffer.tokens, strict=True) if written and written[-1].last
        ]
        for name in request.scored if complete else ():
            scoring.rewards(name, complete, complete=False)  # remembered for the end
        expected = scoring.partial_seconds + scoring.expected_seconds(buffer.drawn)
        if expected <= PROVISIONAL_SHARE * buffer.seconds * request.settings.max_new_tokens / step:
            for name in scoring.partial:
                yield Scored(name, scoring.rewards(name, replies, complete=False), provisional=True)


def _numbered(token: Token, first: int) -> Token:
    return replace(token, candidate=token.candidate + first) if first else token


def _goals_met(request: GenerationRequest, choice: Choice) -> bool:
    return (
        (request.least_ess is None or choice.ess >= request.least_ess)
        and (request.largest_error is None or choice.error <= request.largest_error)
        and (request.headroom is None or bool(choice.decided))
    )
