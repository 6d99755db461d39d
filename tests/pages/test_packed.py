"""What the front end consists of goes out compressed, once for all browsers, and is the same when it is unpacked."""

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
def asked() -> Counter[str]:
    return Counter()


@pytest.fixture
def app(asked) -> Packed:
    async def inner(scope, receive, send):
        asked[scope["path"]] += 1
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
    told = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("path", ["/static/js/a.js", "/sub/static/js/a.js"])
def test_a_script_is_compressed_once_for_all(app, asked, path):
    for _ in range(3):
        status, told, body = get(app, path, accept_encoding="gzip, br")
        assert (status, told["content-encoding"], told["etag"]) == (200, "gzip", 'W/"1"')
        assert int(told["content-length"]) == len(body) < len(SCRIPT) / 10
        assert "accept-encoding" in told["vary"].lower()
        assert gzip.decompress(body) == SCRIPT
    assert asked[path] == 1


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
def test_all_else_goes_out_as_it_is(app, path, headers):
    status, told, body = get(app, path, **headers)
    assert (status, body) == (200, ANSWERS[path][0])
    assert "content-encoding" not in told


def test_what_is_not_there_is_not_kept(app, asked):
    for _ in range(2):
        assert get(app, "/static/js/none.js", accept_encoding="gzip")[0] == 404
    assert asked["/static/js/none.js"] == 2


def test_the_page_in_place_of_a_missing_script_is_not_kept():
    """Streamlit answers any path that it does not have with its page and 200."""

    async def inner(scope, receive, send):
        await HTMLResponse(PAGE * 100)(scope, receive, send)

    app = Packed(inner)
    for number in range(3):
        status, told, body = get(app, f"/static/js/none-{number}.js", accept_encoding="gzip")
        assert (status, body) == (200, PAGE * 100)
        assert "content-encoding" not in told
    assert (app._copies, app._held) == ({}, 0)


def test_the_page_is_told_where_the_server_is(app):
    _, told, page = get(app, "/", accept="text/html")
    script = page.removeprefix(b"<head><script>").partition(b"</script></head>")[0]
    # Relative as the page's scripts are: it holds at /sub/tradeoffs, and behind a proxy that takes /sub off.
    assert script == b'window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href };'
    assert told["content-length"] == str(len(page))


def test_the_page_says_itself_why_it_may_stay_empty(app):
    _, told, page = get(app, "/", accept="text/html")
    sentence = page.partition(b"<body>app")[2].removesuffix(b"</body>")
    assert b"does not let web sockets through" in sentence
    assert b"<script" not in sentence, "a content policy may forbid scripts within the page"
    assert told["content-length"] == str(len(page))


def test_a_font_that_the_theme_does_not_use_is_not_asked_for(app):
    assert b"SourceSans" not in get(app, "/", accept="text/html")[2]
    sheet = gzip.decompress(get(app, "/static/css/a.css", accept_encoding="gzip")[2])
    assert sheet == b"p{color:red}" * 200


async def left():
    return {"type": "http.disconnect"}


def test_a_visitor_who_leaves_in_the_middle_of_a_script_breaks_it_for_nobody_else(tmp_path):
    """Starlette reads a file in parts of 64 kB, and no further once the visitor has left."""
    script = tmp_path / "a.js"
    script.write_bytes(SCRIPT * 20)

    async def inner(scope, receive, send):
        await FileResponse(script, media_type="text/javascript")(scope, receive, send)

    async def nowhere(message):
        pass

    parts = []

    async def broken_off(message):
        parts.append(message)

    # What the copy is protected from: the same visitor, without it.
    asyncio.run(inner({"type": "http", "method": "GET", "path": "/", "headers": []}, left, broken_off))
    assert sum(len(part.get("body", b"")) for part in parts) < len(SCRIPT) * 20

    app = Packed(inner)
    scope = {"type": "http", "method": "GET", "path": "/static/js/a.js", "headers": [(b"accept-encoding", b"gzip")]}
    asyncio.run(app(scope, left, nowhere))
    assert gzip.decompress(get(app, "/static/js/a.js", accept_encoding="gzip")[2]) == SCRIPT * 20


@pytest.mark.parametrize("length", [None, str(len(SCRIPT)).encode()], ids=["no length", "its length"])
def test_an_answer_that_ends_too_early_is_not_kept(length):
    """A file that is shorter than it said, or an app that stops without a word."""

    async def inner(scope, receive, send):
        headers = [(b"content-type", b"text/javascript"), *([(b"content-length", length)] if length else [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": SCRIPT[:5000], "more_body": not length})

    app = Packed(inner)
    assert get(app, "/static/js/a.js", accept_encoding="gzip")[2] == SCRIPT[:5000], "passed on as it came"
    assert app._copies == {}


def test_a_script_that_several_ask_for_at_once_is_held_once():
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
    (held,) = app._copies.values()
    assert app._held == sum(len(message.get("body", b"")) for message in held)
