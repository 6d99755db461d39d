"""Limits on web sockets, on their messages, and on uploaded files.

Streamlit accepts a file for any visit, whatever its page shows, and keeps it in memory until the visit ends; it accepts
any number of sockets. :class:`ServerLimits` wraps it and refuses what exceeds the settings of
:mod:`map_core.core.limits`, with a sentence. The web socket library refuses messages that are too long while they
arrive: ``server.maxMessageSize`` of ``.streamlit/config.toml``. Constraint: a body that is refused is not kept, and no
file outlives its visit, also where its last part arrives after the visit's end.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime import runtime_util
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from map_core.core import amounts, limits
from map_core.core.process_limits import MEGABYTE
from pages.view.shell import visitor_header

#: Streamlit's path for uploads, followed by the visit and the file.
UPLOAD_PATH = "/_stcore/upload_file/"
#: The path of Streamlit's own socket, whose messages are binary; those of all others are text.
STREAM_PATH = "/_stcore/stream"
#: Close codes for a message of the wrong kind, and for one that cannot be parsed.
WRONG_KIND, NOT_PARSED = 1003, 1002
#: Bytes of the longest message that the app sends; ``server.maxMessageSize`` limits what it receives.
LARGEST_ANSWER = 200 * MEGABYTE
BUSY = (
    "As many people as this app can serve are here at the moment. Try again in a few minutes. Whoever runs the app can "
    f"raise {limits.SOCKETS.variable}."
)


class _InvalidText(logging.Filter):
    """Drop the traceback where a client sent text that is not UTF-8: the server closes its socket and continues."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, as a warning without its traceback."""
        if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError) and "UTF-8" in str(record.msg):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


logging.getLogger("uvicorn.error").addFilter(_InvalidText())


def allow_large_answers() -> None:
    """Let the app send longer messages than it receives.

    Streamlit has one option for both directions, which it reads once. Its server has read it by now and refuses longer
    messages as they arrive; what is sent is checked against a cached number, which is raised here.
    """
    runtime_util.get_max_message_size_bytes()
    runtime_util._max_message_size_bytes = LARGEST_ANSWER


@dataclass
class _Held:
    """Bytes of uploads that are arriving, by visit, and the person of each visit."""

    arriving: Counter[str] = field(default_factory=Counter)
    #: The person of a visit, where that is known.
    people: dict[str, str] = field(default_factory=dict)

    def begin(self, visit: str, person: str) -> None:
        """Record the person of a visit that uploads, "" where not known, and forget visits without uploads."""
        manager = _manager()
        _remove_files(list(manager.file_storage) if manager else [])
        held = {*self.arriving, *(list(manager.file_storage) if manager else [])}
        self.people = {other: whose for other, whose in self.people.items() if other in held}
        if person:
            self.people[visit] = person

    def of_visitor(self, visit: str) -> int:
        """Return the bytes that are arriving or held for a visit and all other visits of the same person."""
        manager, person = _manager(), self.people.get(visit)
        visits = {visit, *(other for other, whose in self.people.items() if whose == person)}
        kept = [
            file for other in visits for file in list((manager.file_storage.get(other, {}) if manager else {}).values())
        ]
        return sum(self.arriving[other] for other in visits) + sum(len(file.data) for file in kept)

    def of_all(self) -> int:
        """Return the same for all visits."""
        manager = _manager()
        kept = list(manager.file_storage.values()) if manager else []
        return self.arriving.total() + sum(len(file.data) for files in kept for file in list(files.values()))


