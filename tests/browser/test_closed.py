"""The app as a process that other machines can reach: closed without a login, deaf to forged headers and names."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from map_core.data import table_format
from map_core.text.access import AccessRefusal
from tests.app_server import running
from tests.tables import make_table

pytestmark = pytest.mark.browser  # it starts a server, as those do


def ask(address: str, path: str = "/", **headers: str) -> tuple[int, str]:
    """Status and text of an answer; headers are sent as they are given, Host included."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("closed") / "table.parquet"
    table_format.save(make_table(prompts=8, candidates=8, seed=5), path)
    return path


@pytest.fixture(scope="module")
def closed(table: Path, tmp_path_factory) -> Iterator[str]:
    """On every address of this machine, with nothing set up."""
    folder = tmp_path_factory.mktemp("all")
    with running(folder, table, options=("--server.address=0.0.0.0",)) as server:
        yield server.address


@pytest.fixture(scope="module")
def proxied(table: Path, tmp_path_factory) -> Iterator[str]:
    """Behind a proxy that has another address than this test."""
    settings = {
        "VALUE_PALETTE_PROXY_HEADER": "X-Forwarded-Email",
        "VALUE_PALETTE_TRUSTED_PROXIES": "10.0.0.7",
        "VALUE_PALETTE_OPERATORS": "chief@example.com",
    }
    with running(tmp_path_factory.mktemp("proxied"), table, settings=settings) as server:
        yield server.address


@pytest.mark.parametrize("path", ["/", "/tables", "/_stcore/host-config", "/media/a", "/app/static/fonts/x.woff2"])
def test_nothing_is_served_without_a_login(closed: str, path: str):
    status, text = ask(closed, path)
    assert status == 403
    assert "VALUE_PALETTE_OPEN=1" in text
    assert ask(closed, path, Host="evil.example") == (403, AccessRefusal.FOREIGN_HOST)
    assert ask(closed, "/_stcore/health") == (200, "ok")


@pytest.mark.parametrize("path", ["/_stcore/stream", "/live/desk"])
@pytest.mark.parametrize("host", ["", "evil.example"])
def test_no_socket_is_opened_without_a_login_or_for_a_name_that_was_pointed_here(closed: str, path: str, host: str):
    name = host or urlsplit(closed).netloc
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(
            f"ws://{name}{path}",
            origin=f"http://{name}",
            sock=_socket(closed) if host else None,
        ),
    ):
        pass
    assert refused.value.response.status_code == 403


def _socket(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port))


def test_a_name_that_was_pointed_here_is_refused_on_this_machine_too(server):
    for path in ("/_stcore/stream", "/live/desk"):
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://evil.example{path}", origin="http://evil.example", sock=_socket(server.address)),
        ):
            pass
        assert refused.value.response.status_code == 403
    assert ask(server.address, "/", Host="evil.example") == (403, AccessRefusal.FOREIGN_HOST)


@pytest.mark.parametrize("forged", ["10.0.0.7", "10.0.0.7:1234", "127.0.0.1, 10.0.0.7", "10.0.0.7, 127.0.0.1"])
def test_nobody_passes_for_the_proxy(proxied: str, forged: str):
    chief = {"X_Forwarded_Email": "chief@example.com"}
    assert ask(proxied, **chief) == (403, AccessRefusal.FOREIGN_PROXY)
    assert ask(proxied, X_Forwarded_For=forged, X_Real_Ip="10.0.0.7", **chief) == (403, AccessRefusal.FOREIGN_PROXY)
    assert ask(proxied, X_Forwarded_For=forged) == (403, AccessRefusal.NO_PROXY)
