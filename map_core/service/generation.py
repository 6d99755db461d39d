"""The state of one generation, updated by the worker's events and readable from any thread.

:meth:`Generation.snapshot` returns a frozen copy at any time, so that a page can draw it a few times a second and can
find it again after a reload. The choice is computed here, from the rewards received: other weights, such as those of a
second palette or of a moved slider, need no new replies. Constraint: no model library is imported here.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from map_core.core.change_signal import ChangeSignal
from map_core.engines.tokens import Token
from map_core.errors import InputError
from map_core.generation.choice import Choice
from map_core.generation.events import Begun, Finished, More, Pruned, Resampled, Scored, Tokens
from map_core.generation.reply_floors import choose_above_floors
from map_core.generation.request import GenerationRequest, Method, check_weights
from map_core.generation.weighted_rewards import weighted_rewards
from map_core.service.messages import FailureKind, GenerationCancelled, GenerationEvent, GenerationFailed
from map_core.service.snapshot import Candidate, GenerationSnapshot, Phase


@dataclass
class _Draft:
    """A candidate so far: pieces of its text, its number of tokens, and whether and how it has ended."""

    pieces: list[str] = field(default_factory=list)
    tokens: int = 0
    ended: bool = False
    finished: bool = False


class Generation:
    """A request and its state; thread-safe. Created by :meth:`GenerationService.submit`.

    Args:
        request: what is generated.
        cancel: called with the id to stop it.
        reweigh: called with the id and new weights while it runs.
        viewer: its owner; turns are fair among viewers.

    Attributes:
        id: unique within this process.
        begun: the worker has started it.
        changes: notifies of every change that a snapshot shows.
        attempts: number of times it was sent to a worker.
    """

    def __init__(
        self,
        request: GenerationRequest,
        cancel: Callable[[str], None],
        reweigh: Callable[[str, Mapping[str, float]], None] | None = None,
        viewer: str = "",
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.viewer = viewer
        self.begun = False
        self.attempts = 0
        self.changes = ChangeSignal()
        self._cancel, self._reweigh = cancel, reweigh
        self._changed = threading.Condition()
        self._submitted = time.monotonic()
        self._first_token: float | None = None
        self._last_token: float | None = None
        self._ended: float | None = None
        self._weights: dict[str, float] = dict(request.weights)
        self._phase = Phase.WAITING
        self._queue_position, self._note = 0, ""
        self._outcome: Finished | None = None
        self._failure: GenerationFailed | None = None
        self._clear(request.base)

    def _clear(self, base: int) -> None:
        """Return to the state before the first token."""
        count = self.request.candidates
        self._base = base
        self._drafts = [_Draft() for _ in range(count)]
        self._rewards: dict[str, tuple[float, ...]] = {}
        self._log_offsets = np.zeros(count)
        if self.request.method is Method.BLOCKS and count > 1:
            self._log_offsets[base] = math.inf
        self._last_token = None
        self._tokens = self._resampled = 0

    @property
    def ended(self) -> bool:
        """Whether it is done, cancelled or failed."""
        return self._ended is not None

    @property
    def begun_drawing(self) -> bool:
        """Whether a first token was drawn."""
        return self._first_token is not None

    @property
    def weights(self) -> Mapping[str, float]:
        """The current weights."""
        return self._weights

    def cancel(self) -> None:
        """Stop within one token; the partial replies stay readable."""
        self._cancel(self.id)

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Replace the weights: at once in the choice among scored replies, and from now on in running methods.

        Raises:
            InputError: a weight that is not finite, or on a value that this generation does not score.
        """
        check_weights(weights)
        unknown = [name for name in self.request.values_of(weights) if name not in self.request.scored]
        if unknown:
            raise InputError(
                f"This generation does not score {', '.join(map(repr, unknown))}; it scores "
                f"{', '.join(self.request.scored) or 'nothing'}. Generate again with that value."
            )
        with self._changed:
            if dict(weights) == self._weights:
                return
            self._weights = dict(weights)
        self.changes.notify()
        if self._reweigh is not None and not self.ended:
            self._reweigh(self.id, weights)

    def wait(self, timeout: float | None = None) -> GenerationSnapshot:
        """Wait for the end, or for ``timeout`` seconds, and return the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended, timeout)
            return self.snapshot()

    def choice(self, weights: Mapping[str, float] | None = None) -> Choice | None:
        """Choose among the current candidates by some weights; None before any rewards.

        Args:
            weights: lambda by value; None for the current ones. A value whose rewards have not arrived yet is ignored.
        """
        with self._changed:
            return self._choice(self._weights if weights is None else weights)

    def _choice(self, weights: Mapping[str, float]) -> Choice | None:
        done = self._phase is Phase.DONE
        if not (self._rewards or done):
            return None
        try:
            table, counted = weighted_rewards(self._rewards, weights, len(self._log_offsets))
            return choose_above_floors(
                self._rewards,
                self.request.floors,
                table,
                counted,
                self.request.seed,
                log_offsets=self._log_offsets if done else np.where(np.isinf(self._log_offsets), math.inf, 0.0),
                best=self.request.method is Method.BEST,
                base=self._base,
                headroom=self.request.headroom,
            )
        except InputError:  # no candidate was scored, or the weighted sums overflow
            return None

    def snapshot(self) -> GenerationSnapshot:
        """Return a frozen copy of the current state."""
        with self._changed:
            choice = self._choice(self._weights)
            done = self._phase is Phase.DONE
            outcome, failure = self._outcome, self._failure
            return GenerationSnapshot(
                id=self.id,
                phase=self._phase,
                queue_position=self._queue_position,
                note=self._note,
                candidates=tuple(
                    Candidate(
                        text="".join(draft.pieces),
                        tokens=draft.tokens,
                        ended=draft.ended,
                        finished=draft.finished,
                        rewards={
                            value: rewards[k] for value, rewards in self._rewards.items() if not math.isnan(rewards[k])
                        },
                        probability=None if choice is None else choice.probabilities[k],
                    )
                    for k, draft in enumerate(self._drafts)
                ),
                base=self._base,
                weights=dict(self._weights),
                leader=None if choice is None else choice.picked if done else int(np.argmax(choice.probabilities)),
                picked=choice.picked if done and choice is not None else None,
                provisional=not done,
                choice=choice,
                tokens=self._tokens,
                seconds=(time.monotonic() if self._ended is None else self._ended) - self._submitted,
                first_token_seconds=None if self._first_token is None else self._first_token - self._submitted,
                choice_seconds=self._choice_seconds(),
                sampling_seconds=None if outcome is None else outcome.sampling_seconds,
                provisional_seconds=None if outcome is None else outcome.provisional_seconds,
                scoring_seconds=None if outcome is None else outcome.scoring_seconds,
                resampled=self._resampled,
                restarts=max(self.attempts - 1, 0),
                notes=() if outcome is None else outcome.notes,
                error=None if failure is None else failure.error,
                command=None if failure is None else failure.command,
                failure=None if failure is None else failure.kind,
                prompt_tokens=None if outcome is None else outcome.prompt_tokens,
            )

    def _choice_seconds(self) -> float | None:
        if self._outcome is None or self._ended is None or self._last_token is None:
            return None
        return self._ended - self._last_token

    def note(self, note: str, queue_position: int = 0) -> None:
        """Set the status line of a waiting generation, and its position in the queue."""
        with self._changed:
            if not self.ended:
                self._note, self._queue_position = note, queue_position
        self.changes.notify()

    def requeue(self, note: str) -> None:
        """Return to the queue after the worker was lost; the partial replies stay visible until it is started again."""
        with self._changed:
            if not self.ended:
                self.begun = False
                self._phase, self._note = Phase.WAITING, note
        self.changes.notify()

    def end(
        self,
        phase: Phase,
        error: str | None = None,
        command: str | None = None,
        kind: FailureKind = FailureKind.INTERNAL,
    ) -> None:
        """End the generation; later calls have no effect."""
        with self._changed:
            if self._ended is None:
                self._ended = time.monotonic()
                self._phase, self._note, self._queue_position = phase, "", 0
                self._failure = None if error is None else GenerationFailed(error, command, kind)
                self._changed.notify_all()
        self.changes.notify()

    def apply(self, event: GenerationEvent) -> None:
        """Apply an event of the sampler or an end that the worker reports; events after the end are ignored.

        Raises:
            IndexError: the event names a candidate that this generation does not have.
            ValueError: the event has another number of rewards, offsets or replies than this generation.
        """
        with self._changed:
            if self.ended:
                return
            match event:
                case Begun():
                    self.begun = True
                    self._clear(event.base)
                    self._phase, self._note, self._queue_position = Phase.SAMPLING, "", 0
                case Tokens():
                    self._add_tokens(event.tokens)
                case More():
                    self._add_candidates(event.candidates)
                case Scored():
                    self._set_rewards(event)
                case Resampled():
                    self._resample(event.ancestors)
                case Pruned():
                    self._log_offsets[list(event.candidates)] = math.inf
                case Finished():
                    self._finish(event)
                case GenerationCancelled():
                    self.end(Phase.CANCELLED)
                case GenerationFailed():
                    self.end(Phase.FAILED, event.error, event.command, event.kind)
        self.changes.notify()

    def _add_tokens(self, tokens: Sequence[Token]) -> None:
        if not tokens:
            return
        self._last_token = time.monotonic()
        if self._first_token is None:
            self._first_token = self._last_token
        self._phase = Phase.SAMPLING
        for token in tokens:
            draft = self._drafts[token.candidate]
            draft.pieces.append(token.text)
            draft.tokens += not token.finished
            draft.ended, draft.finished = token.last, token.finished
        self._tokens += len(tokens)

    def _add_candidates(self, candidates: int) -> None:
        """Add candidates, and clear the rewards, which do not include them."""
        self._drafts += [_Draft() for _ in range(candidates - len(self._drafts))]
        self._log_offsets = np.zeros(candidates)
        self._rewards = {}

    def _set_rewards(self, scored: Scored) -> None:
        if len(scored.rewards) != len(self._drafts):
            raise ValueError(f"there are {len(scored.rewards)} rewards of {len(self._drafts)} candidates")
        if not scored.provisional and self._phase is not Phase.SCORING:
            self._phase = Phase.SCORING
            self._rewards = {}
        self._rewards[scored.value] = scored.rewards

    def _resample(self, ancestors: Sequence[int]) -> None:
        self._drafts = [replace(self._drafts[k], pieces=list(self._drafts[k].pieces)) for k in ancestors]
        self._rewards = {value: tuple(rewards[k] for k in ancestors) for value, rewards in self._rewards.items()}
        self._resampled += 1

    def _finish(self, outcome: Finished) -> None:
        count = len(outcome.replies)
        lengths = {len(outcome.log_offsets), *map(len, outcome.rewards.values())}
        if lengths != {count}:
            raise ValueError(f"there are {count} replies, and rewards or offsets of {sorted(lengths)}")
        written = [draft.tokens for draft in self._drafts[:count]] + [0] * (count - len(self._drafts))
        self._drafts = [
            _Draft([reply.text], tokens, ended=True, finished=reply.finished)
            for reply, tokens in zip(outcome.replies, written, strict=True)
        ]
        self._rewards = dict(outcome.rewards)
        self._log_offsets = np.array(outcome.log_offsets)
        self._tokens = outcome.tokens
        self._outcome = outcome
        self.end(Phase.DONE)
