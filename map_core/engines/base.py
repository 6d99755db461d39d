"""The contract of an engine: many candidate replies of one prompt, streamed, seeded, cancelled at any token.

Whatever draws replies is an :class:`Engine`: it samples, and where it can it goes on from given beginnings. One that
holds its model itself is a :class:`LocalEngine` and supplies two methods, :meth:`LocalEngine._decode` and
:meth:`LocalEngine._score`; everything else follows from them here. Constraint: no torch and no OpenVINO at import time;
:func:`open_engine` loads the one that is asked for. An engine belongs to one thread.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from map_core.core.types import Reply, SamplingSettings, Turn
from map_core.errors import InputError
from map_core.models.chat_template import ChatTokenizer, Message, TextStream
from map_core.models.files import ModelFiles

#: Stands for the id of a token that the engine does not tell.
UNKNOWN_TOKEN = -1

_SEED_STEP = 0x9E3779B1  # odd, so that the seeds of 2^32 candidates are all different


@dataclass(frozen=True)
class EngineInfo:
    """What is drawing the replies; recorded with every table.

    Args:
        name: "torch", "openvino" or "remote".
        model: the model's name.
        model_hash: sha256 of the weights that were converted or loaded.
        dtype: what the weights are multiplied in, for example "bfloat16".
        device: "cpu", "cuda" and so on.
        preamble: what the chat template writes before a prompt when no system message is given.
    """

    name: str
    model: str
    model_hash: str
    dtype: str
    device: str
    preamble: str = ""

    def as_dict(self) -> dict[str, str]:
        """The same as plain text, for a table's metadata."""
        return asdict(self)


@dataclass(frozen=True)
class Token:
    """One token of one candidate, as it is drawn.

    Args:
        candidate: which of the K replies, from 0.
        token: its id; :data:`UNKNOWN_TOKEN` where the engine does not tell.
        text: the text that this token makes certain; empty inside a character and for the end of the turn.
        log_prob: natural logarithm of its probability under the model (temperature 1, nothing cut off); NaN where the
            engine does not tell.
        last: no token of this candidate follows.
        finished: it is the end-of-turn token, so the reply ended by itself; implies ``last``.
    """

    candidate: int
    token: int
    text: str
    log_prob: float
    last: bool
    finished: bool


@dataclass(frozen=True)
class Drawn:
    """What an engine's own loop hands up: a token without its text."""

    candidate: int
    token: int
    log_prob: float
    last: bool
    finished: bool


