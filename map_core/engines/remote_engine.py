"""The engine for a model on a server with OpenAI's chat completions, such as vLLM, SGLang or llama.cpp.

A model is named NAME@URL, for example ``Qwen/Qwen3-8B@http://gpu-box:8000/v1``. The key, if the server requires one,
comes only from the environment (:mod:`map_core.models.endpoint`).

* Each candidate is a separate request with its own seed, so all are drawn in parallel and each can be cancelled. One
  event loop per call reads them; it runs while the caller waits for the next item and ends with the call.
* Whether a server honours seeds cannot be detected. vLLM and llama.cpp do, up to the rounding of their batches; SGLang
  does with ``--enable-deterministic-inference``; transformers serve has one random stream for all requests.
* Token ids are not reported, so replies cannot be continued. Log-probabilities are used if the server reports the
  model's own: vLLM and llama.cpp do, SGLang divides by the temperature first. Without them, a token is any piece of
  text that the server sends; if fewer are reported than the server counts tokens, those of the reply are unknown.
* Servers, and gateways before them, truncate by settings of their own (llama.cpp: top_k 40, min_p 0.05; vLLM and
  SGLang: the model's generation_config). Requests switch this off; a field that a server refuses is omitted from then
  on (:class:`map_core.models.refused_fields.RefusedFields`), and the server's truncation is then unknown.

Constraint: openai is imported only when an engine is opened; engines must not be called inside a running event loop.
Retries of requests that fail at their start, and time limits, are those of the openai client.
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
from map_core.engines.remote_candidate import RemoteCandidate, close_all, reported_log_probs
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
#: Maximum number of prompts whose token counts are cached; a request reads its own as soon as it ends.
_PROMPTS_COUNTED = 1024
#: Fields that switch off a server's own truncation and repetition penalty.
UNCUT = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
#: Hosts that do not truncate by default and do not accept these fields: OpenAI, and Azure with the same models.
_UNCUT_HOSTS = ("api.openai.com", ".openai.azure.com")
#: Fields that a server may refuse, the most valuable ones first.
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
        together: draw all candidates in one request (n = K) with the first one's seed. This is for servers that charge
            or limit requests; a candidate then depends on the number of candidates.
        retries: number of times that the client repeats a request that failed before its first token.
        timeout: seconds to wait for the next piece of an answer.
        extra: further fields of every request, see :func:`map_core.models.request_extra.check_request_extra`.
        trusted: whether the user who runs this program named this server, see
            :func:`map_core.models.endpoint.connection`.

    Raises:
        InputError: ``model`` is not NAME@URL, its server may not be called, or ``extra`` sets a field that is set here.
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
        # Read only once, since it takes as long as the first token of a reply.
        self._certificates = httpx2.create_ssl_context()
        self._prompt_tokens: dict[str, int] = {}
        self._offered = self._list_models()
        # Servers report neither the hash of the weights nor their number format.
        self._info = EngineInfo("remote", str(address), "unknown", "unknown", "remote")

    @property
    def info(self) -> EngineInfo:
        """Which model and library draw the replies."""
        return self._info

    def sample(self, request: DrawRequest) -> TokenStream:
        """Draw K replies side by side, see :meth:`Engine.sample`.

        An item holds the tokens that arrived since the last one, at most one per candidate, so that a slow candidate
        does not delay the others. Errors of the server are raised by the generator.

        Raises:
            InputError: the server refuses the request: an unknown model, no room in the context, an unknown setting.
            EngineError: the server cannot be reached, refuses the key, is overloaded, or a stream was interrupted.
        """
        body = {"messages": request.messages} | self._drawing(request.settings)
        seeds, count = request.seeds, request.candidates
        candidates = [RemoteCandidate(k, request.settings.max_new_tokens) for k in range(count)]
        if self._together:
            return self._stream([(body | {"seed": seeds[0], "n": count}, candidates)])
        return self._stream([(body | {"seed": s}, [c]) for s, c in zip(seeds, candidates, strict=True)])

    def probe(self, settings: SamplingSettings, system: str | None = None) -> SamplingProbe:
        """Draw a few tokens, see :meth:`Engine.probe`."""
        short_settings = replace(settings, max_new_tokens=min(settings.max_new_tokens, _PROBE_TOKENS))
        request = DrawRequest("Hello.", 1, short_settings, system=system)
        body = {"messages": request.messages} | self._drawing(short_settings) | {"seed": request.seeds[0]}
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            log_probs = runner.run(self._reports_log_probs(body))
        refused = self._fields.refused
        unknown = tuple(name for name in UNCUT if name in refused and name not in self._set_by_extra)
        notes = []
        if "seed" in refused:
            notes.append("The server takes no seed: the same build draws other replies another time.")
        return SamplingProbe(log_probs, unknown, tuple(notes))

    async def _reports_log_probs(self, body: dict[str, Any]) -> bool:
        """Read one answer to its end; return whether it had log-probabilities."""
        import openai

        reported, opened, answered = False, False, False
        try:
            async with self._client() as client, await self._open(client, body, asyncio.Lock()) as chunks:
                opened = True
                async for chunk in chunks:
                    answered |= bool(chunk.choices)
                    reported |= any(reported_log_probs(choice) for choice in chunk.choices)
        except openai.OpenAIError as error:
            raise self._errors.in_words(error, opened, self._offered) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._no_chat(error) from error
        if not answered:
            raise self._no_reply()
        return reported

    def _drawing(self, settings: SamplingSettings) -> dict[str, Any]:
        """Return the part of a request with the model and the sampling settings."""
        # llama.cpp answers under any model name, listed or not.
        owner = self._offered.get(self._address.name) or next(iter(self._offered.values()), "")
        uncut = {} if self._never_cuts else UNCUT
        return {
            "model": self._address.name,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            # SGLang reports them after dividing by the temperature, so they are the model's own only at temperature 1.
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
        # Leaving the runner, for whatever reason, cancels the reading task and closes its connections.
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
        """Send one request and read its tokens into its candidates."""
        import openai

        opened, counted = False, None
        try:
            async with await self._open(client, request, settling) as chunks:
                opened = True
                async for chunk in chunks:
                    if all(candidate.ended for candidate in candidates) and any(map(_speaks, chunk.choices)):
                        break  # the server does not stop at the requested length
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
        """Return the error for an empty answer."""
        return EngineError(
            f"The server {self._address.url} answered without a reply; expected a stream of chat completions. "
            "Check the address, which mostly ends in /v1."
        )

    async def _open(self, client: Any, request: dict[str, Any], settling: asyncio.Lock) -> Any:
        """Send a request with all fields that the server accepts."""

        async def create(form: dict[str, Any]) -> Any:
            fields = {name: value for name, value in form.items() if name not in ("model", "messages", "stream")}
            return await client.chat.completions.create(
                model=form["model"], messages=form["messages"], stream=True, extra_body=fields
            )

        async def discard(stream: Any) -> None:
            await stream.close()

        # A requested top_k must not be dropped, unlike the one that only switches the server's truncation off.
        required = ("top_k",) if request.get("top_k") != UNCUT["top_k"] else ()
        return await self._fields.send_async(request, create, discard, settling, required)

    def prompt_tokens(self, request: DrawRequest) -> int | None:
        """Return the server's count of a prompt's tokens, see :meth:`Engine.prompt_tokens`."""
        return self._prompt_tokens.get(json.dumps(request.messages))

    def _remember_prompt(self, messages: Any, chunk: Any) -> None:
        count = getattr(getattr(chunk, "usage", None), "prompt_tokens", None)
        if isinstance(count, int):
            self._prompt_tokens[json.dumps(messages)] = count
            while len(self._prompt_tokens) > _PROMPTS_COUNTED:
                del self._prompt_tokens[next(iter(self._prompt_tokens))]

    @property
    def _counts(self) -> bool:
        """Whether the server is asked to count tokens and has not refused."""
        return "stream_options" not in self._fields.refused

    def _list_models(self) -> dict[str, str]:
        """Return the models that the server offers, with their owners; empty if it does not list them."""
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
            return {}  # transformers serve fails here without a hub cache; a real problem shows at the first reply


async def _next_step(
    candidates: list[RemoteCandidate], reading: asyncio.Task[None], news: asyncio.Event
) -> list[Token]:
    """Return one token of each candidate that has one, as soon as any has; empty when all tokens are read."""
    while not any(candidate.waiting for candidate in candidates) and not reading.done():
        news.clear()
        await news.wait()
        await asyncio.sleep(0)  # so that tokens that arrived at the same time on other connections are included
    step = [candidate.waiting.popleft() for candidate in candidates if candidate.waiting]
    if not step:
        reading.result()
    return step


def _speaks(choice: Any) -> bool:
    """Return whether a chunk contains text of a reply."""
    return bool(choice.delta.content)


def _counted(chunk: Any) -> int | None:
    """Return the server's count of tokens of all replies to a request; None for a chunk without it."""
    return getattr(getattr(chunk, "usage", None), "completion_tokens", None)
