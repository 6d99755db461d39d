"""Score replies that were written elsewhere, in the way in which the replies of a generation are scored.

Values that read log-probabilities get those of the base model, over the default tokenisation of each reply's text
after the chat. Constraint: no thread, no model library; engine and scorers are arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from map_core.core.types import Reply, Turn
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError
from map_core.generation.reward_cache import ReadReplies, RewardCache, Scoring, ScoringCosts
from map_core.scoring import READ_LIKELIHOOD
from map_core.scoring.base import Scorer, ScorerError

if TYPE_CHECKING:
    from map_core.engines.base import Engine


@dataclass(frozen=True)
class GivenReplies:
    """Replies to one chat.

    Args:
        prompt: what the person asked; never empty.
        replies: their texts.
        system: the system message; None leaves it to the model's template.
        history: the exchanges before this prompt, the earliest first.

    Raises:
        InputError: an empty prompt.
    """

    prompt: str
    replies: tuple[str, ...]
    system: str | None = None
    history: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        DrawRequest(self.prompt)  # refuses an empty prompt


@dataclass(frozen=True)
class ReplyRewards:
    """Rewards of given replies.

    Args:
        rewards: by value, one a reply, finite.
    """

    rewards: Mapping[str, tuple[float, ...]]


def score_given(
    engine: Engine,
    scorers: Mapping[str, Scorer],
    given: GivenReplies,
    *,
    costs: ScoringCosts | None = None,
    cache: RewardCache | None = None,
    read: ReadReplies | None = None,
) -> ReplyRewards:
    """Return the rewards of given replies by every scorer.

    Args:
        engine: the base model; only values that read log-probabilities need it.
        scorers: by name.
        given: the replies.
        costs: what scoring cost in earlier calls; updated.
        cache: rewards of earlier calls; updated.
        read: what was read for the same request so far, and its notes; updated.

    Raises:
        InputError: a value reads log-probabilities and the engine cannot compute those of given replies, or chat and
            reply do not fit the model's context.
        ScorerError: a reply cannot be scored.
    """
    texts = tuple(dict.fromkeys(given.replies))
    scoring = Scoring(scorers, tuple(scorers), given.prompt, costs, cache, read=read)
    reading = [name for name in scorers if name in READ_LIKELIHOOD]
    distinct = _with_log_probs(engine, given, texts, reading) if reading else [Reply(text) for text in texts]
    by_text = dict(zip(texts, distinct, strict=True))
    replies = [by_text[text] for text in given.replies]
    rewards: dict[str, tuple[float, ...]] = {}
    for name in scorers:
        rewards[name] = scoring.rewards(name, replies, complete=True)
        if any(map(math.isnan, rewards[name])):
            raise ScorerError(" ".join(scoring.failures))
    return ReplyRewards(rewards)


def _with_log_probs(engine: Engine, given: GivenReplies, texts: tuple[str, ...], reading: list[str]) -> list[Reply]:
    """Return replies of these texts with the base model's log-probabilities, which the values ``reading`` need."""
    from map_core.engines.base import LocalEngine

    if not isinstance(engine, LocalEngine):
        raise InputError(
            f"{', '.join(reading)} read log-probabilities, and the engine {engine.info.name!r} cannot compute those of "
            "given replies. Take a palette without them, or a base model on this machine."
        )
    tokens = [tuple(engine.tokenizer.encode(text)) for text in texts]
    log_probs = engine.log_probs(given.prompt, tokens, system=given.system, history=given.history)
    return [Reply(text, ids, tuple(row.tolist())) for text, ids, row in zip(texts, tokens, log_probs, strict=True)]
