"""One generation as its readers see it: a buffer that the model process fills and anyone may look at.

:meth:`Generation.snapshot` gives a frozen picture at any moment and from any thread, so a page can draw it a few
times a second and a reload can attach to it again. The choice is made here, from the rewards that came: other weights,
those of a second palette or of a fader that moves, need no other replies. Constraint: nothing of a model library is
imported here.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from map_core.core.types import SamplingSettings, Turn
from map_core.errors import InputError
from map_core.generation.choice import Choice, choose
from map_core.generation.request import GenerationRequest, Method, check_weights
from map_core.scoring.specification import Specification


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
        rewards: by value; provisional ones while the reply is partial; without those that could not be scored.
        probability: that of being the aligned reply, provisional until the generation is done; None before any scoring.
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

    @property
    def base_reply(self) -> str:
        """The base column: one and the same candidate from its first token to its last."""
        return self.candidates[self.base].text

    @property
    def aligned_reply(self) -> str | None:
        """The aligned column: the picked reply, before that the provisional leader's, None before any scoring."""
        shown = self.leader if self.picked is None else self.picked
        return None if shown is None else self.candidates[shown].text

    @property
    def log_candidates(self) -> float:
        """The most that choosing among whole candidates can spend, in nats."""
        return math.log(len(self.candidates))