def candidate_seed(seed: int, candidate: int) -> int:
    """The seed (32 bits) of one candidate's random stream; different for every candidate of a call.

    Args:
        seed: the call's seed, a whole number from 0.
        candidate: its number, from 0.
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; expected a whole number from 0.")
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return (start + candidate * _SEED_STEP) % 2**32


def candidate_seeds(seed: int, candidates: int, first: int = 0) -> list[int]:
    """The seeds of a call's candidates, see :func:`candidate_seed`.

    Raises:
        InputError: ``candidates`` is below 1, or the seed is negative.
    """
    if candidates < 1:
        raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
    return [candidate_seed(seed, candidate) for candidate in range(first, first + candidates)]


class Engine(ABC):
    """What draws candidates: the model as aligned sampling sees it."""

    #: The engine goes on from given beginnings of replies, see :meth:`extend`.
    extends: bool = False

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What is drawing the replies."""

    @abstractmethod
    def sample(
        self,
        prompt: str,
        candidates: int,
        settings: SamplingSettings,
        seed: int,
        *,
        first: int = 0,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Iterator[list[Token]]:
        """Draw K replies side by side, token by token.

        Args:
            prompt: the user's text.
            candidates: K, from 1.
            settings: how to draw.
            seed: a whole number from 0; candidate k's random stream depends on (seed, k) alone.
            first: the number of the first candidate; later ones follow, so that more can be drawn to those there are.
            system: the system message; None leaves it to the model's template.
            history: the exchanges before this prompt, the earliest first.

        Returns:
            A generator; each item holds the tokens of one decoding step, at most one a candidate. It may be empty: the
            engine lets other calls that are under way go first. Closing it stops the work within one token and leaves
            the engine ready for the next call.

        Raises:
            InputError: an empty prompt, one that leaves no room in the context, a K below 1.
        """

    def extend(
        self,
        prompt: str,
        beginnings: Sequence[Sequence[int]],
        settings: SamplingSettings,
        seeds: Sequence[int],
        *,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Iterator[list[Token]]:
        """Go on from given beginnings of replies, each with its own random stream; as :meth:`sample` otherwise.

        Args:
            prompt: the user's text.
            beginnings: token ids of each reply so far, all of one length.
            settings: how to draw; ``max_new_tokens`` counts the tokens after the beginning.
            seeds: one a beginning, whole numbers below 2^32 (:func:`candidate_seed`).
            system, history: as in :meth:`sample`.

        Returns:
            A generator of new tokens; ``candidate`` is the place among the beginnings.

        Raises:
            InputError: this engine cannot (:attr:`extends` says so), or as :meth:`sample`.
        """
        raise InputError(
            f"The engine {self.info.name!r} cannot go on from the beginning of a reply; choose among whole replies."
        )

    def check(
        self, prompt: str, settings: SamplingSettings, *, system: str | None = None, history: Sequence[Turn] = ()
    ) -> None:
        """Refuse a request before any work where that can be told beforehand.

        Raises:
            InputError: an empty prompt, or one that leaves no room for the reply.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError("The prompt is empty; write what the model should answer.")

    def complete(
        self,
        prompt: str,
        candidates: int,
        settings: SamplingSettings,
        seed: int,
        *,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> list[Reply]:
        """Draw K whole replies; as :meth:`sample`, in one piece."""
        tokens: list[list[Token]] = [[] for _ in range(candidates)]
        for step in self.sample(prompt, candidates, settings, seed, system=system, history=history):
            for token in step:
                tokens[token.candidate].append(token)
        return [reply_of(drawn) for drawn in tokens]


class LocalEngine(Engine):
    """An engine that holds its model: it draws token by token and tells how likely given replies are.

    Args:
        files: where the model's files are.
        tokenizer: the model's tokenizer and chat template.
        context_length: the most tokens that a prompt and its reply may have together.
    """

    extends = True

    def __init__(self, files: ModelFiles, tokenizer: ChatTokenizer, context_length: int) -> None:
        self.files = files
        self.tokenizer = tokenizer
        self.context_length = context_length

    @abstractmethod
    def _decode(
        self, prompt: list[int], beginnings: list[list[int]], settings: SamplingSettings, seeds: list[int]
    ) -> Iterator[list[Drawn]]:
        """Go on from the beginnings (all of one length), a list of tokens a decoding step; closing it cancels."""

    @abstractmethod
    def _score(self, prompt: list[int], replies: list[list[int]]) -> list[np.ndarray]:
        """The model's log-probability of each token of the replies (none of them empty)."""

    def sample(
        self,
        prompt: str,
        candidates: int,
        settings: SamplingSettings,
        seed: int,
        *,
        first: int = 0,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Iterator[list[Token]]:
        """Draw K replies side by side, see :meth:`Engine.sample`."""
        ids = self._checked(prompt, settings.max_new_tokens, system, history)
        return self._stream(ids, [[] for _ in range(candidates)], settings, candidate_seeds(seed, candidates, first))

    def extend(
        self,
        prompt: str,
        beginnings: Sequence[Sequence[int]],
        settings: SamplingSettings,
        seeds: Sequence[int],
        *,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Iterator[list[Token]]:
        """Go on from given beginnings, see :meth:`Engine.extend`."""
        lengths = {len(beginning) for beginning in beginnings}
        if len(lengths) != 1 or len(seeds) != len(beginnings):
            raise InputError(
                f"There are {len(beginnings)} beginnings of lengths {sorted(lengths)} and {len(seeds)} seeds; "
                "expected beginnings of one length and one seed each."
            )
        ids = self._checked(prompt, lengths.pop() + settings.max_new_tokens, system, history)
        self._check_tokens(beginnings)
        return self._stream(ids, [list(beginning) for beginning in beginnings], settings, list(seeds))

    def _stream(
        self, ids: list[int], beginnings: list[list[int]], settings: SamplingSettings, seeds: list[int]
    ) -> Iterator[list[Token]]:
        streams = [TextStream(self.tokenizer, beginning) for beginning in beginnings]
        steps = self._decode(ids, beginnings, settings, seeds)
        try:
            for step in steps:
                yield [
                    Token(
                        candidate=t.candidate,
                        token=t.token,
                        text=streams[t.candidate].push(None if t.finished else t.token, last=t.last),
                        log_prob=t.log_prob,
                        last=t.last,
                        finished=t.finished,
                    )
                    for t in step
                ]
        finally:
            steps.close()  # type: ignore[attr-defined]

    def check(
        self, prompt: str, settings: SamplingSettings, *, system: str | None = None, history: Sequence[Turn] = ()
    ) -> None:
        """Refuse a request that does not fit the context, see :meth:`Engine.check`."""
        self._checked(prompt, settings.max_new_tokens, system, history)

    def log_probs(
        self, prompt: str, replies: Sequence[Sequence[int]], *, system: str | None = None
    ) -> list[np.ndarray]:
        """How likely given replies are: log p(token | prompt, tokens before it), temperature 1, nothing cut.

        Args:
            prompt: the user's text.
            replies: token ids; the end-of-turn token may be among them.
            system: the system message; None leaves it to the model's template.

        Returns:
            One float64 array per reply, one natural logarithm per token.

        Raises:
            InputError: as :meth:`sample`, or a token id that the model does not have.
        """
        ids = self._checked(prompt, max((len(reply) for reply in replies), default=0), system)
        self._check_tokens(replies)
        wanted = [list(reply) for reply in replies if len(reply)]
        scored = iter(self._score(ids, wanted) if wanted else [])
        return [next(scored) if len(reply) else np.zeros(0) for reply in replies]

    def render(self, prompt: str, system: str | None = None, history: Sequence[Turn] = ()) -> list[int]:
        """The token ids of a prompt in the model's chat template, up to where the reply begins."""
        return self.tokenizer.render(chat_messages(prompt, system, history))

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids as text, special tokens left out."""
        return self.tokenizer.decode(tokens)

    def _check_tokens(self, replies: Sequence[Sequence[int]]) -> None:
        size = self.tokenizer.vocabulary_size
        for reply in replies:
            if any(not 0 <= token < size for token in reply):
                raise InputError(f"A reply holds a token id outside 0 to {size - 1}; it is of another model.")

    def _checked(self, prompt: str, room: int, system: str | None, history: Sequence[Turn] = ()) -> list[int]:
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError("The prompt is empty; write what the model should answer.")
        ids = self.render(prompt, system, history)
        if len(ids) + room > self.context_length:
            earlier = ", the turns before it included," if history else ""
            raise InputError(
                f"The prompt has {len(ids)} tokens{earlier} and its reply up to {room}; the context of "
                f"{self.files.name} holds {self.context_length}. Shorten the prompt or the reply."
            )
        return ids


def chat_messages(prompt: str, system: str | None = None, history: Sequence[Turn] = ()) -> list[Message]:
    """A chat as messages: the system message where there is one, the exchanges before, the prompt."""
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for turn in history:
        messages += [{"role": "user", "content": turn.prompt}, {"role": "assistant", "content": turn.reply}]
    return [*messages, {"role": "user", "content": prompt}]


def reply_of(tokens: Sequence[Token]) -> Reply:
    """One candidate's tokens, so far or to the end, as a reply (the end-of-turn token left out).

    Ids and log-probabilities that the engine does not tell of every token are left out as a whole.
    """
    kept = [t for t in tokens if not t.finished]
    ids, log_probs = tuple(t.token for t in kept), tuple(t.log_prob for t in kept)
    return Reply(
        text="".join(t.text for t in tokens),
        tokens=() if UNKNOWN_TOKEN in ids else ids,
        log_probs=() if any(math.isnan(log_prob) for log_prob in log_probs) else log_probs,
        finished=any(t.finished for t in tokens),
    )
