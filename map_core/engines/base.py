"""The contract of an engine: many candidate replies of one prompt, streamed, seeded, cancelled at any token.

An :class:`Engine` samples replies, and some engines continue given beginnings of replies. An engine that holds its
model itself is a :class:`LocalEngine` and implements :meth:`LocalEngine._decode`, :meth:`LocalEngine._score` and
:meth:`LocalEngine._logits_of`; everything else is derived from them here. Constraint: no torch and no OpenVINO at
import time; :func:`map_core.engines.factory.open_engine` loads the requested one. An engine belongs to one thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import logsumexp

from map_core.core.types import Reply, SamplingSettings, Turn
from map_core.engines.draw_request import DRAWN_AT_ONCE, DrawRequest
from map_core.engines.sampling_probe import SamplingProbe
from map_core.engines.tokens import Token, TokenStream, reply_of
from map_core.errors import InputError
from map_core.models.chat_template import ChatTokenizer, TextStream
from map_core.models.files import ModelFiles


@dataclass(frozen=True)
class EngineInfo:
    """Name, model and number format of an engine; recorded with every table.

    Args:
        name: "torch", "openvino" or "remote".
        model: the model's name.
        model_hash: sha256 of the weights that were converted or loaded.
        dtype: number format of the multiplications, for example "bfloat16".
        device: "cpu", "cuda" and so on.
        preamble: the chat template's text before a prompt when no system message is given.
    """

    name: str
    model: str
    model_hash: str
    dtype: str
    device: str
    preamble: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fields by name, for a table's metadata."""
        return asdict(self)


@dataclass(frozen=True)
class SampledToken:
    """A token as a local engine's decoding loop draws it, without its text; fields as in :class:`Token`."""

    candidate: int
    token: int
    log_prob: float
    last: bool
    finished: bool


@dataclass(frozen=True)
class ReplyScore:
    """The log-probability of a whole reply.

    Args:
        log_prob: log-probability of the reply, including its end, at the given sampling settings, in nats.
        token_log_probs: log-probability of each token at temperature 1 without truncation, as in :class:`Reply`.
    """

    log_prob: float
    token_log_probs: tuple[float, ...]


