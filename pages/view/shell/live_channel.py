"""The live channel: a web socket besides Streamlit's own, for faders while they move and replies as they are written.

While a fader moves, no script runs and nothing else of the page is drawn again: changes arrive here from
``assets/channel.js``, :mod:`pages.view.palette.drag_session` answers them, and the answer is sent back. When the fader
rests, the page's script receives the change like that of any widget; :mod:`pages.view.session.live_answer` lists all
steps. What is pushed (replies, token by token) is in :mod:`pages.view.shell.live_feed`. :func:`admit` is the one place
that admits a connection. Constraint: a page is known here only by its name and as a :class:`LivePage`; where a socket
cannot be opened (a proxy without web sockets), the faders send the same messages through Streamlit. An answer that
fails is reported as failed, and the next message is answered.
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
from weakref import WeakValueDictionary

import anyio
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import config

from map_core.core import amounts
from pages.view.shell import errors, garbage, hosts, live_feed

#: The address relative to a page, so that it also works below a path that a proxy adds.
ADDRESS = "live/desk"
#: The path on this server, below the base path of Streamlit.
PATH = f"/{config.get_option('server.baseUrlPath').strip('/')}/{ADDRESS}".replace("//", "/")
#: Characters of the longest message that is read.
MAX_MESSAGE_LENGTH = 100_000
#: Seconds after a message for which a fader counts as moving.
MOVING_SECONDS = 0.7

log = logging.getLogger("value_palette")


class LivePage(Protocol):
    """One viewer's page; ``answer`` and ``later`` are called from two threads at the same time."""

    def answer(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown after the changes of message ``number``; changes that cannot be read are left out."""

    def later(self) -> dict[str, Any] | None:
        """Return the slower parts of the last answer, once they are due; None when there are none."""

    def failed(self, number: int, failure: errors.Failure) -> dict[str, Any]:
        """Return what is shown where message ``number`` could not be answered; must not raise."""


#: Each is held by its visit alone (see :mod:`pages.view.palette.drag_session`) and is gone when the visit ends.
_pages: WeakValueDictionary[str, LivePage] = WeakValueDictionary()
_last_message_at = [-math.inf]


def is_busy() -> bool:
    """Return whether somebody is dragging a fader, so that less urgent work should wait."""
    return time.monotonic() - _last_message_at[0] < MOVING_SECONDS


def register(name: str, page: LivePage) -> None:
    """Register a page under a name, in place of an earlier one, for as long as the caller holds a reference to it."""
    _pages[name] = page


@dataclass(frozen=True)
class Message:
    """A message: the name of a page, the message's number, and the changes since the last acknowledged message."""

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
    """Return the message of a page's faders; None where it is not one."""
    page, number, changes = fields.get("session"), fields.get("seq"), fields.get("changes")
    if not isinstance(page, str) or not isinstance(number, int) or not isinstance(changes, dict):
        return None
    return Message(page, number, changes)


def admit(socket: WebSocket) -> bool:
    """Return whether a connection is admitted; checked for every connection before anything is read."""
    return hosts.is_own_origin(socket)


@lru_cache(maxsize=1)
def _freeze_once() -> None:
    """Freeze once what the app has loaded by the first visit."""
    garbage.freeze_loaded()


async def _serve(socket: WebSocket) -> None:
    """Answer the newest message of a socket, send the slower parts of the last answer, and send watched feeds."""
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

    async def send_followups() -> None:
        while True:
            page = await answered.get()
            await _send(socket, await anyio.to_thread.run_sync(_followup_json, page, faults))

    async def send_frame(fields: dict[str, Any]) -> None:
        await _send(socket, _to_json(fields))

    reader = live_feed.FeedReader(send_frame)
    senders = [asyncio.create_task(work) for work in (answer(), send_followups(), reader.run())]
    for task in senders:
        task.add_done_callback(_log_failure)
    try:
        async for text in socket.iter_text():
            if any(task.done() for task in senders):
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
        for task in senders:
            task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # cut, or closed already
            await socket.close()


def _put(queue: asyncio.Queue[Any], item: Any) -> None:
    """Put an item into a queue of length one, in place of the one that waits there."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def _answer_json(page: LivePage, message: Message, faults: dict[tuple[str, int], errors.Failure]) -> tuple[str, bool]:
    """Return a page's answer as JSON, or what is shown after a failure; and whether it succeeded."""
    try:
        return _to_json(page.answer(message.number, message.changes)), True
    except Exception as error:  # noqa: BLE001 (a failure is shown, and the next move is answered)
        return _to_json(page.failed(message.number, _failure_of(error, faults))), False


def _followup_json(page: LivePage, faults: dict[tuple[str, int], errors.Failure]) -> str:
    """Return the slower parts of an answer as JSON; "" where there are none, or computing them failed."""
    try:
        more = page.later()
        return "" if more is None else _to_json(more)
    except Exception as error:  # noqa: BLE001 (a failure is shown, and the next move is answered)
        _failure_of(error, faults)
        return ""


def _failure_of(error: Exception, faults: dict[tuple[str, int], errors.Failure]) -> errors.Failure:
    """Return the failure of an error; the same error at further moves of a fader is logged only once."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    origin = (frame.filename, frame.lineno or 0)
    if origin not in faults:
        faults[origin] = errors.Failure.of(error, "An answer while a fader moves")
    return faults[origin]


def _to_json(what: dict[str, Any]) -> str:
    return json.dumps(amounts.json_safe(what), separators=(",", ":"), allow_nan=False)


async def _send(socket: WebSocket, text: str) -> None:
    if text:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the receiving loop ends then too
            await socket.send_text(text)


def _log_failure(sender: asyncio.Task[None]) -> None:
    """Log a failure of the channel itself; the page then falls back to Streamlit."""
    if not sender.cancelled() and (error := sender.exception()):
        log.error("The channel of a desk failed.", exc_info=error)


ROUTE = WebSocketRoute(PATH, _serve)
