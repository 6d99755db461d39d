"""Score the replies to one prompt, each reply once, and record the cost.

A reply that has ended is scored while the others are still being written, so that little is left to do after the last
token. Rewards are cached by reply, so a reply is never scored twice on a value. A reply on which a scorer fails cannot
be picked; the others are not affected. Constraint: no thread; the caller sets the pace.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring.base import Scorer, ScorerError, score_checked

#: Most rewards in the cache, over all prompts and values.
MOST_CACHED = 50_000


@dataclass
class ScoringCosts:
    """Cost of scoring so far, by value, in seconds a token; kept from one request to the next."""

    seconds_per_token: dict[str, float] = field(default_factory=dict)

    def record(self, value: str, tokens: int, seconds: float) -> None:
        """Replace the cost of a value by its latest measurement."""
        self.seconds_per_token[value] = seconds / max(tokens, 1)

    def expected(self, values: Sequence[str], tokens: int) -> float:
        """Estimate the seconds to score ``tokens`` tokens on these values; a value never measured counts as free."""
        return tokens * sum(self.seconds_per_token.get(value, 0.0) for value in values)


@dataclass(frozen=True)
class ScoredReply:
    """A reward, NaN where the scorer failed, and whether the reply was longer than the scorer's model reads."""

    reward: float
    cut: bool = False


class RewardCache:
    """Rewards by value, prompt and reply; the oldest are dropped first."""

    def __init__(self, most: int = MOST_CACHED) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str, str, Reply], ScoredReply] = OrderedDict()

    def get(self, scorer: Scorer, prompt: str, reply: Reply) -> ScoredReply | None:
        """Return the reward, or None when it is not known."""
        return self._known.get((scorer.name, scorer.version, prompt, reply))

    def put(self, scorer: Scorer, prompt: str, reply: Reply, scored: ScoredReply) -> None:
        """Store a reward, and drop the oldest one where the cache is full."""
        self._known[scorer.name, scorer.version, prompt, reply] = scored
        if len(self._known) > self._most:
            self._known.popitem(last=False)


class ReadReplies:
    """The complete replies of one request that were scored, and which of them were cut, for the notes on its rewards.

    Scorers outlive requests, and requests interleave: a scorer's own notes are on the replies of many requests.
    """

    def __init__(self) -> None:
        self._scorers: dict[str, Scorer] = {}
        self._read: dict[str, Counter[tuple[Hashable, Reply]]] = {}
        self._cut: dict[str, set[tuple[Hashable, Reply]]] = {}

    def add(self, scorer: Scorer, chat: Hashable, scored: Sequence[tuple[Reply, ScoredReply]]) -> None:
        """Count the replies to a chat; those of an earlier call are not counted again, equal ones of one call are."""
        read = Counter((chat, reply) for reply, one in scored if not math.isnan(one.reward))
        self._scorers[scorer.name] = scorer
        self._read[scorer.name] = self._read.get(scorer.name, Counter()) | read
        self._cut.setdefault(scorer.name, set()).update((chat, reply) for reply, one in scored if one.cut)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each value some of whose replies were cut."""
        cut = {name: sum(self._read[name][reply] for reply in replies) for name, replies in self._cut.items()}
        return tuple(self._scorers[name].cut_note(cut[name], self._read[name].total()) for name in cut if cut[name])


class Scoring:
    """Scoring of the replies to one prompt.

    Args:
        scorers: by name; at least those of ``names``.
        names: the values of this request.
        prompt: the user's text.
        costs: what scoring cost in earlier requests; updated.
        cache: rewards of earlier requests; updated.
        beginning: the given beginning of every reply; it is scored as part of each.
        read: what was read for the same request so far; updated.

    Raises:
        InputError: a value has no scorer.
    """

    def __init__(
        self,
        scorers: Mapping[str, Scorer],
        names: Sequence[str],
        prompt: str,
        costs: ScoringCosts | None = None,
        cache: RewardCache | None = None,
        beginning: str = "",
        read: ReadReplies | None = None,
    ) -> None:
        unknown = [name for name in names if name not in scorers]
        if unknown:
            raise InputError(f"Unknown value {', '.join(map(repr, unknown))}; there are {', '.join(scorers)}.")
        self._scorers, self._prompt, self._beginning = scorers, prompt, beginning
        self._costs = ScoringCosts() if costs is None else costs
        self._cache = RewardCache() if cache is None else cache
        self._read = ReadReplies() if read is None else read
        self._failures: dict[str, str] = {}
        self.names = tuple(names)
        #: Of these, the values that unfinished replies can be scored on.
        self.partial = tuple(name for name in names if scorers[name].partial)
        #: Seconds spent on partial replies, and on complete ones.
        self.partial_seconds = self.complete_seconds = 0.0

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures of scorers, and notes on the replies of this request, a sentence each."""
        return (*self._failures.values(), *self._read.notes)

    def expected_seconds(self, tokens: int) -> float:
        """Estimate the seconds to score ``tokens`` tokens on all values that can score partial replies."""
        return self._costs.expected(self.partial, tokens)

    def rewards(self, name: str, replies: Sequence[Reply], complete: bool) -> tuple[float, ...]:
        """Return the rewards of one value, one per reply; NaN where the scorer failed on a complete reply.

        Raises:
            ScorerError: the scorer failed on every reply.
        """
        scorer = self._scorers[name]
        if self._beginning:
            replies = [replace(reply, text=self._beginning + reply.text) for reply in replies]
        known = [self._cache.get(scorer, self._prompt, reply) for reply in replies]
        missing = list(dict.fromkeys(reply for reply, scored in zip(replies, known, strict=True) if scored is None))
        new: dict[Reply, ScoredReply] = {}
        if missing:
            began = time.perf_counter()
            rewards = self._score(scorer, missing, complete)
            seconds = time.perf_counter() - began
            self._costs.record(name, sum(max(len(reply.tokens), 1) for reply in missing), seconds)
            if complete:
                self.complete_seconds += seconds
            else:
                self.partial_seconds += seconds
            for reply, reward in zip(missing, rewards, strict=True):
                failed = math.isnan(reward)
                new[reply] = ScoredReply(reward, not failed and scorer.was_cut(self._prompt, reply))
                if not failed:
                    self._cache.put(scorer, self._prompt, reply, new[reply])
        scored = [new[reply] if old is None else old for reply, old in zip(replies, known, strict=True)]
        if complete:
            self._read.add(scorer, self, list(zip(replies, scored, strict=True)))
            if scored and all(math.isnan(one.reward) for one in scored):
                raise ScorerError(self._failures[scorer.name])
        return tuple(one.reward for one in scored)

    def _score(self, scorer: Scorer, replies: list[Reply], complete: bool) -> list[float]:
        """Return rewards, one per reply; NaN where the scorer fails, which is recorded for complete replies."""
        try:
            return [float(reward) for reward in score_checked(scorer, self._prompt, replies)]
        except ScorerError as error:
            if len(replies) == 1:
                if complete:
                    self._failures.setdefault(scorer.name, str(error))
                return [math.nan]
        # One by one, so that only the replies that it fails on get no reward.
        return [reward for reply in replies for reward in self._score(scorer, [reply], complete)]