class Engine(ABC):
    """A base model from which candidates are drawn."""

    #: Whether the engine can continue given beginnings of replies, see :meth:`extend`.
    extends: bool = False
    #: Maximum number of candidates per call, so that other requests get their turn in between; None for no limit.
    at_once: int | None = None

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """The model and the library that draw the replies."""

    @abstractmethod
    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies in parallel, token by token.

        Args:
            request: the request.

        Returns:
            A generator; each item holds the tokens of one decoding step, at most one per candidate. An item may be
            empty, which lets concurrent calls proceed. Closing the generator stops the work within one token and leaves
            the engine ready for the next call.

        Raises:
            InputError: the prompt leaves no room for the reply in the context.
        """

    def extend(self, request: DrawRequest, beginnings: Sequence[Sequence[int]], seeds: Sequence[int]) -> TokenStream:
        """Continue given beginnings of replies, each with its own random stream; as :meth:`sample` otherwise.

        Args:
            request: prompt, chat and settings; ``max_new_tokens`` counts the tokens after the beginning. Its
                ``candidates``, ``seed`` and ``first`` are ignored.
            beginnings: token ids of each reply so far, all of the same length.
            seeds: one per beginning, whole numbers below 2^32 (:func:`map_core.engines.draw_request.candidate_seed`).

        Returns:
            A generator of new tokens; ``candidate`` is the index among the beginnings.

        Raises:
            InputError: this engine cannot continue replies (see :attr:`extends`), or as :meth:`sample`.
        """
        raise InputError(
            f"The engine {self.info.name!r} cannot continue from the beginning of a reply; choose among whole replies."
        )

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        """Compute log-probabilities of whole replies at the request's settings; see :meth:`LocalEngine.reply_scores`.

        Raises:
            InputError: this engine cannot score replies.
        """
        raise InputError(f"The engine {self.info.name!r} cannot tell the probability of a given reply.")

    def check(self, request: DrawRequest) -> None:  # noqa: B027 (optional)
        """Refuse a request before any work, if the engine can detect the problem in advance.

        Raises:
            InputError: the prompt leaves no room for the reply.
        """

    def probe(self, settings: SamplingSettings, system: str | None = None) -> SamplingProbe:
        """Find out what replies with these settings will have; a server is asked for a few tokens.

        Raises:
            InputError: the server refuses the settings or does not have the model.
            EngineError: it does not answer.
        """
        return SamplingProbe()

    def prompt_tokens(self, request: DrawRequest) -> int | None:
        """Return the number of tokens of a request's prompt; None if the engine has not counted them.

        Args:
            request: a request that was sampled; an engine on a server does not know the number earlier.
        """
        return None

    def complete(self, request: DrawRequest) -> list[Reply]:
        """Draw K replies as :meth:`sample` does, and return them when they are complete."""
        tokens: list[list[Token]] = [[] for _ in range(request.candidates)]
        for step in self.sample(request):
            for token in step:
                tokens[token.candidate].append(token)
        return [reply_of(reply) for reply in tokens]


class LocalEngine(Engine):
    """An engine that holds its model: it draws token by token and computes log-probabilities of given replies.

    Args:
        files: the model's files.
        tokenizer: the model's tokenizer and chat template.
        context_length: maximum number of tokens of a prompt and its reply together.
    """

    extends = True
    at_once = DRAWN_AT_ONCE

    def __init__(self, files: ModelFiles, tokenizer: ChatTokenizer, context_length: int) -> None:
        self.files = files
        self.tokenizer = tokenizer
        self.context_length = context_length

    @abstractmethod
    def _decode(
        self, prompt: list[int], beginnings: list[list[int]], settings: SamplingSettings, seeds: list[int]
    ) -> Iterator[list[SampledToken]]:
        """Continue the beginnings, all of one length; yield the tokens of each decoding step. Closing cancels."""

    @abstractmethod
    def _score(self, prompt: list[int], replies: list[list[int]]) -> list[np.ndarray]:
        """Compute the model's log-probability of each token of the replies, none of which is empty."""

    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies in parallel, see :meth:`Engine.sample`."""
        return self.extend(request, [()] * request.candidates, request.seeds)

    def extend(self, request: DrawRequest, beginnings: Sequence[Sequence[int]], seeds: Sequence[int]) -> TokenStream:
        """Continue given beginnings, see :meth:`Engine.extend`."""
        lengths = {len(beginning) for beginning in beginnings}
        if len(lengths) != 1 or len(seeds) != len(beginnings):
            raise InputError(
                f"There are {len(beginnings)} beginnings of lengths {sorted(lengths)} and {len(seeds)} seeds; "
                "expected beginnings of one length and one seed each."
            )
        prompt = self._prompt_ids(request, lengths.pop() + request.settings.max_new_tokens)
        self._check_tokens(beginnings)
        written = self.tokenizer.encode(request.beginning)
        drafts = [list(beginning) for beginning in beginnings]
        return self._stream(prompt, drafts, request.settings, list(seeds), written)

    def _stream(
        self,
        prompt: list[int],
        beginnings: list[list[int]],
        settings: SamplingSettings,
        seeds: list[int],
        written: Sequence[int] = (),
    ) -> TokenStream:
        """Yield the sampled tokens with their texts, decoded after the tokens before them."""
        texts = [TextStream(self.tokenizer, [*written, *beginning]) for beginning in beginnings]
        steps = self._decode(prompt, beginnings, settings, seeds)
        try:
            for step in steps:
                yield [
                    Token(
                        candidate=t.candidate,
                        token=t.token,
                        text=texts[t.candidate].push(None if t.finished else t.token, last=t.last),
                        log_prob=t.log_prob,
                        last=t.last,
                        finished=t.finished,
                    )
                    for t in step
                ]
        finally:
            steps.close()  # type: ignore[attr-defined]

    def check(self, request: DrawRequest) -> None:
        """Refuse a request that does not fit the context, see :meth:`Engine.check`."""
        self._prompt_ids(request, request.settings.max_new_tokens)

    def prompt_tokens(self, request: DrawRequest) -> int:
        """Return the number of tokens of a request's prompt, see :meth:`Engine.prompt_tokens`."""
        return len(prompt_ids(self.tokenizer, request))

    def log_probs(
        self,
        prompt: str,
        replies: Sequence[Sequence[int]],
        *,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> list[np.ndarray]:
        """Compute log p(token | prompt, tokens before it) of given replies, at temperature 1 without truncation.

        Args:
            prompt: the user's text.
            replies: token ids, which may include the end-of-turn token.
            system: the system message; None for the template's default.
            history: the exchanges before this prompt.

        Returns:
            One float64 array per reply, one natural logarithm per token.

        Raises:
            InputError: as :meth:`sample`, or a token id that the model does not have.
        """
        request = DrawRequest(prompt, system=system, history=tuple(history))
        ids = self._prompt_ids(request, max((len(reply) for reply in replies), default=0))
        self._check_tokens(replies)
        nonempty = [list(reply) for reply in replies if len(reply)]
        scores = iter(self._score(ids, nonempty) if nonempty else [])
        return [next(scores) if len(reply) else np.zeros(0) for reply in replies]

    @abstractmethod
    def _logits_of(self, prompt: list[int], replies: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each reply's index and the logits, (token + 1, word), of its tokens and of the token after them."""

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        """Compute log-probabilities of whole replies and of their tokens under this model at the request's settings.

        A reply consists of its tokens and its end: any of the tokens that end a turn, or the length limit.

        Args:
            request: prompt, chat and settings, with top-p 1 and top-k 0.
            replies: replies with token ids.

        Raises:
            InputError: the settings truncate the distribution, a reply has no token ids, or they are of another model.
        """
        settings = request.settings
        if settings.top_p < 1.0 or settings.top_k:
            raise InputError(
                "Whole replies are scored over the whole vocabulary, and the settings have "
                f"top_p {settings.top_p:g} and top_k {settings.top_k}. Use top_p 1 and top_k 0."
            )
        if any(reply.text and not reply.tokens for reply in replies):
            raise InputError("A reply comes without token ids, so that its probability cannot be told.")
        rows = [list(reply.tokens) for reply in replies]
        self._check_tokens(rows)
        stops = sorted(self.tokenizer.stop_tokens)
        scores = [ReplyScore(0.0, ())] * len(rows)
        for i, logits in self._logits_of(self._prompt_ids(request, max(map(len, rows), default=0)), rows):
            scores[i] = _score_of(logits, rows[i], stops if replies[i].finished else [], settings.temperature)
        return scores

    def render(self, prompt: str, system: str | None = None, history: Sequence[Turn] = ()) -> list[int]:
        """Return the token ids of a prompt in the model's chat template, up to the beginning of the reply."""
        return self.tokenizer.render(DrawRequest(prompt, system=system, history=tuple(history)).messages)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return token ids as text, without special tokens."""
        return self.tokenizer.decode(tokens)

    def _check_tokens(self, replies: Sequence[Sequence[int]]) -> None:
        size = self.tokenizer.vocabulary_size
        for reply in replies:
            if any(not 0 <= token < size for token in reply):
                raise InputError(f"A reply holds a token id outside 0 to {size - 1}; it is of another model.")

    def _prompt_ids(self, request: DrawRequest, room: int) -> list[int]:
        """Render the chat, which must leave room for ``room`` tokens of the reply."""
        ids = prompt_ids(self.tokenizer, request)
        if len(ids) + room > self.context_length:
            earlier = ", the turns before it included," if request.history else ""
            raise InputError(
                f"The prompt has {len(ids)} tokens{earlier} and its reply up to {room}; the context of "
                f"{self.files.name} holds {self.context_length}. Shorten the prompt or the reply."
            )
        return ids


def _score_of(logits: np.ndarray, tokens: list[int], ends: list[int], temperature: float) -> ReplyScore:
    """Score one reply.

    Args:
        logits: (token + 1, word) float32.
        tokens: token ids of the reply.
        ends: the tokens that may have ended it; none if it was cut.
        temperature: the sampling temperature.
    """
    steps = np.arange(len(tokens))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = shifted[steps, tokens].astype(np.float64)
    # Exponentials in float32 for speed and sums in float64: an error of 1e-7 nats per token.
    plain = chosen - np.log(np.exp(shifted[:-1]).sum(axis=-1, dtype=np.float64))
    log_sums = np.log(np.exp(shifted / np.float32(temperature)).sum(axis=-1, dtype=np.float64))
    total = float((chosen / temperature - log_sums[:-1]).sum())
    if ends:
        total += float(logsumexp(shifted[-1, ends].astype(np.float64) / temperature) - log_sums[-1])
    return ReplyScore(total, tuple(plain.tolist()))


def prompt_ids(tokenizer: ChatTokenizer, request: DrawRequest) -> list[int]:
    """Return the token ids that a model reads before the first token of a reply.

    Raises:
        InputError: the model's template or tokenizer refuses the chat.
    """
    if request.verbatim:
        return tokenizer.encode_document(request.prompt)
    return tokenizer.render(request.messages)
