"""Tests of compressed front-end files: compressed once for all browsers, and unchanged when unpacked."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter

import pytest
from starlette.responses import FileResponse, HTMLResponse, Response

from pages.view.shell.packed import Packed

SCRIPT = b"export const a = 1;\n" * 500
SHEET = b"@font-face{font-family:Source Sans;src:url(a.woff2)}" + b"p{color:red}" * 200
PAGE = b'<head><link\n rel="preload"\n href="./static/media/SourceSansVF.woff2" as="font"></head><body>app</body>'
ANSWERS = {
    "/static/js/a.js": (SCRIPT, "text/javascript"),
    "/sub/static/js/a.js": (SCRIPT, "text/javascript"),
    "/static/css/a.css": (SHEET, "text/css"),
    "/static/js/small.js": (b"let a", "text/javascript"),
    "/static/media/a.woff2": (SCRIPT, "font/woff2"),
    "/_stcore/health": (SCRIPT, "text/plain"),
}


@pytest.fixture
def inner_requests() -> Counter[str]:
    return Counter()


@pytest.fixture
def app(inner_requests) -> Packed:
    async def inner(scope, receive, send):
        inner_requests[scope["path"]] += 1
        if scope["path"] == "/":
            await HTMLResponse(PAGE)(scope, receive, send)
            return
        body, kind = ANSWERS.get(scope["path"], (b"", "text/plain"))
        answer = Response(body, 200 if body else 404, {"etag": '"1"'}, media_type=kind)
        await answer(scope, receive, send)

    return Packed(inner)


def get(app: Packed, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": raw}, receive, send))
    response_headers = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return sent[0]["status"], response_headers, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("path", ["/static/js/a.js", "/sub/static/js/a.js"])
def test_script_is_compressed_once(app, inner_requests, path):
    for _ in range(3):
        status, response_headers, body = get(app, path, accept_encoding="gzip, br")
        assert (status, response_headers["content-encoding"], response_headers["etag"]) == (200, "gzip", 'W/"1"')
        assert int(response_headers["content-length"]) == len(body) < len(SCRIPT) / 10
        assert "accept-encoding" in response_headers["vary"].lower()
        assert gzip.decompress(body) == SCRIPT
    assert inner_requests[path] == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/js/a.js", {}),
        ("/static/js/a.js", {"accept_encoding": "gzip", "range": "bytes=0-9"}),
        ("/static/js/a.js", {"accept_encoding": "gzip", "if_none_match": '"1"'}),
        ("/static/js/small.js", {"accept_encoding": "gzip"}),
        ("/static/media/a.woff2", {"accept_encoding": "gzip"}),
        ("/_stcore/health", {"accept_encoding": "gzip"}),
    ],
)
def test_other_responses_are_unchanged(app, path, headers):
    status, response_headers, body = get(app, path, **headers)
    assert (status, body) == (200, ANSWERS[path][0])
    assert "content-encoding" not in response_headers


def test_missing_files_are_not_cached(app, inner_requests):
    for _ in range(2):
        assert get(app, "/static/js/none.js", accept_encoding="gzip")[0] == 404
    assert inner_requests["/static/js/none.js"] == 2


def test_page_in_place_of_a_missing_script_is_not_cached():
    """Streamlit answers a missing path with its page and status 200."""

    async def inner(scope, receive, send):
        await HTMLResponse(PAGE * 100)(scope, receive, send)

    app = Packed(inner)
    for number in range(3):
        status, response_headers, body = get(app, f"/static/js/none-{number}.js", accept_encoding="gzip")
        assert (status, body) == (200, PAGE * 100)
        assert "content-encoding" not in response_headers
    assert (app._copies, app._held) == ({}, 0)


def test_page_contains_the_address_of_the_server(app):
    _, response_headers, page = get(app, "/", accept="text/html")
    script = page.removeprefix(b"<head><script>").partition(b"</script></head>")[0]
    # Relative like the page's scripts, so it works at /sub/tradeoffs and behind a proxy that strips /sub.
    assert script == b'window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href };'
    assert response_headers["content-length"] == str(len(page))


def test_page_explains_why_it_may_stay_empty(app):
    _, response_headers, page = get(app, "/", accept="text/html")
    sentence = page.partition(b"<body>app")[2].removesuffix(b"</body>")
    assert b"does not let web sockets through" in sentence
    assert b"<script" not in sentence, "a content policy may forbid scripts within the page"
    assert response_headers["content-length"] == str(len(page))


def test_unused_font_is_not_requested(app):
    assert b"SourceSans" not in get(app, "/", accept="text/html")[2]
    sheet = gzip.decompress(get(app, "/static/css/a.css", accept_encoding="gzip")[2])
    assert sheet == b"p{color:red}" * 200


async def left():
    return {"type": "http.disconnect"}


def test_visitor_who_leaves_during_a_script_breaks_it_for_nobody(tmp_path):
    """Starlette reads a file in parts of 64 kB, and stops once the visitor has left."""
    script = tmp_path / "a.js"
    script.write_bytes(SCRIPT * 20)

    async def inner(scope, receive, send):
        await FileResponse(script, media_type="text/javascript")(scope, receive, send)

    async def nowhere(message):
        pass

    parts = []

    async def broken_off(message):
        parts.append(message)

    # The failure that the copy prevents: the same visitor, without the middleware.
    asyncio.run(inner({"type": "http", "method": "GET", "path": "/", "headers": []}, left, broken_off))
    assert sum(len(part.get("body", b"")) for part in parts) < len(SCRIPT) * 20

    app = Packed(inner)
    scope = {"type": "http", "method": "GET", "path": "/static/js/a.js", "headers": [(b"accept-encoding", b"gzip")]}
    asyncio.run(app(scope, left, nowhere))
    assert gzip.decompress(get(app, "/static/js/a.js", accept_encoding="gzip")[2]) == SCRIPT * 20


@pytest.mark.parametrize("length", [None, str(len(SCRIPT)).encode()], ids=["no length", "its length"])
def test_truncated_response_is_not_cached(length):
    """A file shorter than its length, or an app that stops without an error."""

    async def inner(scope, receive, send):
        headers = [(b"content-type", b"text/javascript"), *([(b"content-length", length)] if length else [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": SCRIPT[:5000], "more_body": not length})

    app = Packed(inner)
    assert get(app, "/static/js/a.js", accept_encoding="gzip")[2] == SCRIPT[:5000], "passed on as it came"
    assert app._copies == {}


def test_concurrent_requests_for_a_script_share_one_copy():
    async def inner(scope, receive, send):
        await asyncio.sleep(0)
        await Response(SCRIPT, media_type="text/javascript")(scope, receive, send)

    async def nowhere(message=None):
        return {"type": "http.request"}

    app = Packed(inner)
    scope = {"type": "http", "method": "GET", "path": "/static/js/a.js", "headers": [(b"accept-encoding", b"gzip")]}

    async def ask() -> None:
        await asyncio.gather(*(app(dict(scope), nowhere, nowhere) for _ in range(8)))

    asyncio.run(ask())
    (copy,) = app._copies.values()
    assert app._held == sum(len(message.get("body", b"")) for message in copy)
