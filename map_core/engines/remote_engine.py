"""The engine for a model on a server: any that speaks OpenAI's chat completions, as vLLM, SGLang and llama.cpp do.

A model is named NAME@URL, for example ``Qwen/Qwen3-8B@http://gpu-box:8000/v1``. The key, where the server wants one,
comes from the environment alone: ``VALUE_PALETTE_API_KEY``, else ``OPENAI_API_KEY``.

* Each candidate is a request of its own with its own seed, so all come side by side and each can be cancelled. One
  event loop a call reads them; it runs while the caller waits for the next item and ends with the call.
* Whether a server minds seeds cannot be seen from here. vLLM and llama.cpp do, up to the rounding of their batches;
  SGLang with ``--enable-deterministic-inference``; transformers serve has one random stream for all its requests.
* Token ids are not told, so replies cannot be gone on from. Log-probabilities are taken where the server tells the
  model's own: of vLLM and llama.cpp they are, SGLang divides by the temperature first. Where they are not told, a token
  here is whatever piece of text the server sends at once.

Constraint: nothing is imported from openai before an engine is opened; not to be called from inside a running event
loop. Repeating what failed at its start, and time limits, are the openai client's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from map_core.core.types import SamplingSettings
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import UNKNOWN_TOKEN, Token
from map_core.errors import EngineError, InputError, PaletteError, TryAgainError
from map_core.models.endpoint import KEY_VARIABLES, address_of, connection

_CONNECT_SECONDS = 5.0
_LIST_SECONDS = 30.0
# Servers, by the owner that they give their models, that cut by default (llama.cpp: top_k 40, min_p 0.05; vLLM and
# SGLang: what the model's generation_config says) and take the fields that switch it off. Others may refuse them.
_SWITCHED_OFF = ("vllm", "sglang", "llamacpp")


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
        self._tells_log_probs = True
        self._offered = self._list()
        # Neither what the weights are nor what they are multiplied in is told.
        self._info = EngineInfo("remote", str(address), "unknown", "unknown", "remote")

    @property
    def info(self) -> EngineInfo:
        """What is drawing the replies."""
        return self._info

    def sample(self, request: DrawRequest) -> Iterator[list[Token]]:
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
        growing = [_Growing(candidate, request.settings.max_new_tokens) for candidate in range(count)]
        if self._together:
            return self._stream([(body | {"seed": seeds[0], "n": count}, growing)])
        return self._stream([(body | {"seed": s}, [one]) for s, one in zip(seeds, growing, strict=True)])

    def _drawing(self, settings: SamplingSettings) -> dict[str, Any]:
        """The part of a request that says how to draw."""
        # llama.cpp answers under any name, listed or not.
        kind = self._offered.get(self._address.name) or next(iter(self._offered.values()), "")
        extra: dict[str, Any] = {"top_k": settings.top_k} if settings.top_k else {}
        if kind in _SWITCHED_OFF:
            extra = {"top_k": settings.top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}
        return {
            "model": self._address.name,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
            "stream": True,
            "extra_body": extra,
            # SGLang tells them after the temperature: they are the model's own at temperature 1 alone.
            **({"logprobs": True} if kind != "sglang" or settings.temperature == 1.0 else {}),
        }

    def _stream(self, requests: list[tuple[dict[str, Any], list[_Growing]]]) -> Iterator[list[Token]]:
        # Leaving the runner cancels what is still being read and closes its connections, whatever the way out.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            news = asyncio.Event()
            reading = runner.get_loop().create_task(self._read_all(requests, news))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            reading.add_done_callback(lambda _: news.set())
            growing = [one for _, some in requests for one in some]
            while step := runner.run(_step(growing, reading, news)):
                yield step

    async def _read_all(self, requests: list[tuple[dict[str, Any], list[_Growing]]], news: asyncio.Event) -> None:
        import openai

        client = openai.AsyncOpenAI(
            **self._client_settings, http_client=openai.DefaultAsyncHttpxClient(verify=self._certificates)
        )
        try:
            async with client, asyncio.TaskGroup() as group:
                for request, growing in requests:
                    group.create_task(self._read(client, request, growing, news))
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from first.__cause__

    async def _read(self, client: Any, request: dict[str, Any], growing: list[_Growing], news: asyncio.Event) -> None:
        """Send one request and hand its tokens to the candidates that it draws."""
        import openai

        opened = False
        try:
            async with await self._open(client, request) as chunks:
                opened = True
                async for chunk in chunks:
                    for choice in chunk.choices:
                        growing[choice.index].take(choice)
                    news.set()
                    if all(one.ended for one in growing):
                        return
        except openai.OpenAIError as error:
            raise self._told(error, opened) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise EngineError(
                f"The server {self._address.url} sent something that does not read as a chat completion "
                f"({type(error).__name__}: {self._hidden(str(error))}). Is it OpenAI-compatible?"
            ) from error
        if not any(one.drawn for one in growing):
            raise EngineError(
                f"The server {self._address.url} answered without a reply; expected a stream of chat completions. "
                "Check the address, which mostly ends in /v1."
            )
        whole = sum(one.ended for one in growing)
        hint = "; it does not draw several in one request" if self._together and whole else ""
        raise (EngineError if hint else TryAgainError)(
            f"The server {self._address.url} ended its answer with {whole} of {len(growing)} replies whole{hint}. "
            "Try again."
        )

    async def _open(self, client: Any, request: dict[str, Any]) -> Any:
        """Send a request; once more without log-probabilities where the server refuses to tell them."""
        import openai

        if not self._tells_log_probs:
            request = {name: value for name, value in request.items() if name != "logprobs"}
        try:
            return await client.chat.completions.create(**request)
        except (openai.BadRequestError, openai.PermissionDeniedError, openai.UnprocessableEntityError) as error:
            if "logprobs" not in request or "logprobs" not in str(error):
                raise
            self._tells_log_probs = False
            return await self._open(client, request)

    def _list(self) -> dict[str, str]:
        """The models that the server offers and who owns them; empty where it does not tell."""
        import openai

        try:
            connection = openai.DefaultHttpxClient(verify=self._certificates)
            with openai.OpenAI(**self._client_settings, http_client=connection) as client:
                few = {"max_retries": 0, "timeout": min(self._client_settings["timeout"].read, _LIST_SECONDS)}
                models = client.with_options(**few).models.list().data
            return {str(model.id): str(getattr(model, "owned_by", "")).lower() for model in models}
        except (openai.APIConnectionError, openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._told(error, opened=False) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            return {}  # transformers serve fails here without a hub cache; what is wrong is told with the first reply

    def _told(self, error: Exception, opened: bool) -> PaletteError:
        """What the client raised, in words; ``opened`` when the answer had begun."""
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
        reason = self._detail(getattr(error, "body", None)) or f": {self._hidden(str(error.__cause__ or error))}"
        if opened or not isinstance(error, openai.APIConnectionError):
            return TryAgainError(f"The stream of the server {url} broke off{reason}. Try again.")
        return TryAgainError(f"The server {url} cannot be reached{reason}. Start it, or check the address.")

    def _detail(self, body: object) -> str:
        """What the server says about a failure, as the rest of a sentence; empty where it says nothing."""
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body.get("error") or ""
        text = self._hidden(str(body)) if body else ""
        return f": {text}" if text else ""

    def _hidden(self, text: str) -> str:
        """A text of the server's in one line of at most 300 characters, without the key."""
        text = " ".join(text.split()).rstrip(".")
        if self._key_name:
            text = text.replace(self._key, "***")
        return text if len(text) <= 300 else text[:297] + "..."


