"""The contract of an engine: many candidate replies of one prompt, streamed, seeded, cancelled at any token.

An :class:`Engine` samples replies, and where it can it continues given beginnings of replies. One
that holds its model itself is a :class:`LocalEngine` and supplies two methods, :meth:`LocalEngine._decode` and
:meth:`LocalEngine._score`; everything else follows from them here. Constraint: no torch and no OpenVINO at import time;
:func:`map_core.engines.factory.open_engine` loads the one that is asked for. An engine belongs to one thread.
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
        """Return the same as plain text, for a table's metadata."""
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
    """How likely a whole reply is.

    Args:
        log_prob: of the reply at the settings that it is drawn with, its end included, in nats.
        token_log_probs: of each token at temperature 1 with nothing cut, as :class:`Reply` has them.
    """

    log_prob: float
    token_log_probs: tuple[float, ...]


class Engine(ABC):
    """A base model that candidates are drawn from."""

    #: The engine continues given beginnings of replies, see :meth:`extend`.
    extends: bool = False
    #: Most candidates that are drawn in one go, so that other requests get their turn in between; None: any number.
    at_once: int | None = None

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """Which model and library draw the replies."""

    @abstractmethod
    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies side by side, token by token.

        Args:
            request: what is drawn.

        Returns:
            A generator; each item holds the tokens of one decoding step, at most one a candidate. It may be empty: the
            engine lets other calls that are under way go first. Closing it stops the work within one token and leaves
            the engine ready for the next call.

        Raises:
            InputError: the prompt leaves no room for the reply in the context.
        """

    def extend(self, request: DrawRequest, beginnings: Sequence[Sequence[int]], seeds: Sequence[int]) -> TokenStream:
        """Continue given beginnings of replies, each with its own random stream; as :meth:`sample` otherwise.

        Args:
            request: prompt, chat and settings; ``max_new_tokens`` counts the tokens after the beginning. Its
                ``candidates``, ``seed`` and ``first`` are not read.
            beginnings: token ids of each reply so far, all of one length.
            seeds: one a beginning, whole numbers below 2^32 (:func:`map_core.engines.draw_request.candidate_seed`).

        Returns:
            A generator of new tokens; ``candidate`` is the place among the beginnings.

        Raises:
            InputError: this engine cannot (:attr:`extends` says so), or as :meth:`sample`.
        """
        raise InputError(
            f"The engine {self.info.name!r} cannot continue from the beginning of a reply; choose among whole replies."
        )

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        """Compute how likely whole replies are with the request's settings; see :meth:`LocalEngine.reply_scores`.

        Raises:
            InputError: this engine cannot.
        """
        raise InputError(f"The engine {self.info.name!r} cannot tell the probability of a given reply.")

    def check(self, request: DrawRequest) -> None:  # noqa: B027 (optional)
        """Refuse a request before any work where the engine can tell beforehand.

        Raises:
            InputError: the prompt leaves no room for the reply.
        """

    def probe(self, settings: SamplingSettings, system: str | None = None) -> SamplingProbe:
        """Return what can be told of replies with these settings before any counts; a server is asked for a few words.

        Raises:
            InputError: the server refuses the settings or has not got the model.
            EngineError: it does not answer.
        """
        return SamplingProbe()

    def prompt_tokens(self, request: DrawRequest) -> int | None:
        """Return how many tokens the prompt of a request has; None where the engine has not counted them.

        Args:
            request: one that was drawn from; an engine on a server knows no sooner.
        """
        return None

    def complete(self, request: DrawRequest) -> list[Reply]:
        """Draw K whole replies; as :meth:`sample`, in one piece."""
        tokens: list[list[Token]] = [[] for _ in range(request.candidates)]
        for step in self.sample(request):
            for token in step:
                tokens[token.candidate].append(token)
        return [reply_of(reply) for reply in tokens]


class LocalEngine(Engine):
    """An engine that holds its model: it draws token by token and computes log-probabilities of given replies.

    Args:
        files: where the model's files are.
        tokenizer: the model's tokenizer and chat template.
        context_length: the most tokens that a prompt and its reply may have together.
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
        """Continue the beginnings (all of one length), a list of tokens a decoding step; closing it cancels."""

    @abstractmethod
    def _score(self, prompt: list[int], replies: list[list[int]]) -> list[np.ndarray]:
        """Compute the model's log-probability of each token of the replies (none of them empty)."""

    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies side by side, see :meth:`Engine.sample`."""
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
        """Add each sampled token's text, as it reads after what is written before every beginning."""
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
        """Return how many tokens the prompt of a request has, see :meth:`Engine.prompt_tokens`."""
        return len(prompt_ids(self.tokenizer, request))

    def log_probs(
        self,
        prompt: str,
        replies: Sequence[Sequence[int]],
        *,
        system: str | None = None,
        history: Sequence[Turn] = (),
    ) -> list[np.ndarray]:
        """Compute log p(token | prompt, tokens before it) of given replies, at temperature 1 with nothing cut.

        Args:
            prompt: the user's text.
            replies: token ids; the end-of-turn token may be among them.
            system: the system message; None leaves it to the model's template.
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
        """Yield each reply's number and the logits (token + 1, word) of its tokens and of what follows them."""

    def reply_scores(self, request: DrawRequest, replies: Sequence[Reply]) -> list[ReplyScore]:
        """Compute how likely whole replies are under this model with the request's settings, and their tokens.

        A reply is its tokens and how it ended: by any of the tokens that end a turn, or at the length limit.

        Args:
            request: prompt, chat and settings, at top-p 1 and top-k 0.
            replies: with token ids.

        Raises:
            InputError: the settings cut words, a reply has no token ids, or they are of another model.
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
        """Return the token ids of a prompt in the model's chat template, up to where the reply begins."""
        return self.tokenizer.render(DrawRequest(prompt, system=system, history=tuple(history)).messages)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return token ids as text, special tokens left out."""
        return self.tokenizer.decode(tokens)

    def _check_tokens(self, replies: Sequence[Sequence[int]]) -> None:
        size = self.tokenizer.vocabulary_size
        for reply in replies:
            if any(not 0 <= token < size for token in reply):
                raise InputError(f"A reply holds a token id outside 0 to {size - 1}; it is of another model.")

    def _prompt_ids(self, request: DrawRequest, room: int) -> list[int]:
        """Render the chat, which must leave room for so many tokens of reply."""
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
        tokens: of the reply.
        ends: tokens any of which ended it; none where it was cut.
        temperature: that it is drawn at.
    """
    steps = np.arange(len(tokens))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = shifted[steps, tokens].astype(np.float64)
    # Exponentials in float32, which is faster, and sums in float64: 1e-7 nats a token.
    plain = chosen - np.log(np.exp(shifted[:-1]).sum(axis=-1, dtype=np.float64))
    log_sums = np.log(np.exp(shifted / np.float32(temperature)).sum(axis=-1, dtype=np.float64))
    total = float((chosen / temperature - log_sums[:-1]).sum())
    if ends:
        total += float(logsumexp(shifted[-1, ends].astype(np.float64) / temperature) - log_sums[-1])
    return ReplyScore(total, tuple(plain.tolist()))


def prompt_ids(tokenizer: ChatTokenizer, request: DrawRequest) -> list[int]:
    """Return the token ids that a model reads before the first token that it draws.

    Raises:
        InputError: the model's template or tokenizer refuses the chat.
    """
    if request.verbatim:
        return tokenizer.encode_document(request.prompt)
    return tokenizer.render(request.messages)
