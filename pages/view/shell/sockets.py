"""Serve a socket behind the gate: it ends with its login, and no message of it affects other visits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from pages.view.shell import logins
from pages.view.shell.identity import Recognised

#: The close code of a socket whose login has ended.
LOGIN_ENDED = 4401
#: Messages of Streamlit's protocol that would affect other visits, because they share the app's caches.
FOR_ALL = ("clear_cache",)


async def serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send, known: Recognised) -> None:
    """Serve a socket until it is closed, or its login ends."""
    ended = logins.watch(known.login) if known.login else None
    over: asyncio.Task[Any] | None = None
    if ended is not None:
        left = None if known.ends is None else max(known.ends - time.time(), 0.0)
        over = asyncio.create_task(_end_of_login(ended, left))
    coming: asyncio.Task[Message] | None = None

    closed = False

    async def pass_on(message: Message) -> None:
        if not closed:  # the app learns of the end a moment later
            await send(message)

    async def next_message() -> Message:
        nonlocal coming, closed
        while True:
            if over is None:
                message = await receive()
            else:
                coming = coming or asyncio.ensure_future(receive())
                await asyncio.wait((coming, over), return_when=asyncio.FIRST_COMPLETED)
                if over.done() and not closed:
                    closed = True
                    with contextlib.suppress(RuntimeError):  # the client has closed it already
                        await send({"type": "websocket.close", "code": LOGIN_ENDED})
                if closed:
                    return {"type": "websocket.disconnect", "code": LOGIN_ENDED}
                message, coming = coming.result(), None
            if not _reaches_others(message):
                return message

    try:
        await app(scope, next_message, pass_on)
    finally:
        for task in (over, coming):
            if task is not None:
                task.cancel()
        if ended is not None:
            logins.unwatch(known.login, ended)


async def _end_of_login(ended: asyncio.Event, left: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), left)


def _reaches_others(message: Message) -> bool:
    """Return whether a message of a client would affect other visits."""
    data = message.get("bytes") if message["type"] == "websocket.receive" else None
    if not data:
        return False
    try:
        return BackMsg.FromString(data).WhichOneof("type") in FOR_ALL
    except DecodeError:  # reported by the next reader
        return False
