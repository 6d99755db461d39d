"""HTTP in and out: bodies within limits, JSON, server-sent events, identifiers of requests.

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

#: Seconds within which a body must have arrived.
BODY_SECONDS = 30.0
#: The header that tells one request from the others, in logs on both sides.
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

_log = logging.getLogger(__name__)


class JsonResponse(Response):
    """JSON that any text can be put into, unpaired surrogates included."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the content as bytes."""
        return json.dumps(content, allow_nan=False).encode()


class EventStream(StreamingResponse):
    """Server-sent events of a generator.

    sse-starlette (3.7.0) does not fit: importing it patches ``uvicorn.Server.handle_exit`` for the whole process, and
    when the server is stopped it cancels its streams, so that a client would not get the last event, which says why its
    reply does not come. The format itself is one line, :func:`map_core.server.replies.event`.

    Args:
        events: whole events, with their empty line.
        on_close: called when the stream is over, whatever ended it.
        headers: further headers.
    """

    def __init__(self, events: AsyncIterator[str], on_close: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"} | headers)
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
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
        Refusal: another kind of content, too many bytes, or too slow.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(f"The body is {shortened(kind) or 'of no kind'}; send it as application/json.", status=415)
    parts, size = [], 0
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


class RequestIds:
    """Middleware: every answer has the identifier that the client gave, or one made here; faults are answered in JSON.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        name = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        begun = False

        async def send_named(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)[REQUEST_ID] = name
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:
            _log.exception("The request %s failed.", name)
            if begun:
                raise
            reason = f"The server failed ({type(error).__name__}). Its log says more, under {name}."
            answer = JsonResponse(Refusal(reason, kind="server_error").as_json(), 500)
            await answer(scope, receive, send_named)


Handler = TypeVar("Handler", bound=Callable[..., Any])


def get(router: APIRouter | FastAPI, path: str, **options: Any) -> Callable[[Handler], Handler]:
    """Return a decorator that answers GET, and HEAD by the same headers; ``options`` are those of the route for GET."""

    def add(handler: Handler) -> Handler:
        router.head(path, include_in_schema=False)(handler)
        return router.get(path, **options)(handler)

    return add
