"""Tests of the app on a network: no access without a login, and none by forged headers or host names."""

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

pytestmark = pytest.mark.browser  # these tests start a server, as browser tests do


def get(address: str, path: str = "/", **headers: str) -> tuple[int, str]:
    """Return status and text of a response; headers are sent unchanged, Host included."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("closed") / "table.parquet"
    table_format.save(make_table(prompts=8, candidates=8, seed=5), path)
    return path


@pytest.fixture(scope="module")
def closed_app(table: Path, tmp_path_factory) -> Iterator[str]:
    """Serve the app on every address of this machine, without access settings."""
    folder = tmp_path_factory.mktemp("all")
    with running(folder, table, options=("--server.address=0.0.0.0",)) as server:
        yield server.address


@pytest.fixture(scope="module")
def proxied_app(table: Path, tmp_path_factory) -> Iterator[str]:
    """Serve the app behind a trusted proxy whose address is not that of this test."""
    settings = {
        "VALUE_PALETTE_PROXY_HEADER": "X-Forwarded-Email",
        "VALUE_PALETTE_TRUSTED_PROXIES": "10.0.0.7",
        "VALUE_PALETTE_OPERATORS": "chief@example.com",
    }
    with running(tmp_path_factory.mktemp("proxied"), table, settings=settings) as server:
        yield server.address


@pytest.mark.parametrize("path", ["/", "/tables", "/_stcore/host-config", "/media/a", "/app/static/fonts/x.woff2"])
def test_nothing_is_served_without_a_login(closed_app: str, path: str):
    status, text = get(closed_app, path)
    assert status == 403
    assert "VALUE_PALETTE_OPEN=1" in text
    assert get(closed_app, path, Host="evil.example") == (403, AccessRefusal.FOREIGN_HOST)
    assert get(closed_app, "/_stcore/health") == (200, "ok")


@pytest.mark.parametrize("path", ["/_stcore/stream", "/live/desk"])
@pytest.mark.parametrize("host", ["", "evil.example"])
def test_no_web_socket_opens_without_a_login_or_for_a_foreign_host(closed_app: str, path: str, host: str):
    name = host or urlsplit(closed_app).netloc
    with (
        pytest.raises(InvalidStatus) as error,
        connect(
            f"ws://{name}{path}",
            origin=f"http://{name}",
            sock=_socket(closed_app) if host else None,
        ),
    ):
        pass
    assert error.value.response.status_code == 403


def _socket(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port))


def test_a_foreign_host_is_refused_on_loopback_too(server):
    for path in ("/_stcore/stream", "/live/desk"):
        with (
            pytest.raises(InvalidStatus) as error,
            connect(f"ws://evil.example{path}", origin="http://evil.example", sock=_socket(server.address)),
        ):
            pass
        assert error.value.response.status_code == 403
    assert get(server.address, "/", Host="evil.example") == (403, AccessRefusal.FOREIGN_HOST)


@pytest.mark.parametrize("forged", ["10.0.0.7", "10.0.0.7:1234", "127.0.0.1, 10.0.0.7", "10.0.0.7, 127.0.0.1"])
def test_a_forged_proxy_address_is_refused(proxied_app: str, forged: str):
    chief = {"X_Forwarded_Email": "chief@example.com"}
    assert get(proxied_app, **chief) == (403, AccessRefusal.FOREIGN_PROXY)
    assert get(proxied_app, X_Forwarded_For=forged, X_Real_Ip="10.0.0.7", **chief) == (403, AccessRefusal.FOREIGN_PROXY)
    assert get(proxied_app, X_Forwarded_For=forged) == (403, AccessRefusal.NO_PROXY)
