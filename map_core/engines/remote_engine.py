"""The engine for a model on a server with OpenAI's chat completions, such as vLLM, SGLang or llama.cpp.

A model is named NAME@URL, for example ``Qwen/Qwen3-8B@http://gpu-box:8000/v1``. The key, where the server wants one,
comes from the environment alone: ``VALUE_PALETTE_API_KEY``, else ``OPENAI_API_KEY``.

* Each candidate is a request of its own with its own seed, so all come side by side and each can be cancelled. One
  event loop a call reads them; it runs while the caller waits for the next item and ends with the call.
* Whether a server honours seeds cannot be seen from here. vLLM and llama.cpp do, up to the rounding of their batches;
  SGLang with ``--enable-deterministic-inference``; transformers serve has one random stream for all its requests.
* Token ids are not reported, so replies cannot be continued. Log-probabilities are taken where the server reports the
  model's own: vLLM and llama.cpp do, SGLang divides by the temperature first. Where they are not reported, a token
  here is whatever piece of text the server sends at once.

Constraint: nothing is imported from openai before an engine is opened; not to be called from inside a running event
loop. Repeating what failed at its start, and time limits, are the openai client's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from map_core.core.types import SamplingSettings
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import UNKNOWN_TOKEN, Token, TokenStream
from map_core.errors import EngineError, InputError, PaletteError, TryAgainError
from map_core.models.endpoint import KEY_VARIABLES, address_of, connection

_CONNECT_SECONDS = 5.0
_LIST_SECONDS = 30.0
# Servers, by the owner that they give their models, that cut by default (llama.cpp: top_k 40, min_p 0.05; vLLM and
# SGLang: what the model's generation_config says) and take the fields that switch it off. Others may refuse them.
#: Fields of an answer in which servers put what a model thinks before it speaks (vLLM, llama.cpp; OpenRouter, Ollama).
_THINKING = ("reasoning_content", "reasoning")
_CUTS_BY_DEFAULT = ("vllm", "sglang", "llamacpp")


class RemoteEngine(Engine):
    """A base model behind an OpenAI-compatible server.

    Args:
        model: NAME@URL.
        together: ask for all candidates in one request (n = K) with the first one's seed. That is for servers that
            charge or count by request; a candidate then depends on how many there are.
        retries: how often the client repeats a request that failed before its first token.
        timeout: seconds to wait for the next piece of an answer.
        trusted: whoever runs this program named this server, see :func:`map_core.models.endpoint.connection`.

    Raises:
        InputError: ``model`` names no model on a server, or a server that may not be called.
        EngineError: the server cannot be reached or refuses the key, or openai is not installed.
    """

    def __init__(
        self, model: str, together: bool = False, retries: int = 2, timeout: float = 600.0, *, trusted: bool = False
    ) -> None:
        address = address_of(model)
        if address is None:
            raise InputError(f"{model!r} names no model on a server; expected NAME@http://HOST:PORT/v1.")
        server = connection(address, trusted=trusted)
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise EngineError("openai is not installed. Run: pip install -r requirements.txt") from error
        self._address = address
        self._together = together
        self._key_name, self._key = server.key_variable, server.key
        self._client_settings: dict[str, Any] = {
            "base_url": server.url,
            "api_key": self._key,
            "max_retries": retries,
            "timeout": openai.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        }
        # Read once and not for each call: it takes as long as the first token of a reply.
        self._certificates = httpx2.create_ssl_context()
        self._reports_log_probs = True
        self._offered = self._list_models()
        # The server reports neither the weights' hash nor their number format.
        self._info = EngineInfo("remote", str(address), "unknown", "unknown", "remote")

    @property
    def info(self) -> EngineInfo:
        """Which model and library draw the replies."""
        return self._info

    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies side by side, see :meth:`Engine.sample`.

        An item holds what has come since the last one, at most one token a candidate; a slow candidate does not hold
        the others up. The generator raises what only the server can tell.

        Raises:
            InputError: the server refuses the request: an unknown model, no room in the context, a setting that it does
                not know.
            EngineError: the server cannot be reached, refuses the key, has too much to do, or a stream broke off.
        """
        body = {"messages": request.messages} | self._drawing(request.settings)
        seeds, count = request.seeds, request.candidates
        candidates = [_RemoteCandidate(k, request.settings.max_new_tokens) for k in range(count)]
        if self._together:
            return self._stream([(body | {"seed": seeds[0], "n": count}, candidates)])
        return self._stream([(body | {"seed": s}, [c]) for s, c in zip(seeds, candidates, strict=True)])

    def _drawing(self, settings: SamplingSettings) -> dict[str, Any]:
        """Return the part of a request that says how to draw."""
        # llama.cpp answers under any name, listed or not.
        kind = self._offered.get(self._address.name) or next(iter(self._offered.values()), "")
        extra: dict[str, Any] = {"top_k": settings.top_k} if settings.top_k else {}
        if kind in _CUTS_BY_DEFAULT:
            extra = {"top_k": settings.top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}
        return {
            "model": self._address.name,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
            "stream": True,
            "extra_body": extra,
            # SGLang reports them after the temperature: they are the model's own only at temperature 1.
            **({"logprobs": True} if kind != "sglang" or settings.temperature == 1.0 else {}),
        }

    def _stream(self, requests: list[tuple[dict[str, Any], list[_RemoteCandidate]]]) -> TokenStream:
        # Leaving the runner cancels what is still being read and closes its connections, however this is left.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            news = asyncio.Event()
            reading = runner.get_loop().create_task(self._read_all(requests, news))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            reading.add_done_callback(lambda _: news.set())
            candidates = [candidate for _, group in requests for candidate in group]
            while step := runner.run(_next_step(candidates, reading, news)):
                yield step

    async def _read_all(
        self, requests: list[tuple[dict[str, Any], list[_RemoteCandidate]]], news: asyncio.Event
    ) -> None:
        import openai

        client = openai.AsyncOpenAI(
            **self._client_settings, http_client=openai.DefaultAsyncHttpxClient(verify=self._certificates)
        )
        try:
            async with client, asyncio.TaskGroup() as group:
                for request, candidates in requests:
                    group.create_task(self._read(client, request, candidates, news))
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from first.__cause__

    async def _read(
        self, client: Any, request: dict[str, Any], candidates: list[_RemoteCandidate], news: asyncio.Event
    ) -> None:
        """Send one request and read its tokens into the candidates that it draws."""
        import openai

        opened = False
        try:
            async with await self._open(client, request) as chunks:
                opened = True
                async for chunk in chunks:
                    for choice in chunk.choices:
                        candidates[choice.index].take(choice)
                    news.set()
                    if all(candidate.ended for candidate in candidates):
                        return
        except openai.OpenAIError as error:
            raise self._error(error, opened) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise EngineError(
                f"The server {self._address.url} sent something that does not read as a chat completion "
                f"({type(error).__name__}: {self._redacted(str(error))}). Is it OpenAI-compatible?"
            ) from error
        if not any(candidate.drawn for candidate in candidates):
            raise EngineError(
                f"The server {self._address.url} answered without a reply; expected a stream of chat completions. "
                "Check the address, which mostly ends in /v1."
            )
        whole = sum(candidate.ended for candidate in candidates)
        hint = "; it does not draw several in one request" if self._together and whole else ""
        raise (EngineError if hint else TryAgainError)(
            f"The server {self._address.url} ended its answer with {whole} of {len(candidates)} replies "
            f"whole{hint}. Try again."
        )

    async def _open(self, client: Any, request: dict[str, Any]) -> Any:
        """Send a request; once more without log-probabilities where the server refuses to report them."""
        import openai

        if not self._reports_log_probs:
            request = {name: value for name, value in request.items() if name != "logprobs"}
        try:
            return await client.chat.completions.create(**request)
        except (openai.BadRequestError, openai.PermissionDeniedError, openai.UnprocessableEntityError) as error:
            if "logprobs" not in request or "logprobs" not in str(error):
                raise
            self._reports_log_probs = False
            return await self._open(client, request)

    def _list_models(self) -> dict[str, str]:
        """Return the models that the server offers and who owns them; empty where it does not list them."""
        import openai

        try:
            connection = openai.DefaultHttpxClient(verify=self._certificates)
            with openai.OpenAI(**self._client_settings, http_client=connection) as client:
                limits = {"max_retries": 0, "timeout": min(self._client_settings["timeout"].read, _LIST_SECONDS)}
                models = client.with_options(**limits).models.list().data
            return {str(model.id): str(getattr(model, "owned_by", "")).lower() for model in models}
        except (openai.APIConnectionError, openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._error(error, opened=False) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            return {}  # transformers serve fails here without a hub cache; the first reply shows what is wrong

    def _error(self, error: Exception, opened: bool) -> PaletteError:
        """Word what the client raised; ``opened`` when the answer had begun."""
        import openai

        url, name = self._address.url, self._address.name
        if isinstance(error, openai.APIStatusError):
            status, detail = error.status_code, self._detail(error.body)
            if status in (401, 403):
                what = f"refuses the key in {self._key_name}" if self._key_name else "wants a key and there is none"
                return EngineError(f"The server {url} {what} ({status}). Set {KEY_VARIABLES[0]} to a key of it.")
            if status == 404:
                offered = f" It offers {', '.join(sorted(self._offered))}." if self._offered else ""
                return InputError(
                    f"The server {url} has no model {name!r}, or no chat at this address (404{detail}).{offered} "
                    "Check the name, and the address, which mostly ends in /v1."
                )
            if status in (408, 409, 429) or status >= 500:
                return TryAgainError(
                    f"The server {url} could not answer ({status}{detail}), asked up to "
                    f"{self._client_settings['max_retries'] + 1} times. Try again later, or with fewer candidates."
                )
            return InputError(
                f"The server {url} refuses the request ({status}{detail}). Change the prompt or the settings."
            )
        if isinstance(error, openai.APITimeoutError):
            return TryAgainError(
                f"The server {url} did not answer in time. Check that it runs and try again, or with fewer candidates."
            )
        reason = self._detail(getattr(error, "body", None)) or f": {self._redacted(str(error.__cause__ or error))}"
        if opened or not isinstance(error, openai.APIConnectionError):
            return TryAgainError(f"The stream of the server {url} broke off{reason}. Try again.")
        return TryAgainError(f"The server {url} cannot be reached{reason}. Start it, or check the address.")

    def _detail(self, body: object) -> str:
        """Return the server's reason for a failure as the rest of a sentence; empty where there is none."""
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body.get("error") or ""
        text = self._redacted(str(body)) if body else ""
        return f": {text}" if text else ""

    def _redacted(self, text: str) -> str:
        """Return a text of the server's as one line of at most 300 characters, without the key."""
        text = " ".join(text.split()).rstrip(".")
        if self._key_name:
            text = text.replace(self._key, "***")
        return text if len(text) <= 300 else text[:297] + "..."


async def _next_step(
    candidates: list[_RemoteCandidate], reading: asyncio.Task[None], news: asyncio.Event
) -> list[Token]:
    """Return one token of each candidate that has one, as soon as any has; empty when all is read."""
    while not any(candidate.waiting for candidate in candidates) and not reading.done():
        news.clear()
        await news.wait()
        await asyncio.sleep(0)  # tokens that came in the same moment on other connections go along
    step = [candidate.waiting.popleft() for candidate in candidates if candidate.waiting]
    if not step:
        reading.result()
    return step


@dataclass
class _RemoteCandidate:
    """A candidate that is being read.

    Args:
        candidate: its place in the call.
        most: the most tokens that it may have.
        drawn: tokens so far; pieces of text where the server does not report tokens.
        thoughts: pieces of hidden thinking so far, which are no part of the reply.
        said: whether any text of the reply has come.
        ended: nothing more is to come.
        waiting: tokens that nobody has taken yet.
    """

    candidate: int
    most: int
    drawn: int = 0
    thoughts: int = 0
    said: bool = False
    ended: bool = False
    waiting: deque[Token] = field(default_factory=deque)

    def take(self, choice: Any) -> None:
        """Read a chunk's part of this candidate.

        A chunk of several tokens has one text: it belongs to the last of them. The end may come with the last token
        (vLLM) or in a chunk of its own (llama.cpp, transformers).

        Raises:
            EngineError: the server ended the reply for another reason than its end or its length.
        """
        if self.ended:
            return
        text, reason = choice.delta.content or "", choice.finish_reason or None
        reason = "stop" if reason == "eos_token" else reason  # text-generation-inference's word for it
        reported = [(str(t.token), float(t.logprob)) for t in (choice.logprobs and choice.logprobs.content) or ()]
        if any(getattr(choice.delta, field, None) for field in _THINKING):
            # The log-probabilities of thoughts, alone or mixed with the reply's, are not the reply's.
            self.thoughts += max(1, len(reported))
            reported = []
        self.said |= bool(text)
        if reason is not None and self.thoughts and not self.said:
            raise EngineError(
                f"The model spent all {self.thoughts:,} tokens of a reply on hidden thinking and said nothing. Allow "
                "more tokens (--max-new-tokens), or start the server with thinking switched off: llama.cpp's "
                "--reasoning-budget 0, or enable_thinking false in vLLM's --default-chat-template-kwargs."
            )
        if reason not in (None, "stop", "length"):
            raise EngineError(
                f"The server ended a reply for the reason {reason!r}; expected stop or length. Ask something else."
            )
        end = [Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, True, True)] if reason == "stop" else []
        if end and reported and not (reported[-1][0] and text.endswith(reported[-1][0])):
            # The last reported token is the end-of-turn token: its text is not the reply's.
            end = [replace(end[0], log_prob=reported.pop()[1])]
        log_probs = [log_prob for _, log_prob in reported] or ([math.nan] if text or (reason == "length") else [])
        tokens = [
            Token(self.candidate, UNKNOWN_TOKEN, "", log_prob, last=False, finished=False) for log_prob in log_probs
        ]
        if tokens:
            tokens[-1] = replace(tokens[-1], text=text)
        self.drawn += len(tokens)
        # Where tokens are reported, the last one is known when it comes: an end in a later chunk brings none.
        self.ended = bool(reason) or (bool(reported) and self.drawn >= self.most)
        tokens += end
        if self.ended:
            tokens[-1] = replace(tokens[-1], last=True)
        self.waiting.extend(tokens)