class Generation:
    """A request and what has come of it; thread-safe. Made by :meth:`GenerationService.submit`.

    Args:
        request: what was asked.
        cancel: called with the id to stop it.
        steer: called with the id and new weights while it runs.
        viewer: whose it is; turns are fair among viewers.
    """

    def __init__(
        self,
        request: GenerationRequest,
        cancel: Callable[[str], None],
        steer: Callable[[str, Mapping[str, float]], None] | None = None,
        viewer: str = "",
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.viewer = viewer
        self.begun = False
        self.sendings = 0
        self._cancel, self._steer = cancel, steer
        self._changed = threading.Condition()
        self._submitted = time.monotonic()
        self._over: float | None = None
        self._weights: dict[str, float] = dict(request.weights)
        self._facts: dict[str, Any] = {
            "phase": Phase.WAITING,
            "queue_position": 0,
            "note": "",
            "base": request.base,
        }
        self._clear()

    def _clear(self) -> None:
        """No token yet."""
        count = self.request.candidates
        self._texts: list[list[str]] = [[] for _ in range(count)]
        self._counts = [0] * count
        self._ends = [(False, False)] * count
        self._rewards: dict[str, tuple[float, ...]] = {}
        self._offsets = np.zeros(count)
        if self.request.method is Method.BLOCKS and count > 1:
            self._offsets[self._facts["base"]] = math.inf
        self._last_token: float | None = None
        self._facts["tokens"] = 0

    @property
    def ended(self) -> bool:
        """Done, cancelled or failed."""
        return self._over is not None

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights in force."""
        return self._weights

    def cancel(self) -> None:
        """Stop within one token; what is written so far stays readable."""
        self._cancel(self.id)

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Put other weights in force: at once for what is scored, and for what is still being written from here on.

        Raises:
            InputError: a weight that is not finite, or on a value that this generation does not score.
        """
        check_weights(weights)
        unknown = [name for name in weights if name not in self.request.scored]
        if unknown:
            raise InputError(
                f"This generation does not score {', '.join(map(repr, unknown))}; it scores "
                f"{', '.join(self.request.scored) or 'nothing'}. Generate again with that value."
            )
        with self._changed:
            if dict(weights) == self._weights:
                return
            self._weights = dict(weights)
        if self._steer is not None and not self.ended:
            self._steer(self.id, weights)

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Wait for the end, or for ``timeout`` seconds, and return the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended, timeout)
            return self.snapshot()

    def choice(self, weights: Mapping[str, float] | None = None) -> Choice | None:
        """What some weights make of the candidates as they stand; None before any rewards.

        Args:
            weights: lambda by value; those in force when None. While replies are partial, a value without rewards yet
                counts for nothing.
        """
        with self._changed:
            return self._choice(self._weights if weights is None else weights)

    def _choice(self, weights: Mapping[str, float]) -> Choice | None:
        done = self._facts["phase"] is Phase.DONE
        if not (self._rewards or done):
            return None
        names = [name for name in self._rewards if weights.get(name, 0.0) != 0.0]
        table = np.array([self._rewards[name] for name in names]).reshape(len(names), len(self._offsets)).T
        try:
            return choose(
                table,
                [weights[name] for name in names],
                self.request.seed,
                log_offsets=self._offsets if done else np.where(np.isinf(self._offsets), math.inf, 0.0),
                best=self.request.method is Method.BEST,
                base=self._facts["base"],
            )
        except InputError:  # no candidate can be scored, or sums beyond the largest number
            return None

    def snapshot(self) -> Snapshot:
        """The state now, frozen."""
        with self._changed:
            choice = self._choice(self._weights)
            candidates = tuple(
                Candidate(
                    text="".join(self._texts[k]),
                    tokens=self._counts[k],
                    ended=self._ends[k][0],
                    finished=self._ends[k][1],
                    rewards={
                        value: rewards[k]
                        for value, rewards in self._rewards.items()
                        if k < len(rewards) and not math.isnan(rewards[k])
                    },
                    probability=None if choice is None else choice.probabilities[k],
                )
                for k in range(len(self._texts))
            )
            seconds = (time.monotonic() if self._over is None else self._over) - self._submitted
            done = self._facts["phase"] is Phase.DONE
            return Snapshot(
                id=self.id,
                candidates=candidates,
                weights=dict(self._weights),
                leader=None if choice is None else choice.picked if done else int(np.argmax(choice.probabilities)),
                picked=choice.picked if done and choice is not None else None,
                provisional=not done,
                choice=choice,
                seconds=seconds,
                restarts=max(self.sendings - 1, 0),
                **self._facts,
            )

    def note(self, note: str, queue_position: int = 0) -> None:
        """Say what is being waited for."""
        with self._changed:
            if not self.ended:
                self._facts.update(note=note, queue_position=queue_position)

    def wait_again(self, note: str) -> None:
        """Back into the queue: the model process was lost; what is written stays in sight until it is begun anew."""
        with self._changed:
            if not self.ended:
                self.begun = False
                self._facts.update(phase=Phase.WAITING, note=note)

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
                    self._clear()
                    self._facts.update(phase=Phase.SAMPLING, note="", queue_position=0, base=message["base"])
                case "tokens":
                    self._apply_tokens(message["tokens"])
                case "more":
                    self._grow(message["candidates"])
                case "scored":
                    if not message["provisional"] and self._facts["phase"] != Phase.SCORING:
                        self._facts["phase"] = Phase.SCORING
                        self._rewards = {}
                    self._rewards[message["value"]] = _numbers(message["rewards"])
                case "resampled":
                    self._apply_resampled(message["ancestors"])
                case "finished":
                    self._apply_finished(message)
                case "cancelled":
                    self.end(Phase.CANCELLED)
                case "failed":
                    self.end(Phase.FAILED, message["error"], message.get("command"))

    def _apply_tokens(self, tokens: list[list[Any]]) -> None:
        if not tokens:
            return
        self._last_token = time.monotonic()
        self._facts["phase"] = Phase.SAMPLING
        if "first_token_seconds" not in self._facts:
            self._facts["first_token_seconds"] = self._last_token - self._submitted
        for candidate, text, last, finished in tokens:
            self._texts[candidate].append(text)
            self._counts[candidate] += not finished
            self._ends[candidate] = (last, finished)
        self._facts["tokens"] += len(tokens)

    def _grow(self, candidates: int) -> None:
        """More candidates are drawn; rewards so far do not speak of them."""
        added = candidates - len(self._texts)
        self._texts += [[] for _ in range(added)]
        self._counts += [0] * added
        self._ends += [(False, False)] * added
        self._offsets = np.zeros(candidates)
        self._rewards = {}

    def _apply_resampled(self, ancestors: list[int]) -> None:
        self._texts = [list(self._texts[k]) for k in ancestors]
        self._counts = [self._counts[k] for k in ancestors]
        self._ends = [self._ends[k] for k in ancestors]
        self._rewards = {value: tuple(rewards[k] for k in ancestors) for value, rewards in self._rewards.items()}
        self._facts["resampled"] = self._facts.get("resampled", 0) + 1

    def _apply_finished(self, message: Mapping[str, Any]) -> None:
        self._texts = [[text] for text in message["texts"]]
        missing = len(self._texts) - len(self._counts)
        self._counts = (self._counts + [0] * missing)[: len(self._texts)]
        self._ends = [(True, finished) for finished in message["finished"]]
        self._rewards = {value: _numbers(rewards) for value, rewards in message["rewards"].items()}
        self._offsets = np.array([math.inf if paid is None else paid for paid in message["log_offsets"]])
        facts = dict(message["facts"], notes=tuple(message["notes"]))
        if self._last_token is not None:
            facts["choice_seconds"] = time.monotonic() - self._last_token
        self._facts.update(facts)
        self.end(Phase.DONE)


def _numbers(rewards: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if reward is None else float(reward) for reward in rewards)


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
        "history": [[turn.prompt, turn.reply] for turn in request.history],
        "provisional": request.provisional,
        "method": request.method.value,
        "block": request.block,
        "most_candidates": request.most_candidates,
        "least_ess": request.least_ess,
        "largest_error": request.largest_error,
        "own": [one.as_dict() for one in request.own if one.name in request.scored],
    }


def request_from(message: Mapping[str, Any]) -> GenerationRequest:
    """The request that :func:`request_message` took apart."""
    parts = dict(message)
    parts["settings"] = SamplingSettings(**parts["settings"])
    parts["values"] = tuple(parts["values"])
    parts["history"] = tuple(Turn(*turn) for turn in parts["history"])
    parts["method"] = Method(parts["method"])
    parts["own"] = tuple(Specification(**one) for one in parts["own"])
    return GenerationRequest(**parts)