async def _step(growing: list[_Growing], reading: asyncio.Task[None], news: asyncio.Event) -> list[Token]:
    """One token of each candidate that has one, as soon as any has; empty when all is read."""
    while not any(one.waiting for one in growing) and not reading.done():
        news.clear()
        await news.wait()
        await asyncio.sleep(0)  # what has come in the same moment on other connections goes along
    step = [one.waiting.popleft() for one in growing if one.waiting]
    if not step:
        reading.result()
    return step


@dataclass
class _Growing:
    """A candidate as it comes in.

    Args:
        candidate: its place in the call.
        most: the most tokens that it may have.
        drawn: tokens so far; pieces of text where the server does not tell tokens.
        ended: nothing more is to come.
        waiting: tokens that nobody has taken yet.
    """

    candidate: int
    most: int
    drawn: int = 0
    ended: bool = False
    waiting: deque[Token] = field(default_factory=deque)

    def take(self, choice: Any) -> None:
        """Take in a chunk's part of this candidate.

        A chunk of several tokens has one text: it belongs to the last of them. The end may come with the last token
        (vLLM) or in a chunk of its own (llama.cpp, transformers).

        Raises:
            EngineError: the server ended the reply for another reason than its end or its length.
        """
        if self.ended:
            return
        text, reason = choice.delta.content or "", choice.finish_reason or None
        told = [(str(one.token), float(one.logprob)) for one in (choice.logprobs and choice.logprobs.content) or ()]
        if reason not in (None, "stop", "length"):
            raise EngineError(
                f"The server ended a reply for the reason {reason!r}; expected stop or length. Ask something else."
            )
        end = [Token(self.candidate, UNKNOWN_TOKEN, "", math.nan, True, True)] if reason == "stop" else []
        if end and told and not (told[-1][0] and text.endswith(told[-1][0])):
            end = [replace(end[0], log_prob=told.pop()[1])]  # its text is not the reply's: the end-of-turn token
        log_probs = [log_prob for _, log_prob in told] or ([math.nan] if text or (reason == "length") else [])
        tokens = [Token(self.candidate, UNKNOWN_TOKEN, "", one, last=False, finished=False) for one in log_probs]
        if tokens:
            tokens[-1] = replace(tokens[-1], text=text)
        self.drawn += len(tokens)
        # Where tokens are told, the last one is known when it comes: an end in a later chunk brings none.
        self.ended = bool(reason) or (bool(told) and self.drawn >= self.most)
        tokens += end
        if self.ended:
            tokens[-1] = replace(tokens[-1], last=True)
        self.waiting.extend(tokens)
