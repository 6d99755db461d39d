"""The FastAPI application: OpenAI's ``/v1/chat/completions`` and ``/v1/models`` on the aligned generator.

A whole reply is certain once it is chosen, so a stream names the assistant at once, keeps the connection open with
comments while candidates are written, and then sends the chosen text word by word; with a single candidate, which is
certain from its first token on, tokens are sent as they are drawn. Constraint: the event loop only waits and sends;
bodies are read and palettes solved in a thread, models run in the worker.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from map_core.errors import EngineError
from map_core.server.errors import Refusal
from map_core.server.request_body import ChatBody
from map_core.server.request_parser import ChatRequest, RequestParser
from map_core.server.responses import ChatCompletion, event
from map_core.service.generation import Generation, GenerationSnapshot
from map_core.service.service import GenerationService

#: Seconds between looks at a generation and at its client.
LOOK_SECONDS = 0.01
#: Seconds between comments that keep a stream's connection open.
KEEP_ALIVE_SECONDS = 2.0
#: Seconds within which a body must have arrived.
BODY_SECONDS = 30.0


class _JsonResponse(Response):
    """JSON that any text can be put into, unpaired surrogates included."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


class _EventStream(StreamingResponse):
    """Server-sent events of a generator.

    sse-starlette (3.7.0) does not fit: importing it patches ``uvicorn.Server.handle_exit`` for the whole process, and
    when the server is stopped it cancels its streams, so that a client would not get the last event, which says why its
    reply does not come. The format itself is one line, :func:`map_core.server.responses.event`.

    Args:
        events: whole events, with their empty line.
        on_close: called when the stream is over, whatever ended it.
    """

    def __init__(self, events: AsyncIterator[str], on_close: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


class ChatApi:
    """The handlers behind the routes.

    Args:
        parser: reads bodies.
        service: the generator.
        key: that clients must show, or None.
        loopback: it listens on this machine alone; then browsers that were led here by another name are refused.
    """

    def __init__(
        self, parser: RequestParser, service: GenerationService, key: str | None = None, loopback: bool = True
    ) -> None:
        self._parser, self._service = parser, service
        self._key, self._loopback = key, loopback
        self._created = int(time.time())
        self._seconds = 1.0  # moving average of how long a request takes

    def check(self, request: Request) -> None:
        """Check the key, or without one that a local server is addressed as such.

        Raises:
            Refusal: no key or another one, or a name of this machine that a foreign page may have led a browser to.
        """
        if self._key is not None:
            authorization = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(authorization, f"Bearer {self._key}".encode()):
                raise Refusal(
                    "The API key is missing or wrong; expected the header 'Authorization: Bearer KEY' with this "
                    "server's key.",
                    status=401,
                    code="invalid_api_key",
                )
        elif self._loopback and not is_loopback(request.url.hostname or ""):
            raise Refusal("This server answers to localhost alone; address it so.", status=403)

    def models(self) -> dict[str, Any]:
        """List the base model, and it with each palette."""
        return {"object": "list", "data": [self._model(name) for name in self._parser.models]}

    def model(self, name: str) -> dict[str, Any]:
        """Describe one of them.

        Raises:
            Refusal: there is none of that name.
        """
        if name not in self._parser.models:
            known = ", ".join(self._parser.models)
            raise Refusal(
                f"There is no model {name[:80]!r} here; there are {known}.", status=404, code="model_not_found"
            )
        return self._model(name)

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._created, "owned_by": "value-palette"}

    async def chat(self, request: Request) -> Response:
        """Answer one chat completion."""
        chat = await asyncio.to_thread(self._parser.read, await self._body(request))
        host = request.client.host if request.client else ""
        generations = self._submit(chat, chat.viewer or host)

        def cancel() -> None:
            for generation in generations:
                generation.cancel()

        if chat.stream:
            return _EventStream(self._events(chat, generations), cancel)
        try:
            while not all(generation.ended for generation in generations):
                if await request.is_disconnected():
                    raise ClientDisconnect
                await asyncio.sleep(LOOK_SECONDS)
            return _JsonResponse(ChatCompletion(chat).whole(self._snapshots(generations)))
        finally:
            cancel()

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(f"The body is {kind[:80] or 'of no kind'}; send it as application/json.", status=415)
        most, parts, size = self._parser.limits.body, [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise Refusal(f"The body has more than {most:,} bytes; send less.", status=413)
                    parts.append(part)
        except TimeoutError as error:
            raise Refusal(f"The body did not come within {BODY_SECONDS:g} s; send it again.", status=408) from error
        return b"".join(parts)

    def _submit(self, chat: ChatRequest, viewer: str) -> list[Generation]:
        generations: list[Generation] = []
        try:
            for reply_request in chat.requests:
                generations.append(self._service.submit(reply_request, viewer))
        except EngineError as error:
            for generation in generations:
                generation.cancel()
            status = self._service.status()
            wait = self._seconds * (status.waiting + status.running) / max(status.running, 1)
            raise Refusal(
                str(error),
                status=429,
                kind="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=max(1, min(60, math.ceil(wait))),
            ) from error
        return generations

    def _snapshots(self, generations: Sequence[Generation]) -> list[GenerationSnapshot]:
        snapshots = [generation.snapshot() for generation in generations]
        self._seconds = 0.8 * self._seconds + 0.2 * max(snapshot.seconds for snapshot in snapshots)
        return snapshots

    async def _events(self, chat: ChatRequest, generations: Sequence[Generation]) -> AsyncIterator[str]:
        completion = ChatCompletion(chat)
        for number in range(len(generations)):
            yield completion.begin(number)
        sent = [""] * len(generations)
        running = dict(enumerate(generations))
        last_comment = time.monotonic()
        try:
            while running:
                for number, generation in list(running.items()):
                    if generation.ended:
                        del running[number]
                        text, finish, certificate = completion.reply(number, generation.snapshot())
                        for piece in completion.pieces(number, _rest(text, sent[number])):
                            yield piece
                        yield completion.end(number, finish, certificate)
                    elif chat.live:
                        shown = generation.snapshot().candidates[0].text
                        # One that is written again, because the model process was lost, is behind for a while.
                        if len(shown) > len(sent[number]):
                            yield completion.piece(number, _rest(shown, sent[number]))
                            sent[number] = shown
                if running and time.monotonic() - last_comment > KEEP_ALIVE_SECONDS:
                    last_comment = time.monotonic()
                    first = next(iter(running.values())).snapshot()
                    yield f": {first.note or f'{first.tokens} tokens written'}\n\n"
                if running:
                    await asyncio.sleep(LOOK_SECONDS)
        except Refusal as refusal:
            yield event(refusal.as_json())
            return
        snapshots = self._snapshots(generations)
        if chat.usage:
            yield completion.used(snapshots)
        yield event("[DONE]")


def _rest(text: str, sent: str) -> str:
    """Return what is still to be sent of a text.

    Raises:
        Refusal: what was sent is not its beginning.
    """
    if not text.startswith(sent):
        raise Refusal(
            "The model process was lost and the reply came out otherwise the second time. Ask again.",
            status=500,
            kind="server_error",
        )
    return text[len(sent) :]


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def create_app(
    parser: RequestParser,
    service: GenerationService,
    *,
    key: str | None = None,
    loopback: bool = True,
    values: Sequence[str] = (),
    ready: Callable[[], None] | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        parser: reads bodies.
        service: the generator; the model is loaded when the application starts, and its process ends with it.
        key: that clients must show, or None.
        loopback: it listens on this machine alone.
        values: whose scorers are warmed up too.
        ready: called once requests are taken in.
    """
    api = ChatApi(parser, service, key, loopback)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start(values, parser.own)
        if ready is not None:
            ready()
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPI(title="Value Palette", docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return _JsonResponse(refusal.as_json(), refusal.status, headers=refusal.headers)

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        reasons = {404: "There is nothing at this address", 405: "This address does not take the method"}
        reason = (
            f"{reasons.get(error.status_code, error.detail)}; expected POST /v1/chat/completions or GET /v1/models."
        )
        return _JsonResponse(Refusal(reason).as_json(), error.status_code, headers=dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def vanished(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        reason = f"The server failed ({type(error).__name__}). Its log says more."
        return _JsonResponse(Refusal(reason, kind="server_error").as_json(), 500)

    def authorise(request: Request) -> None:
        api.check(request)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        status = service.status()
        return {"state": status.state, "note": status.note, "running": status.running, "waiting": status.waiting}

    @app.get("/v1/models", dependencies=[Depends(authorise)])
    async def models() -> dict[str, Any]:
        return api.models()

    @app.get("/v1/models/{name:path}", dependencies=[Depends(authorise)])
    async def model(name: str) -> dict[str, Any]:
        return api.model(name)

    schema = {"requestBody": {"content": {"application/json": {"schema": ChatBody.model_json_schema()}}}}

    @app.post("/v1/chat/completions", dependencies=[Depends(authorise)], openapi_extra=schema)
    async def chat(request: Request) -> Response:
        return await api.chat(request)

    return app
