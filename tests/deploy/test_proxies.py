"""Tests of the app behind a real Caddy and nginx with the configurations of deploy/: TLS, web sockets, hosts, headers.

A browser opens every page through each proxy; the content policy forbids nothing that a page needs.

Debian packages both: apt-get install caddy nginx.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from map_core.server.http import EventStream
from tests import ROOT
from tests.app_client import AppClient, unchecked
from tests.app_server import Server, running
from tests.server_thread import ServerThread
from tests.visits import app_pages, settle

pytestmark = [pytest.mark.external, pytest.mark.process, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        # Behind a proxy no visitor counts as local; identities are tested elsewhere.
        patch.setenv("VALUE_PALETTE_OPEN", "member")
        patch.setenv("VALUE_PALETTE_ALLOWED_HOSTS", "localhost")
        with running(tmp_path_factory.mktemp("app")) as server:
            yield server


def caddy(app: Server, folder: Path, port: int) -> list[str]:
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    # A local certificate authority for localhost, no administration port, no port 80.
    text = text.replace(
        "{\n\tservers", "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tservers", 1
    )
    (folder / "Caddyfile").write_text(text.replace("{$HOST} {", "{$HOST} {\n\ttls internal", 1))
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def nginx(app: Server, folder: Path, port: int) -> list[str]:
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*key, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    text = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", text, flags=re.DOTALL)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("palette.example.org", "localhost")
    text = text.replace("/etc/ssl/palette/fullchain.pem", str(folder / "cert.pem"))
    text = text.replace("/etc/ssl/palette/privkey.pem", str(folder / "key.pem"))
    text = text.replace("http://127.0.0.1:8501", app.address)
    temp_paths = "".join(
        f"{kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'log'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temp_paths}{text}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


PROXIES = pytest.mark.parametrize("configured", [caddy, nginx], ids=["caddy", "nginx"])


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def proxy(request: pytest.FixtureRequest, app: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with before(app, request.param, tmp_path_factory.mktemp(request.param.__name__)) as address:
        yield address


@contextmanager
def before(app: Server, configured: Callable[[Server, Path, int], list[str]], folder: Path) -> Iterator[str]:
    """Run one of the proxies in front of the app for a ``with`` block; yield its address."""
    if shutil.which(configured.__name__) is None:
        pytest.skip(f"no {configured.__name__} here; Debian has it")
    port = free_port()
    command = configured(app, folder, port)
    folders = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    environment = os.environ | folders | {"HOST": f"localhost:{port}", "APP": app.address.removeprefix("http://")}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(100):
            assert process.poll() is None, (folder / "out").read_text()
            try:
                if get(f"localhost:{port}", "localhost", "/_stcore/health").status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


@dataclass(frozen=True)
class Answer:
    """The status and the headers of a response."""

    status: int
    headers: Message


def get(place: str, host: str, path: str) -> Answer:
    connection = http.client.HTTPSConnection(place, timeout=20, context=unchecked())
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{place.rpartition(':')[2]}"})
        answer = connection.getresponse()
        answer.read()
        return Answer(answer.status, answer.headers)
    finally:
        connection.close()


def test_visit_through_the_proxy(proxy: str):
    place = proxy.removeprefix("https://")
    page = get(place, "localhost", "/")
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert page.headers["Strict-Transport-Security"]
    cookies = get(place, "localhost", "/_stcore/health").headers.get_all("Set-Cookie", [])
    assert cookies
    assert all("; secure" in cookie.lower() for cookie in cookies), "never sent without TLS"
    with AppClient(proxy) as visitor:
        sent = visitor.run()
        assert any(message.WhichOneof("type") == "delta" for message in sent)
        assert visitor.upload(b"prompt,reply,humor\n")[0] == 204


def test_unknown_host_name_is_refused(proxy: str):
    answer = get(proxy.removeprefix("https://"), "evil.example", "/")
    assert "_streamlit_xsrf" not in str(answer.headers)
    assert answer.headers.get("Content-Length", "0") == "0" or answer.status >= 400


@PROXIES
@pytest.mark.parametrize("compressed", ["identity", "gzip"])
def test_server_stream_is_not_buffered(
    configured: Callable[[Server, Path, int], list[str]], compressed: str, tmp_path: Path
):
    read = threading.Event()

    async def events() -> AsyncIterator[str]:
        yield "data: first\n\n"
        assert await asyncio.to_thread(read.wait, 20)
        yield "data: last\n\n"

    async def stream(request: Request) -> EventStream:
        return EventStream(events(), lambda: None, {})

    async def health(request: Request) -> Response:
        return Response("ok")

    routes = Starlette(routes=[Route("/stream", stream), Route("/_stcore/health", health)])
    with ServerThread(routes) as server, before(Server(server.origin, 0, tmp_path), configured, tmp_path) as address:
        connection = http.client.HTTPSConnection(urlsplit(address).netloc, timeout=10, context=unchecked())
        with closing(connection):
            connection.request("GET", "/stream", headers={"Accept-Encoding": compressed})
            answer = connection.getresponse()
            unpack = zlib.decompressobj(31) if answer.headers.get("Content-Encoding") == "gzip" else None
            parts = iter(lambda: answer.read1(1000), b"")
            texts = (unpack.decompress(part) if unpack else part for part in parts)
            told = next(text for text in texts if text)
            read.set()
            assert told == b"data: first\n\n"
            assert b"".join(texts) == b"data: last\n\n"


@pytest.mark.browser
@pytest.mark.timeout(900)
def test_content_policy_allows_everything_that_pages_need(proxy: str, browser: Browser):
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1440, "height": 900})
    context.add_init_script(
        "window.broken = []; document.addEventListener('securitypolicyviolation', (one) =>"
        " window.broken.push(`${one.violatedDirective}: ${one.blockedURI || one.sourceFile}`))"
    )
    console_messages: list[str] = []
    broken: dict[str, list[str]] = {}
    try:
        offered = app_pages(context, proxy)
        page = context.new_page()
        page.on("console", lambda message: console_messages.append(message.text))
        for place in offered:
            page.goto(place.address)
            settle(page)
            if page_violations := page.evaluate("window.broken"):
                broken[place.title] = page_violations
        # The policy is enforced: a violation is reported.
        page.evaluate("fetch('https://elsewhere.example/').catch(() => 0)")
        page.wait_for_function("window.broken.length > 0")
    finally:
        context.close()
    assert broken == {}
    assert len(offered) > 8
    violations = [text for text in console_messages if "Content Security Policy" in text]
    assert violations, "a browser says so in its console"
    assert all("elsewhere.example" in text for text in violations)
