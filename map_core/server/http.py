"""HTTP input and output: bodies within limits, JSON, server-sent events, identifiers of requests.

Constraint: the event loop only waits and sends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from map_core.server.errors import Refusal, shortened

#: Seconds within which a body must arrive.
BODY_SECONDS = 30.0
#: The header with the identifier of a request, for the logs of both sides.
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

_log = logging.getLogger(__name__)


class JsonResponse(Response):
    """A JSON response in ASCII, which can hold any text, lone surrogates included."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the content as bytes."""
        return json.dumps(content, allow_nan=False).encode()


class EventStream(StreamingResponse):
    """Server-sent events of a generator.

    sse-starlette (3.7.0) does not fit: importing it patches ``uvicorn.Server.handle_exit`` for the whole process, and
    it cancels its streams when the server is stopped, so that a client would not get the last event with the reason.
    The format itself is one line, :func:`map_core.server.replies.event`. ``X-Accel-Buffering`` keeps nginx from holding
    a stream back until its end (measured with nginx 1.22 and deploy/nginx.conf).

    Args:
        events: complete events, with their empty line.
        on_close: called when the stream ends, for any reason.
        headers: further headers.
    """

    def __init__(self, events: AsyncIterator[str], on_close: Callable[[], None], headers: dict[str, str]) -> None:
        own = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=own | headers)
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, and call ``on_close``."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


async def read_body(request: Request, most: int) -> bytes:
    """Return the JSON of a request as bytes.

    Args:
        request: the request.
        most: bytes that it may have.

    Raises:
        Refusal: another type of content, too many bytes, or too slow.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise Refusal(
            f"The body is {shortened(content_type) or 'of no kind'}; send it as application/json.", status=415
        )
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise Refusal(f"The body has more than {most:,} bytes; send less.", status=413)
                parts.append(part)
    except TimeoutError as error:
        raise Refusal(f"The body did not arrive within {BODY_SECONDS:g} s; send it again.", status=408) from error
    return b"".join(parts)


class RequestIds:
    """Middleware that adds the client's or a new identifier to every response, and answers exceptions in JSON.

    Args:
        app: the inner application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        of_client = Headers(scope=scope).get(REQUEST_ID, "")
        identifier = of_client if _REQUEST_ID.fullmatch(of_client) else f"req_{uuid.uuid4().hex}"
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID] = identifier
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            _log.exception("The request %s failed.", identifier)
            if started:
                raise
            reason = f"The server failed ({type(error).__name__}). Its log says more, under {identifier}."
            response = JsonResponse(Refusal(reason, kind="server_error").as_json(), 500)
            await response(scope, receive, send_with_id)


Handler = TypeVar("Handler", bound=Callable[..., Any])


def get(router: APIRouter | FastAPI, path: str, **options: Any) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler for GET and HEAD; ``options`` are those of the route for GET."""

    def add(handler: Handler) -> Handler:
        router.head(path, include_in_schema=False)(handler)
        return router.get(path, **options)(handler)

    return add
