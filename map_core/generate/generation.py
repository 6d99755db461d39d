"""One generation as its readers see it: a buffer that the model process fills and anyone may look at.

:meth:`Generation.snapshot` gives a frozen picture at any moment and from any thread, so a page can draw it a few
times a second and a reload can attach to it again. Constraint: nothing of a model library is imported here.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from map_core.generate.aligned import GenerationRequest
from map_core.generate.reweight import base_pick
from map_core.glossary import SamplingSettings


class Phase(StrEnum):
    """Where a generation is; the last three are ends."""

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
        rewards: by value; provisional ones while the reply is partial.
        probability: softmax(lambda . r), provisional until the generation is done; None before any scoring.
    """

    text: str = ""
    tokens: int = 0
    ended: bool = False
    finished: bool = False
    rewards: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """A generation at one moment.

    Args:
        id: the generation's name within this process.
        phase: see :class:`Phase`.
        queue_position: 0 while it is served or over; n when it is the n-th of those that wait.
        note: a line about what is being waited for, or empty.
        candidates: the K replies so far.
        base: the candidate that stands for the base model, known from the start.
        leader: the most probable candidate so far, provisional; None before the first scoring.
        picked: the aligned candidate; None until the phase is "done".
        provisional: rewards and probabilities shown are those of partial replies.
        ess, kl, log_z: effective sample size, nats spent against the uniform pick, estimate of log Z; when done.
        tokens: tokens drawn so far, over all candidates.
        seconds: since the request was handed in, to its end.
        first_token_seconds: from the request to its first tokens; None before.
        sampling_seconds, provisional_seconds, scoring_seconds: how the time was spent; when done.
        error: what went wrong and what to do, when the phase is "failed".
        command: the command line that mends it, when there is one.
    """

    id: str
    phase: Phase
    queue_position: int
    note: str
    candidates: tuple[Candidate, ...]
    base: int
    leader: int | None = None
    picked: int | None = None
    provisional: bool = True
    ess: float | None = None
    kl: float | None = None
    log_z: float | None = None
    tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    sampling_seconds: float | None = None
    provisional_seconds: float | None = None
    scoring_seconds: float | None = None
    error: str | None = None
    command: str | None = None

    @property
    def base_reply(self) -> str:
        """The base column: one and the same candidate from its first token to its last."""
        return self.candidates[self.base].text

    @property
    def aligned_reply(self) -> str | None:
        """The aligned column: the picked reply, before that the provisional leader's, None before any scoring."""
        shown = self.leader if self.picked is None else self.picked
        return None if shown is None else self.candidates[shown].text


class Generation:
    """A request and what has come of it; thread-safe. Made by :meth:`GenerationService.submit`."""

    def __init__(self, request: GenerationRequest, cancel: Callable[[str], None]) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.begun = False
        self.sendings = 0
        self._cancel = cancel
        self._changed = threading.Condition()
        self._submitted = time.monotonic()
        self._over: float | None = None
        self._texts: list[list[str]] = [[] for _ in range(request.candidates)]
        self._counts = [0] * request.candidates
        self._ends = [(False, False)] * request.candidates
        self._rewards: dict[str, tuple[float, ...]] = {}
        self._probabilities: tuple[float, ...] | None = None
        self._facts: dict[str, Any] = {
            "phase": Phase.WAITING,
            "queue_position": 0,
            "note": "",
            "base": base_pick(request.candidates, request.seed),
        }

    @property
    def ended(self) -> bool:
        """Done, cancelled or failed."""
        return self._over is not None

    def cancel(self) -> None:
        """Stop within one token; what is written so far stays readable."""
        self._cancel(self.id)

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Wait for the end, or for ``timeout`` seconds, and return the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended, timeout)
            return self.snapshot()

    def snapshot(self) -> Snapshot:
        """The state now, frozen."""
        with self._changed:
            candidates = tuple(
                Candidate(
                    text="".join(self._texts[k]),
                    tokens=self._counts[k],
                    ended=self._ends[k][0],
                    finished=self._ends[k][1],
                    rewards={value: rewards[k] for value, rewards in self._rewards.items()},
                    probability=None if self._probabilities is None else self._probabilities[k],
                )
                for k in range(self.request.candidates)
            )
            seconds = (time.monotonic() if self._over is None else self._over) - self._submitted
            return Snapshot(id=self.id, candidates=candidates, seconds=seconds, **self._facts)

    def note(self, note: str, queue_position: int = 0) -> None:
        """Say what is being waited for."""
        with self._changed:
            if not self.ended:
                self._facts.update(note=note, queue_position=queue_position)

    def end(self, phase: Phase, error: str | None = None, command: str | None = None) -> None:
        """Come to an end; the first end counts."""
        with self._changed:
            if self._over is None:
                self._over = time.monotonic()
                self._facts.update(phase=phase, note="", queue_position=0, error=error, command=command)
                self._changed.notify_all()

    def apply(self, message: Mapping[str, Any]) -> None:
        """Take in a message of the model process (:func:`model_process.event_message`); late ones change nothing."""
        with self._changed:
            if self.ended:
                return
            match message["event"]:
                case "begun":
                    self.begun = True
                    self._facts.update(phase=Phase.SAMPLING, note="", queue_position=0)
                case "tokens":
                    self._apply_tokens(message["tokens"])
                case "scored":
                    if not message["provisional"] and self._facts["phase"] != Phase.SCORING:
                        self._facts["phase"] = Phase.SCORING
                        self._rewards = {}
                    self._rewards[message["value"]] = tuple(message["rewards"])
                case "leading":
                    self._probabilities = tuple(message["probabilities"])
                    self._facts["leader"] = message["leader"]
                case "finished":
                    self._texts = [[text] for text in message["texts"]]
                    self._rewards = {value: tuple(rewards) for value, rewards in message["rewards"].items()}
                    self._probabilities = tuple(message["probabilities"])
                    self._facts.update(message["facts"], provisional=False, leader=message["facts"]["picked"])
                    self.end(Phase.DONE)
                case "cancelled":
                    self.end(Phase.CANCELLED)
                case "failed":
                    self.end(Phase.FAILED, message["error"], message.get("command"))

    def _apply_tokens(self, tokens: list[list[Any]]) -> None:
        if "first_token_seconds" not in self._facts:
            self._facts["first_token_seconds"] = time.monotonic() - self._submitted
        for candidate, text, last, finished in tokens:
            self._texts[candidate].append(text)
            self._counts[candidate] += not finished
            self._ends[candidate] = (last, finished)
        self._facts["tokens"] = self._facts.get("tokens", 0) + len(tokens)


def request_message(request: GenerationRequest) -> dict[str, Any]:
    """A request as plain JSON values, for the way to the model process."""
    return {
        "prompt": request.prompt,
        "weights": {name: float(weight) for name, weight in request.weights.items()},
        "values": list(request.values),
        "candidates": int(request.candidates),
        "settings": request.settings.as_dict(),
        "seed": int(request.seed),
        "system": request.system,
        "provisional": request.provisional,
    }


def request_from(message: Mapping[str, Any]) -> GenerationRequest:
    """The request that :func:`request_message` took apart."""
    parts = dict(message)
    parts["settings"] = SamplingSettings(**parts["settings"])
    parts["values"] = tuple(parts["values"])
    return GenerationRequest(**parts)