class ServerLimits:
    """The middleware.

    Args:
        app: that answers requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._sockets: Counter[str] = Counter()
        self._held = _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "PUT" and UPLOAD_PATH in scope["path"]:
            await self._upload(scope, receive, send)
        elif scope["type"] == "http" and self._full(scope) and _asks_for_a_page(scope):
            await _refuse(send, 503, BUSY)
        else:
            await self._app(scope, receive, send)

    def _full(self, scope: Scope) -> bool:
        """Return whether the sender may open no further socket."""
        own = self._sockets[_whose(scope)]
        return self._sockets.total() >= limits.SOCKETS.value or own >= limits.SOCKETS_OF_ADDRESS.value

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._full(scope):
            await receive()
            # The reason cannot be shown here; the page shows it when it is loaded.
            await send({"type": "websocket.close", "code": 1013, "reason": "too many connections"})
            return
        whose, binary, closed = _whose(scope), scope["path"].endswith(STREAM_PATH), False

        async def readable() -> Message:
            """Receive a message; one that is of the wrong kind or cannot be parsed ends the socket."""
            nonlocal closed
            message = await receive()
            if message["type"] == "websocket.receive" and (code := _fault(message, binary)):
                closed = True
                with contextlib.suppress(RuntimeError):  # the server has already closed it because of a later message
                    await send({"type": "websocket.close", "code": code})
                return {"type": "websocket.disconnect", "code": code}
            return message

        async def passed_on(message: Message) -> None:
            if not closed:  # the app learns of the end a moment later
                await send(message)

        self._sockets[whose] += 1
        try:
            await self._app(scope, readable, passed_on)
        finally:
            self._sockets[whose] -= 1
            if not self._sockets[whose]:
                del self._sockets[whose]

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = scope["path"].partition(UPLOAD_PATH)[2].split("/")[0]
        self._held.begin(visit, _person(scope))
        begun, taken = False, 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                taken += size
                self._held.arriving[visit] += size
                self._check(visit)
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            self._check(visit, _declared(scope))
            await self._app(scope, counted, noted)
        except _TooMuch as error:
            if not begun:
                await _refuse(send, 413, str(error))
        finally:
            self._held.arriving[visit] -= taken
            if not self._held.arriving[visit]:
                del self._held.arriving[visit]
            _remove_files([visit])

    def _check(self, visit: str, more: int = 0) -> None:
        """Refuse what would go beyond a limit.

        Raises:
            _TooMuch: it would.
        """
        own = "of yours" if visit in self._held.people else "of this visit"
        for held, limit, whose in (
            (self._held.of_visitor(visit), limits.UPLOADS_OF_VISIT, own),
            (self._held.of_all(), limits.UPLOADS, "of all visitors"),
        ):
            if held + more > limit.value * MEGABYTE:
                raise _TooMuch(
                    f"The app holds {amounts.fixed(held / MEGABYTE)} MB of uploaded files {whose}, of at most "
                    f"{limit.value} MB. Take a smaller file, or try again in a few minutes."
                )


class _TooMuch(Exception):
    """An upload goes beyond a limit."""


def _manager() -> MemoryUploadedFileManager | None:
    """Return Streamlit's store of uploaded files; None where the app is not being served."""
    if not runtime.exists():
        return None
    manager = runtime.get_instance().uploaded_file_mgr
    return manager if isinstance(manager, MemoryUploadedFileManager) else None


def _visits() -> set[str] | None:
    """Return all visits, also those that may be taken up again; None where the app is not being served."""
    if not runtime.exists():
        return None
    return {info.session.id for info in runtime.get_instance()._session_mgr.list_sessions()}


def _remove_files(visits: Sequence[str]) -> None:
    """Remove the uploaded files of those of the visits that have ended.

    Streamlit removes a visit's files at its end, but checks only at the beginning of an upload whether there is such a
    visit: what is complete after the end would be held until the server is restarted.
    """
    manager, known = _manager(), _visits() if visits else None
    if manager is None or known is None:
        return
    for visit in visits:
        if visit not in known:
            manager.remove_session_files(visit)


def _declared(scope: Scope) -> int:
    """Return the declared length of a body; 0 where there is none."""
    text = dict(scope["headers"]).get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _asks_for_a_page(scope: Scope) -> bool:
    """Return whether a request is for a page of the app, and not for one of its files."""
    base = config.get_option("server.baseUrlPath").strip("/")
    path = scope["path"].removeprefix(f"/{base}" if base else "")
    accepts = dict(scope["headers"]).get(b"accept", b"")
    return b"text/html" in accepts and "." not in path and not path.startswith(("/_stcore", "/live"))


def _fault(message: Message, binary: bool) -> int:
    """Return the close code for a message of a client; 0 for a valid message."""
    data = message.get("bytes")
    if (data is None) == binary:
        return WRONG_KIND
    if data is not None:
        try:
            BackMsg.FromString(data)
        except DecodeError:
            return NOT_PARSED
    return 0


def _person(scope: Scope) -> str:
    """Return the id of the sender; "" where it is not known."""
    known = visitor_header.read(Headers(scope=scope))
    return known.id if known else ""


def _whose(scope: Scope) -> str:
    """Return the id of the sender, or else the network address, which the gate has set to the browser's."""
    return _person(scope) or str((scope.get("client") or ("", 0))[0])


async def _refuse(send: Send, status: int, why: str) -> None:
    """Answer with a sentence."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        *((b"retry-after", b"60"), (b"connection", b"close")),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
