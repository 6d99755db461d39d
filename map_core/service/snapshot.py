"""A frozen copy of a generation's state: its phase, its candidates and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from map_core.core.cut_replies import with_mark
from map_core.generation.choice import Choice
from map_core.service.messages import FailureKind


class Phase(StrEnum):
    """Phase of a generation; the last three are final."""

    WAITING = "waiting"
    SAMPLING = "sampling"
    SCORING = "scoring"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the phase is final."""
        return self in (Phase.DONE, Phase.CANCELLED, Phase.FAILED)


@dataclass(frozen=True)
class Candidate:
    """One of the K replies, complete or partial.

    Args:
        text: so far.
        tokens: number of tokens so far.
        ended: whether it is complete.
        finished: whether it ended by itself, and not at the length limit.
        rewards: by value; provisional while the reply is partial; without those that could not be scored.
        probability: of being the aligned reply, provisional until the generation is done; None before any scoring.
    """

    text: str = ""
    tokens: int = 0
    ended: bool = False
    finished: bool = False
    rewards: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None

    @property
    def cut(self) -> bool:
        """Whether it ended at the length limit."""
        return self.ended and not self.finished

    @property
    def display_text(self) -> str:
        """The text for people, with a mark where it was cut at the length limit."""
        return with_mark(self.text, self.cut)


@dataclass(frozen=True)
class GenerationSnapshot:
    """The state of a generation at one time.

    Args:
        id: of the generation, unique within this process.
        phase: see :class:`Phase`.
        queue_position: from 1 while it waits; 0 while it is served and after its end.
        note: a status line, or empty.
        candidates: the replies so far.
        base: the candidate that is the base model's reply, known from the start.
        weights: lambda by value, which decide leader and pick.
        leader: the most probable candidate so far, provisional; None before the first scoring.
        picked: the aligned candidate; None until the phase is "done".
        provisional: whether rewards and probabilities are those of partial replies.
        choice: probabilities, effective sample size, nats and so on; provisional like the rewards; None before any.
        tokens: tokens drawn so far, over all candidates.
        seconds: from the submission to now, or to the end.
        first_token_seconds: from the submission to the first tokens; None before.
        choice_seconds: from the last token to the choice; None before.
        sampling_seconds: time in the engine; None until it is done.
        provisional_seconds: time in scoring partial replies; None until it is done.
        scoring_seconds: time in scoring complete replies; None until it is done.
        resampled: number of re-samplings of the method "blocks" so far.
        restarts: number of new starts after the model process was lost.
        notes: what the reader should know of the outcome, a sentence each.
        error: what went wrong and what to do, when the phase is "failed".
        command: the command line that solves the problem, if there is one.
        failure: who can solve it, when the phase is "failed".
        prompt_tokens: number of tokens of the model's input, when done; None where they were not counted.
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
        """The base model's reply, the same candidate from its first token to its last."""
        return self.candidates[self.base].text

    def base_beside(self, candidate: int) -> int:
        """Return the index of the base model's candidate to show beside another one.

        It is the base candidate or, where that has the same text, the next one after it, cyclically, whose text
        differs; the base candidate where all texts are equal.
        """
        count, text = len(self.candidates), self.candidates[candidate].text
        cyclic = ((self.base + k) % count for k in range(count))
        return next((k for k in cyclic if self.candidates[k].text != text), self.base)

    @property
    def aligned_reply(self) -> str | None:
        """The picked reply; before that the provisional leader's, None before any scoring."""
        shown = self.leader if self.picked is None else self.picked
        return None if shown is None else self.candidates[shown].text

    @property
    def log_candidates(self) -> float:
        """The most that choosing among whole candidates can spend, in nats."""
        return math.log(len(self.candidates))
