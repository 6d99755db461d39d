"""Events of a generation, from a prompt to an aligned reply.

The methods (:mod:`resample`, :mod:`smc`) yield them; the command line prints them, the worker forwards them.
Constraint: no model library, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from map_core.core.types import Reply
from map_core.engines.tokens import Token
from map_core.generation.choice import Choice


@dataclass(frozen=True)
class Begun:
    """The request is valid and the base candidate is picked; there is no token yet."""

    base: int


@dataclass(frozen=True)
class Tokens:
    """The tokens of one decoding step, at most one a candidate, perhaps none; ``step`` counts those with tokens."""

    step: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Scored:
    """Rewards of one value, one per candidate, NaN where it could not be scored; ``provisional`` while partial."""

    value: str
    rewards: tuple[float, ...]
    provisional: bool


@dataclass(frozen=True)
class More:
    """The number of candidates has grown to this; the new ones have no token yet."""

    candidates: int


@dataclass(frozen=True)
class Resampled:
    """Candidate k continues from the tokens of candidate ``ancestors[k]``.

    Args:
        step: decoding steps so far.
        ancestors: (candidate,) indices of candidates.
    """

    step: int
    ancestors: tuple[int, ...]


@dataclass(frozen=True)
class Pruned:
    """These candidates are stopped and cannot be picked.

    Args:
        step: decoding steps so far.
        candidates: their indices.
    """

    step: int
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """The outcome.

    Args:
        replies: one per candidate.
        rewards: final rewards by value, each one per candidate, NaN where it could not be scored.
        log_offsets: (candidate,) nats of each candidate's weighted reward that re-sampling has already accounted for,
            see :func:`map_core.generation.choice.choose`; zeros for whole replies.
        choice: probabilities, the aligned and the base pick, and what they cost.
        tokens: tokens drawn over all candidates, end-of-turn tokens included.
        sampling_seconds: time in the engine. Time that the consumer of the events takes counts nowhere.
        provisional_seconds: time in scoring partial replies.
        scoring_seconds: time in scoring complete replies.
        notes: what the reader should know, a sentence each.
        prompt_tokens: number of tokens of the model's input; None where the engine has not counted them.
    """

    replies: tuple[Reply, ...]
    rewards: dict[str, tuple[float, ...]]
    log_offsets: tuple[float, ...]
    choice: Choice
    tokens: int
    sampling_seconds: float
    provisional_seconds: float
    scoring_seconds: float
    notes: tuple[str, ...] = ()
    prompt_tokens: int | None = None


Event = Begun | Tokens | Scored | More | Resampled | Pruned | Finished
