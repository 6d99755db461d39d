"""Events on the way from a prompt to an aligned reply.

The methods (:mod:`resample`, :mod:`smc`) yield them; the command line prints them, the worker sends
them on. Constraint: no model library, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from map_core.core.types import Reply
from map_core.engines.tokens import Token
from map_core.generation.choice import Choice


@dataclass(frozen=True)
class Begun:
    """The request is understood and the base candidate is drawn; no token yet."""

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
    """There are so many candidates now; the new ones have no token yet."""

    candidates: int


@dataclass(frozen=True)
class Resampled:
    """Candidate k goes on from what candidate ``ancestors[k]`` had written.

    Args:
        step: decoding steps before it.
        ancestors: (candidate,) numbers of candidates.
    """

    step: int
    ancestors: tuple[int, ...]


@dataclass(frozen=True)
class Pruned:
    """These candidates are written no further, and are not chosen from.

    Args:
        step: decoding steps before it.
        candidates: their numbers.
    """

    step: int
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """The outcome.

    Args:
        replies: one per candidate.
        rewards: final rewards by value, each one per candidate, NaN where it could not be scored.
        log_offsets: (candidate,) what re-sampling has paid of each candidate's weighted reward, in nats, see
            :func:`map_core.generation.choice.choose`; zeros for whole replies.
        choice: probabilities, the aligned and the base pick, and what they cost.
        tokens: tokens drawn over all candidates, end-of-turn tokens included.
        sampling_seconds, provisional_seconds, scoring_seconds: time in the engine, in scoring partial replies, and
            in scoring the complete ones. Time that the reader of the events takes counts nowhere.
        notes: what the reader should know, a sentence each.
        prompt_tokens: of what the model read before it drew; None where the engine has not counted them.
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
