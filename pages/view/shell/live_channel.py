"""The web socket beside Streamlit's own by which a fader is answered while it moves, and replies come while written.

While a fader moves no script runs and nothing else of the page is drawn again: changes come in here from
``assets/channel.js``, :mod:`pages.view.palette.drag_session` answers them, and what the page shows of the answer goes
back. When the fader rests, the page's script hears of it as of any other widget; :mod:`pages.view.session.live_answer`
lists the whole way. What is sent without being asked (replies, token by token) is :mod:`pages.view.shell.live_feed`.
:func:`admit` is the one place where a connection is let in. Constraint: a page is known here by its name and as
something that answers; where a socket cannot be opened (a proxy without web sockets), the desk sends the same messages
through Streamlit. An answer that fails is reported as failed, and the next one follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
import traceback
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import anyio
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import config

from map_core.core import amounts
from pages.view.shell import errors, garbage, live_feed

#: Where a page finds it, beside itself: below any path that a proxy adds as well.
ADDRESS = "live/desk"
#: Where it is here: below any base path that Streamlit is served under.
PATH = f"/{config.get_option('server.baseUrlPath').strip('/')}/{ADDRESS}".replace("//", "/")
#: Characters of the longest message that is read.
MAX_MESSAGE_LENGTH = 100_000
#: Seconds after a message for which a hand counts as moving.
MOVING_SECONDS = 0.7

log = logging.getLogger("value_palette")


class LivePage(Protocol):
    """What answers for one viewer's page; the two are called from a thread each, at the same time."""

    def answer(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown after changes, to message number; what can be read of them counts."""

    def later(self) -> dict[str, Any] | None:
        """Return what takes longer and is worth saying by now, of the last answer; None when there is nothing."""

    def failed(self, number: int, failure: errors.Failure) -> dict[str, Any]:
        """Return what is shown where there is no answer to message number; it must not fail itself."""


#: Each is held by its visit alone (see :mod:`pages.view.palette.drag_session`) and is gone when the visit ends.
_pages: WeakValueDictionary[str, LivePage] = WeakValueDictionary()
_last_message_at = [-math.inf]


def is_busy() -> bool:
    """Return whether somebody's hand is on a fader, so that whatever can wait a little should."""
    return time.monotonic() - _last_message_at[0] < MOVING_SECONDS


def register(name: str, page: LivePage) -> None:
    """Let a page answer under a name, in place of the one that had it, for as long as the caller holds the page."""
    _pages[name] = page


@dataclass(frozen=True)
class Message:
    """A message: the name of a page, the message's number, and the changes since the page heard last."""

    page: str
    number: int
    changes: dict[str, Any]


def read_message(text: str) -> dict[str, Any] | None:
    """Return the JSON object of a message; None for one that cannot be read."""
    try:
        message = json.loads(text) if len(text) <= MAX_MESSAGE_LENGTH else None
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def parse_message(fields: dict[str, Any]) -> Message | None:
    """Return the message of a desk; None where it is none."""
    page, number, changes = fields.get("session"), fields.get("seq"), fields.get("changes")
    if not isinstance(page, str) or not isinstance(number, int) or not isinstance(changes, dict):
        return None
    return Message(page, number, changes)


def admit(socket: WebSocket) -> bool:
    """Return whether a connection is let in; every connection of the channel passes here, before anything is read."""
    return _is_same_origin(socket)


@lru_cache(maxsize=1)
def _freeze_once() -> None:
    """Freeze what the app has loaded by the first visit, once."""
    garbage.freeze_loaded()


async def _serve(socket: WebSocket) -> None:
    """Answer the newest message, meanwhile say what is left to say of the one before, and send what is watched."""
    if not admit(socket):
        await socket.close(1008)
        return
    await socket.accept()
    _freeze_once()
    newest: asyncio.Queue[Message] = asyncio.Queue(1)
    answered: asyncio.Queue[LivePage] = asyncio.Queue(1)
    faults: dict[tuple[str, int], errors.Failure] = {}

    async def answer() -> None:
        while True:
            message = await newest.get()
            if (page := _pages.get(message.page)) is None:
                await _send(socket, _to_json({"unknown": message.number}))
                continue
            answer_text, page_open = await anyio.to_thread.run_sync(_answer_json, page, message, faults)
            await _send(socket, answer_text)
            if page_open:
                _put(answered, page)

    async def say_more() -> None:
        while True:
            page = await answered.get()
            await _send(socket, await anyio.to_thread.run_sync(_followup_json, page, faults))

    async def send_frame(fields: dict[str, Any]) -> None:
        await _send(socket, _to_json(fields))

    reader = live_feed.FeedReader(send_frame)
    speaking = [asyncio.create_task(work) for work in (answer(), say_more(), reader.run())]
    for task in speaking:
        task.add_done_callback(_log_failure)
    try:
        async for text in socket.iter_text():
            if any(task.done() for task in speaking):
                break
            if (fields := read_message(text)) is None:
                continue
            if (feed_message := live_feed.parse_message(fields)) is not None:
                reader.hear(feed_message)
            elif (message := parse_message(fields)) is not None:
                _last_message_at[0] = time.monotonic()
                _put(newest, message)
    finally:
        reader.close()
        for task in speaking:
            task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # cut, or closed already
            await socket.close()


def _put(queue: asyncio.Queue[Any], item: Any) -> None:
    """Put an item into a queue of one, in place of what waits there."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def _answer_json(page: LivePage, message: Message, faults: dict[tuple[str, int], errors.Failure]) -> tuple[str, bool]:
    """Return a page's answer as JSON, or what is shown in its place where it failed; and whether it is there."""
    try:
        return _to_json(page.answer(message.number, message.changes)), True
    except Exception as error:  # noqa: BLE001 (a failure is shown, and the next move is answered)
        return _to_json(page.failed(message.number, _failure_of(error, faults))), False


def _followup_json(page: LivePage, faults: dict[tuple[str, int], errors.Failure]) -> str:
    """Return what takes longer as JSON; "" where there is nothing. Where it failed, the answer that is shown stays."""
    try:
        more = page.later()
        return "" if more is None else _to_json(more)
    except Exception as error:  # noqa: BLE001 (a failure is shown, and the next move is answered)
        _failure_of(error, faults)
        return ""


def _failure_of(error: Exception, faults: dict[tuple[str, int], errors.Failure]) -> errors.Failure:
    """Return what is said of an error; a hand that moves on meets the same one many times, which is logged once."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = (frame.filename, frame.lineno or 0)
    if place not in faults:
        faults[place] = errors.Failure.of(error, "An answer while a hand moves")
    return faults[place]


def _to_json(what: dict[str, Any]) -> str:
    return json.dumps(amounts.json_safe(what), separators=(",", ":"), allow_nan=False)


async def _send(socket: WebSocket, text: str) -> None:
    if text:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the one who listens hears of it too
            await socket.send_text(text)


def _log_failure(speaking: asyncio.Task[None]) -> None:
    """Log a failure of the channel itself; the desk goes on by way of Streamlit."""
    if not speaking.cancelled() and (error := speaking.exception()):
        log.error("The channel of a desk failed.", exc_info=error)


def _is_same_origin(socket: WebSocket) -> bool:
    """Return whether a page of this very app asks, and no other that is open in the same browser."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


ROUTE = WebSocketRoute(PATH, _serve)
