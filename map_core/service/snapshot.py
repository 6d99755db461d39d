"""A generation at one moment: its phase, its candidates and the choice among them, frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from map_core.core.cut_replies import with_mark
from map_core.generation.choice import Choice
from map_core.service.messages import FailureKind


class Phase(StrEnum):
    """Phase of a generation; the last three are ends."""

    WAITING = "waiting"
    SAMPLING = "sampling"
    SCORING = "scoring"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self in (Phase.DONE, Phase.CANCELLED, Phase.FAILED)


@dataclass(frozen=True)
class Candidate:
    """One of the K replies, as far as it is written.

    Args:
        text: what there is of it.
        tokens: how many tokens it has.
        ended: no more is to come; ``finished``: because it ended by itself, not by the length limit.
        rewards: by value; provisional ones while the reply is partial; without those that could not be scored.
        probability: that of being the aligned reply, provisional until the generation is done; None before any scoring.
    """

    text: str = ""
    tokens: int = 0
    ended: bool = False
    finished: bool = False
    rewards: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None

    @property
    def cut(self) -> bool:
        """The length limit has ended it."""
        return self.ended and not self.finished

    @property
    def display_text(self) -> str:
        """What people read: the text, with the mark of one that the length limit has cut."""
        return with_mark(self.text, self.cut)


@dataclass(frozen=True)
class GenerationSnapshot:
    """A generation at one moment.

    Args:
        id: the generation's name within this process.
        phase: see :class:`Phase`.
        queue_position: 0 while it is served or over; n when it is the n-th of those that wait.
        note: a line about what is being waited for, or empty.
        candidates: the replies so far.
        base: the candidate that stands for the base model, known from the start.
        weights: lambda by value that leader and pick go by.
        leader: the most probable candidate so far, provisional; None before the first scoring.
        picked: the aligned candidate; None until the phase is "done".
        provisional: rewards and probabilities shown are those of partial replies.
        choice: probabilities, effective sample size, nats and so on; provisional like the rewards; None before any.
        tokens: tokens drawn so far, over all candidates.
        seconds: since the request was handed in, to its end.
        first_token_seconds: from the request to its first tokens; None before.
        choice_seconds: from the last token to the choice; None before.
        sampling_seconds, provisional_seconds, scoring_seconds: how the time was spent; when done.
        resampled: how often blocks re-sampled the candidates so far.
        restarts: how often the model process was lost and this was begun anew.
        notes: what the reader should know of the outcome, a sentence each.
        error: what went wrong and what to do, when the phase is "failed".
        command: the command line that mends it, when there is one.
        failure: who can mend it, when the phase is "failed".
        prompt_tokens: of what the model read before it drew, when done; None where nobody has counted them.
    """

    id: str
    phase: Phase
    queue_position: int
    note: str
    candidates: tuple[Candidate, ...]
    base: int
    weights: Mapping[str, float]
    leader: int | None = None
    picked: int | None = None
    provisional: bool = True
    choice: Choice | None = None
    tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    choice_seconds: float | None = None
    sampling_seconds: float | None = None
    provisional_seconds: float | None = None
    scoring_seconds: float | None = None
    resampled: int = 0
    restarts: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    command: str | None = None
    failure: FailureKind | None = None
    prompt_tokens: int | None = None

    @property
    def base_reply(self) -> str:
        """The base column: one and the same candidate from its first token to its last."""
        return self.candidates[self.base].text

    def base_beside(self, place: int) -> int:
        """Return the candidate of the base model to show beside another one.

        It is the base model's own draw. Where that is the same reply, it is the next candidate, counted round, whose
        text differs; the own draw where all are the same.
        """
        count, text = len(self.candidates), self.candidates[place].text
        in_turn = ((self.base + k) % count for k in range(count))
        return next((k for k in in_turn if self.candidates[k].text != text), self.base)

    @property
    def aligned_reply(self) -> str | None:
        """The aligned column: the picked reply, before that the provisional leader's, None before any scoring."""
        shown = self.leader if self.picked is None else self.picked
        return None if shown is None else self.candidates[shown].text

    @property
    def log_candidates(self) -> float:
        """The most that choosing among whole candidates can spend, in nats."""
        return math.log(len(self.candidates))
