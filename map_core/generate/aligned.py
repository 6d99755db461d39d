"""Aligned sampling: K candidates of the base model, their rewards, one pick with probability softmax(lambda . r).

The one way from a prompt to a base and an aligned reply; the command line and the model process both walk through
:func:`aligned`. It is a plain generator of frozen events, so whoever reads it sets the pace, and closing it stops
the engine within one token. Constraint: no thread, no queue, no model library; engine and scorers are handed in.

Partial replies are scored now and then so that people see a leader early. That is a guide and is paid from a budget
(:data:`PROVISIONAL_SHARE` of the sampling time). The final rewards are of all complete replies, so what is picked
depends on the request (up to the rounding of a scorer's batches) and never on how fast the machine was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from map_core.errors import InputError
from map_core.generate.reweight import Choice, base_pick, choose
from map_core.glossary import Reply, SamplingSettings
from map_core.values.scorer import Scorer, score_checked

if TYPE_CHECKING:
    from map_core.generate.engine import Engine, Token

#: Partial replies are looked at every so many decoding steps ...
PROVISIONAL_STEPS = 16
#: ... as long as that costs no more than this share of the time that sampling is expected to take.
PROVISIONAL_SHARE = 0.2


@dataclass(frozen=True)
class GenerationRequest:
    """What is asked of the generator.

    Args:
        prompt: what the person wrote; never empty.
        weights: lambda by value, 1/reward, any finite number.
        values: further values whose rewards are shown; those with a weight are shown anyway.
        candidates: K, from 1.
        settings: how the base model is sampled; the settings of the table that gave the weights.
        seed: a whole number from 0; the same request with the same seed gives the same replies and picks.
        system: a system prompt, or none.
        provisional: score partial replies on the way.

    Raises:
        InputError: an empty prompt, a weight that is no finite number, K below 1 or a negative seed.
    """

    prompt: str
    weights: Mapping[str, float] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    candidates: int = 16
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    seed: int = 0
    system: str | None = None
    provisional: bool = True

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InputError("The prompt is empty. Write what the model should answer.")
        for name, weight in self.weights.items():
            if not math.isfinite(weight):
                raise InputError(f"The weight of {name!r} is {weight}; expected a finite number.")
        base_pick(self.candidates, self.seed)  # refuses K below 1 and negative seeds

    @property
    def scored(self) -> tuple[str, ...]:
        """The values that are scored: those with a weight, then the others to be shown."""
        return tuple(dict.fromkeys((*self.weights, *self.values)))


@dataclass(frozen=True)
class Begun:
    """The request is understood and the base candidate is drawn; no token yet."""

    base: int


@dataclass(frozen=True)
class Tokens:
    """The tokens of one decoding step, at most one a candidate; ``step`` counts from 1."""

    step: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Scored:
    """Rewards of one value, one per candidate; ``provisional`` while replies are partial."""

    value: str
    rewards: tuple[float, ...]
    provisional: bool


@dataclass(frozen=True)
class Leading:
    """Where the candidates stand after ``step`` steps, by the weighted values that partial replies can be scored on."""

    step: int
    probabilities: tuple[float, ...]
    leader: int


@dataclass(frozen=True)
class Finished:
    """The outcome.

    Args:
        replies: one per candidate.
        rewards: final rewards by value, each one per candidate.
        choice: probabilities, the aligned and the base pick, and what they cost.
        tokens: tokens drawn over all candidates, end-of-turn tokens included.
        sampling_seconds, provisional_seconds, scoring_seconds: time in the engine, in scoring partial replies, and
            in scoring the complete ones. Time that the reader of the events takes counts nowhere.
    """

    replies: tuple[Reply, ...]
    rewards: dict[str, tuple[float, ...]]
    choice: Choice
    tokens: int
    sampling_seconds: float
    provisional_seconds: float
    scoring_seconds: float


Event = Begun | Tokens | Scored | Leading | Finished


@dataclass
class ScoringCosts:
    """What scoring has cost so far, by value, in seconds a token; kept from one request to the next."""

    seconds_per_token: dict[str, float] = field(default_factory=dict)

    def record(self, value: str, tokens: int, seconds: float) -> None:
        """Remember the latest cost of a value."""
        self.seconds_per_token[value] = seconds / max(tokens, 1)

    def expected(self, values: Sequence[str], tokens: int) -> float:
        """Seconds to score so many tokens on these values; a value never measured is taken as free once."""
        return tokens * sum(self.seconds_per_token.get(value, 0.0) for value in values)


def aligned(
    engine: Engine,
    scorers: Mapping[str, Scorer],
    request: GenerationRequest,
    costs: ScoringCosts | None = None,
) -> Generator[Event, None, None]:
    """Sample K candidates, score them, and pick the aligned reply.

    Yields :class:`Begun`, then :class:`Tokens` a decoding step with :class:`Scored` and :class:`Leading` between them,
    then :class:`Scored` a value and :class:`Finished`.

    Args:
        engine: the base model.
        scorers: by name; at least those of ``request.scored``.
        request: what is asked.
        costs: what scoring cost in earlier requests, updated on the way.

    Raises:
        InputError: an unknown value, or a prompt that the engine refuses.
        ScorerError: a scorer failed or gave a reward that is not finite.
    """
    from map_core.generate.engine import reply_of

    unknown = [name for name in request.scored if name not in scorers]
    if unknown:
        raise InputError(f"Unknown value {', '.join(map(repr, unknown))}; there are {', '.join(scorers)}.")
    costs = ScoringCosts() if costs is None else costs
    yield Begun(base_pick(request.candidates, request.seed))

    growing: list[list[Token]] = [[] for _ in range(request.candidates)]
    early = (
        [name for name, weight in request.weights.items() if weight != 0.0 and scorers[name].partial]
        if request.provisional and request.candidates > 1
        else []
    )
    sampling = provisional = scoring = 0.0
    step = drawn = 0
    stream = engine.sample(request.prompt, request.candidates, request.settings, request.seed, system=request.system)
    with closing(cast("Generator[list[Token], None, None]", stream)):
        while True:
            began = time.perf_counter()
            tokens = next(stream, None)
            sampling += time.perf_counter() - began
            if tokens is None:
                break
            step += 1
            drawn += len(tokens)
            for token in tokens:
                growing[token.candidate].append(token)
            yield Tokens(step, tuple(tokens))
            if not early or step % PROVISIONAL_STEPS or all(one and one[-1].last for one in growing):
                continue
            expected = costs.expected(early, drawn)
            if provisional + expected > PROVISIONAL_SHARE * sampling * request.settings.max_new_tokens / step:
                continue
            partial, rewards = [reply_of(one) for one in growing], {}
            for name in early:
                rewards[name], seconds = _score(scorers[name], request.prompt, partial, costs)
                provisional += seconds
                yield Scored(name, rewards[name], provisional=True)
            choice = _choose(rewards, request)
            yield Leading(step, choice.probabilities, int(np.argmax(choice.probabilities)))

    replies = tuple(reply_of(one) for one in growing)
    final: dict[str, tuple[float, ...]] = {}
    for name in request.scored:
        final[name], seconds = _score(scorers[name], request.prompt, replies, costs)
        scoring += seconds
        yield Scored(name, final[name], provisional=False)
    yield Finished(
        replies=replies,
        rewards=final,
        choice=_choose(final, request),
        tokens=drawn,
        sampling_seconds=sampling,
        provisional_seconds=provisional,
        scoring_seconds=scoring,
    )


def _score(
    scorer: Scorer, prompt: str, replies: Sequence[Reply], costs: ScoringCosts
) -> tuple[tuple[float, ...], float]:
    """Rewards of one value, and the seconds that they took."""
    began = time.perf_counter()
    rewards = score_checked(scorer, prompt, replies)
    seconds = time.perf_counter() - began
    costs.record(scorer.name, sum(len(reply.tokens) for reply in replies), seconds)
    return tuple(rewards.tolist()), seconds


def _choose(rewards: Mapping[str, Sequence[float]], request: GenerationRequest) -> Choice:
    names = list(rewards)
    table = np.array([rewards[name] for name in names], dtype=np.float64).reshape(len(names), request.candidates).T
    return choose(table, [request.weights.get(name, 0.0) for name in names], request.seed)
