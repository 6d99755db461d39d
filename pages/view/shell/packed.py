"""Middleware that compresses the front end's scripts and style sheets once, and adapts Streamlit's page.

Streamlit sends them uncompressed, because it would compress them again for each request. Their names contain a hash of
their content, so a compressed copy is valid for the life of the process, for all visitors: it is read to its end
whether or not the visitor who asked first is still there. Streamlit's page and style sheet also make
every browser load a font that the theme does not use: that is removed. And its page first looks for the server below
the address of each page (``/tradeoffs/_stcore/health``): a script tells it where the server is. The page stays empty
for as long as no web socket is connected, so ``assets/waiting.html`` adds a sentence that says so. Constraint: only
admitted requests arrive here, see :mod:`pages.view.shell.gate`; Streamlit answers a path that it does not have with its
page, so HTML is no copy to keep: visitors could name any number of such paths.
"""

from __future__ import annotations

import asyncio
import gzip
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from map_core.core.assets import asset

#: Paths and content types that are compressed.
_STATIC = re.compile(r"/static/(js|css)/[^/]+$")
_TYPES = ("text/", "application/javascript", "application/json", "image/svg+xml")
#: The type of Streamlit's page, which is passed on as it is.
_PAGE = "text/html"
#: The element of Streamlit's page that preloads its own font.
_FONT = re.compile(rb'<link\s+rel="preload"[^>]*SourceSans[^>]*>')
#: The rule for the same font in its style sheet; it would be loaded for the text before the theme is applied.
_FACE = re.compile(rb"@font-face\{font-family:Source Sans;[^}]*\}")
#: The server is where the page's scripts come from (``./static/js``), also below a path of a proxy. A browser that may
#: not run this script looks for the server as before.
_HEAD = b"<head>"
_WHERE = b'<script>window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href };</script>'
#: The sentence about the missing connection goes before this. Styles alone show it, so that a content policy without
#: scripts allows it.
_END = b"</body>"
_WAITING = asset("waiting.html").read_bytes()
#: Headers of requests for a range, or that are conditional.
_CONDITIONS = ("range", "if-none-match", "if-modified-since")
#: Minimum size of a compressed body, and maximum size of all copies together, in bytes.
LEAST, MOST = 1_000, 40_000_000


class Packed:
    """The middleware.

    Args:
        app: that answers requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._copies: dict[str, list[Message]] = {}
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        page = scope["type"] == "http" and scope["method"] == "GET" and _is_page(Headers(scope=scope))
        if page:
            plain = [(name, text) for name, text in scope["headers"] if name != b"accept-encoding"]
            await self._app({**scope, "headers": plain}, receive, _changed_page(send))
            return
        if not _wants_copy(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path not in self._copies:
            answer = await _whole_answer(self._app, scope)
            packed = await asyncio.to_thread(compressed, answer)
            size = sum(len(message.get("body", b"")) for message in packed)
            if packed is answer or self._held + size > MOST:
                for message in packed:
                    await send(message)
                return
            if path not in self._copies:  # another request for it may have been answered meanwhile
                self._copies[path] = packed
                self._held += size
        for message in self._copies[path]:
            await send(message)


async def _whole_answer(app: ASGIApp, scope: Scope) -> list[Message]:
    """Return the messages of an answer that its visitor cannot break off.

    Constraint: Starlette stops to read a file, without an error, once ``receive`` says that the visitor has left. The
    part that was read must not become everybody's copy.
    """
    answer: list[Message] = []

    async def keep(message: Message) -> None:
        answer.append(message)

    async def stay() -> Message:
        return await asyncio.get_running_loop().create_future()

    await app(scope, stay, keep)
    return answer


def compressed(answer: list[Message]) -> list[Message]:
    """Return an answer with its body compressed; the same answer where that is not possible or not worth it."""
    start, body = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    whole = (
        len(answer) > 1
        and not answer[-1].get("more_body", False)
        and headers.get("content-length") in (None, str(len(body)))
    )
    of_front_end = kind.startswith(_TYPES) and not kind.startswith(_PAGE)
    fits = len(body) >= LEAST and of_front_end and "content-encoding" not in headers
    if start["status"] != 200 or not whole or not fits:
        return answer
    packed = gzip.compress(_FACE.sub(b"", body) if kind.startswith("text/css") else body, 9, mtime=0)
    changed = MutableHeaders(raw=list(start["headers"]))
    changed["content-encoding"] = "gzip"
    changed["content-length"] = str(len(packed))
    changed.add_vary_header("Accept-Encoding")
    if (tag := headers.get("etag")) and not tag.startswith("W/"):
        changed["etag"] = f"W/{tag}"
    return [{**start, "headers": changed.raw}, {"type": "http.response.body", "body": packed}]


def _wants_copy(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or not _STATIC.search(scope["path"]):
        return False
    headers = Headers(scope=scope)
    return "gzip" in headers.get("accept-encoding", "") and not any(name in headers for name in _CONDITIONS)


def _is_page(headers: Headers) -> bool:
    return _PAGE in headers.get("accept", "") and "range" not in headers


def _changed_page(send: Send) -> Send:
    """Return a ``send`` that removes the font from Streamlit's page and adds the server's address and the sentence."""
    waiting: list[Message] = []
    body = bytearray()

    async def passed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            if headers.get("content-type", "").startswith(_PAGE) and "content-encoding" not in headers:
                waiting.append(message)
                return
        elif waiting and message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = _FONT.sub(b"", bytes(body)).replace(_HEAD, _HEAD + _WHERE, 1).replace(_END, _WAITING + _END, 1)
            start = waiting.pop()
            changed = MutableHeaders(raw=list(start["headers"]))
            changed["content-length"] = str(len(page))
            await send({**start, "headers": changed.raw})
            await send({"type": "http.response.body", "body": page})
            return
        await send(message)

    return passed
