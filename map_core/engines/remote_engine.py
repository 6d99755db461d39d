"""The engine for a model on a server with OpenAI's chat completions, such as vLLM, SGLang or llama.cpp.

A model is named NAME@URL, for example ``Qwen/Qwen3-8B@http://gpu-box:8000/v1``. The key, where the server wants one,
comes from the environment alone (:mod:`map_core.models.endpoint`).

* Each candidate is a request of its own with its own seed, so all come side by side and each can be cancelled. One
  event loop a call reads them; it runs while the caller waits for the next item and ends with the call.
* Whether a server honours seeds cannot be seen from here. vLLM and llama.cpp do, up to the rounding of their batches;
  SGLang with ``--enable-deterministic-inference``; transformers serve has one random stream for all its requests.
* Token ids are not reported, so replies cannot be continued. Log-probabilities are taken where the server reports the
  model's own: vLLM and llama.cpp do, SGLang divides by the temperature first. Where they are not reported, a token
  here is whatever piece of text the server sends at once; where fewer are told than the server counts tokens, those
  of the reply are unknown.
* Servers cut by settings of their own (llama.cpp: top_k 40, min_p 0.05; vLLM and SGLang: what the model's
  generation_config says), gateways before them included. Each is told not to; what a server refuses of a request is
  left out from then on (:class:`map_core.models.refused_fields.RefusedFields`), and its own cuts then are unknown.

Constraint: nothing is imported from openai before an engine is opened; not to be called from inside a running event
loop. Repeating what failed at its start, and time limits, are the openai client's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from map_core.core.types import SamplingSettings
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.draw_request import DrawRequest
from map_core.engines.remote_candidate import RemoteCandidate, close_all, told_log_probs
from map_core.engines.remote_errors import RemoteErrors
from map_core.engines.sampling_probe import SamplingProbe
from map_core.engines.tokens import Token, TokenStream
from map_core.errors import EngineError, InputError, TryAgainError
from map_core.models.endpoint import address_of, connection
from map_core.models.refused_fields import OptionalField, RefusedFields, renamed
from map_core.models.request_extra import check_request_extra, nested_names

#: Seconds to wait for the next piece of an answer.
TIMEOUT = 600.0
_CONNECT_SECONDS = 5.0
_PROBE_TOKENS = 8
_LIST_SECONDS = 30.0
#: Prompts whose tokens are remembered; a request asks for those of its own as soon as it ends.
_PROMPTS_COUNTED = 1024
#: Fields that switch off the cuts that a server makes by settings of its own.
UNCUT = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
#: Hosts of servers that make no cuts of their own and know no such fields: OpenAI's, and Azure's of the same models.
_UNCUT_HOSTS = ("api.openai.com", ".openai.azure.com")
#: What a server may refuse, the most valuable first.
_OPTIONAL = (
    OptionalField("max_tokens", (renamed("max_completion_tokens"),)),
    OptionalField("top_k"),
    OptionalField("min_p"),
    OptionalField("repetition_penalty"),
    OptionalField("logprobs"),
    OptionalField("seed"),
    OptionalField("stream_options"),
)


class RemoteEngine(Engine):
    """A base model behind an OpenAI-compatible server.

    Args:
        model: NAME@URL.
        together: ask for all candidates in one request (n = K) with the first one's seed. That is for servers that
            charge or count by request; a candidate then depends on how many there are.
        retries: how often the client repeats a request that failed before its first token.
        timeout: seconds to wait for the next piece of an answer.
        extra: further fields of every request, see :func:`map_core.models.request_extra.check_request_extra`.
        trusted: whoever runs this program named this server, see :func:`map_core.models.endpoint.connection`.

    Raises:
        InputError: ``model`` names no model on a server, or a server that may not be called, or ``extra`` sets what is
            set here.
        EngineError: the server cannot be reached or refuses the key, or openai is not installed.
    """

    def __init__(
        self,
        model: str,
        together: bool = False,
        retries: int = 2,
        timeout: float = TIMEOUT,
        *,
        extra: Mapping[str, Any] | None = None,
        trusted: bool = False,
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
        self._errors = RemoteErrors(address, server, retries + 1)
        self._fields = RefusedFields(_OPTIONAL)
        self._extra = check_request_extra(extra or {})
        self._set_by_extra = nested_names(self._extra)
        self._client_settings: dict[str, Any] = {
            "base_url": server.url,
            "api_key": server.key,
            "max_retries": retries,
            "timeout": openai.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        }
        # Read once and not for each call: it takes as long as the first token of a reply.
        self._certificates = httpx2.create_ssl_context()
        self._prompt_tokens: dict[str, int] = {}
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
        candidates = [RemoteCandidate(k, request.settings.max_new_tokens) for k in range(count)]
        if self._together:
            return self._stream([(body | {"seed": seeds[0], "n": count}, candidates)])
        return self._stream([(body | {"seed": s}, [c]) for s, c in zip(seeds, candidates, strict=True)])

    def probe(self, settings: SamplingSettings, system: str | None = None) -> SamplingProbe:
        """Ask for a few words, see :meth:`Engine.probe`."""
        few = replace(settings, max_new_tokens=min(settings.max_new_tokens, _PROBE_TOKENS))
        request = DrawRequest("Hello.", 1, few, system=system)
        body = {"messages": request.messages} | self._drawing(few) | {"seed": request.seeds[0]}
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            log_probs = runner.run(self._tells_log_probs(body))
        refused = self._fields.refused
        unknown = tuple(name for name in UNCUT if name in refused and name not in self._set_by_extra)
        notes = []
        if "seed" in refused:
            notes.append("The server takes no seed: the same build draws other replies another time.")
        return SamplingProbe(log_probs, unknown, tuple(notes))

    async def _tells_log_probs(self, body: dict[str, Any]) -> bool:
        """Read one answer to its end; return whether log-probabilities came with it."""
        import openai

        tells, opened, answered = False, False, False
        try:
            async with self._client() as client, await self._open(client, body, asyncio.Lock()) as chunks:
                opened = True
                async for chunk in chunks:
                    answered |= bool(chunk.choices)
                    tells |= any(told_log_probs(choice) for choice in chunk.choices)
        except openai.OpenAIError as error:
            raise self._errors.in_words(error, opened, self._offered) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._no_chat(error) from error
        if not answered:
            raise self._no_reply()
        return tells

    def _drawing(self, settings: SamplingSettings) -> dict[str, Any]:
        """Return the part of a request that says how to draw."""
        # llama.cpp answers under any name, listed or not.
        owner = self._offered.get(self._address.name) or next(iter(self._offered.values()), "")
        uncut = {} if self._never_cuts else UNCUT
        return {
            "model": self._address.name,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            # SGLang reports them after the temperature: they are the model's own only at temperature 1.
            **({"logprobs": True} if owner != "sglang" or settings.temperature == 1.0 else {}),
            **uncut,
            **({"top_k": settings.top_k} if settings.top_k else {}),
            **self._extra,
        }

    @property
    def _never_cuts(self) -> bool:
        host = urlsplit(self._address.url).hostname or ""
        return any(host == name or (name.startswith(".") and host.endswith(name)) for name in _UNCUT_HOSTS)

    def _stream(self, requests: list[tuple[dict[str, Any], list[RemoteCandidate]]]) -> TokenStream:
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
        self, requests: list[tuple[dict[str, Any], list[RemoteCandidate]]], news: asyncio.Event
    ) -> None:
        settling = asyncio.Lock()
        try:
            async with self._client() as client, asyncio.TaskGroup() as group:
                for request, candidates in requests:
                    group.create_task(self._read(client, request, candidates, news, settling))
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from first.__cause__

    async def _read(
        self,
        client: Any,
        request: dict[str, Any],
        candidates: list[RemoteCandidate],
        news: asyncio.Event,
        settling: asyncio.Lock,
    ) -> None:
        """Send one request and read its tokens into the candidates that it draws."""
        import openai

        opened, counted = False, None
        try:
            async with await self._open(client, request, settling) as chunks:
                opened = True
                async for chunk in chunks:
                    if all(candidate.ended for candidate in candidates) and any(map(_speaks, chunk.choices)):
                        break  # a server that does not stop at the length that was asked for
                    counted = _counted(chunk) or counted
                    self._remember_prompt(request["messages"], chunk)
                    for choice in chunk.choices:
                        candidates[choice.index].take(choice)
                    news.set()
                    if all(candidate.ended for candidate in candidates) and (counted or not self._counts):
                        break
        except openai.OpenAIError as error:
            if not all(candidate.ended for candidate in candidates):
                raise self._errors.in_words(error, opened, self._offered) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._no_chat(error) from error
        whole = sum(candidate.ended for candidate in candidates)
        if whole == len(candidates):
            close_all(candidates, counted)
            news.set()
            return
        if not any(candidate.drawn for candidate in candidates):
            raise self._no_reply()
        hint = "; it does not draw several in one request" if self._together and whole else ""
        raise (EngineError if hint else TryAgainError)(
            f"The server {self._address.url} ended its answer with {whole} of {len(candidates)} replies "
            f"whole{hint}. Try again."
        )

    def _client(self) -> Any:
        """Return a client for one event loop."""
        import openai

        http_client = openai.DefaultAsyncHttpxClient(verify=self._certificates)
        return openai.AsyncOpenAI(**self._client_settings, http_client=http_client)

    def _no_chat(self, error: Exception) -> EngineError:
        """Return the error for an answer that cannot be read."""
        return EngineError(
            f"The server {self._address.url} sent something that does not read as a chat completion "
            f"({type(error).__name__}: {self._errors.redacted(str(error))}). Is it OpenAI-compatible?"
        )

    def _no_reply(self) -> EngineError:
        """Return the error for an answer with nothing in it."""
        return EngineError(
            f"The server {self._address.url} answered without a reply; expected a stream of chat completions. "
            "Check the address, which mostly ends in /v1."
        )

    async def _open(self, client: Any, request: dict[str, Any], settling: asyncio.Lock) -> Any:
        """Send a request in the fullest form that the server takes."""

        async def create(form: dict[str, Any]) -> Any:
            fields = {name: value for name, value in form.items() if name not in ("model", "messages", "stream")}
            return await client.chat.completions.create(
                model=form["model"], messages=form["messages"], stream=True, extra_body=fields
            )

        async def discard(stream: Any) -> None:
            await stream.close()

        # A cut that was asked for is not dropped as the one that only switches the server's own off.
        required = ("top_k",) if request.get("top_k") != UNCUT["top_k"] else ()
        return await self._fields.send_async(request, create, discard, settling, required)

    def prompt_tokens(self, request: DrawRequest) -> int | None:
        """Return how many tokens the server has counted in a prompt, see :meth:`Engine.prompt_tokens`."""
        return self._prompt_tokens.get(json.dumps(request.messages))

    def _remember_prompt(self, messages: Any, chunk: Any) -> None:
        count = getattr(getattr(chunk, "usage", None), "prompt_tokens", None)
        if isinstance(count, int):
            self._prompt_tokens[json.dumps(messages)] = count
            while len(self._prompt_tokens) > _PROMPTS_COUNTED:
                del self._prompt_tokens[next(iter(self._prompt_tokens))]

    @property
    def _counts(self) -> bool:
        """Whether the server is asked to count its tokens and has not refused."""
        return "stream_options" not in self._fields.refused

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
            raise self._errors.in_words(error, opened=False) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            return {}  # transformers serve fails here without a hub cache; the first reply shows what is wrong


async def _next_step(
    candidates: list[RemoteCandidate], reading: asyncio.Task[None], news: asyncio.Event
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


def _speaks(choice: Any) -> bool:
    """Return whether a chunk's part of a reply holds any of it."""
    return bool(choice.delta.content)


def _counted(chunk: Any) -> int | None:
    """Return the tokens of all replies to a request, as the server counts them; None where a chunk does not say."""
    return getattr(getattr(chunk, "usage", None), "completion_tokens", None)
