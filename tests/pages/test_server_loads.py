"""Tests of loads on a running app: malformed frames, visitors who read nothing, and many anonymous visitors."""

from __future__ import annotations

import os
import socket as sockets
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import psutil
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus

from map_core.core import limits
from map_core.core.process_limits import MEGABYTE
from pages.view.shell import live_channel, server_limits
from tests.app_client import AppClient
from tests.app_server import running

FRAMES = int(os.environ.get("FRAMES", "2000"))
#: Concurrent sockets; SOCKETS=250 is the limit of an app.
SOCKETS = int(os.environ.get("SOCKETS", "50"))
#: Number of visitors who read nothing.
DEAF = int(os.environ.get("DEAF", "3"))


def test_malformed_frames_end_their_socket_without_a_traceback(caplog: pytest.LogCaptureFixture):
    """FRAMES is their number: wrong kind, no protocol message, deep JSON, too long, random."""
    heard: list[object] = []

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        async for content in socket.iter_bytes():
            heard.append(BackMsg.FromString(content))

    async def channel(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            message = live_channel.read_message(text)
            if message is not None:
                live_channel.parse_message(message)
            await socket.send_text("read")

    routes = [WebSocketRoute("/_stcore/stream", stream), WebSocketRoute("/live/desk", channel)]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(server_limits.ServerLimits)]))
    random = Random(7)
    odd_texts = [
        "[" * 90_000,
        "{" * 50,
        '{"session": ' + '{"a":' * 20_000,
        "\ud800",
        "null",
        "1e999",
        "",
        "x" * 200_000,
    ]
    with client.websocket_connect("/live/desk") as opened:
        for number in range(FRAMES):
            text = odd_texts[number % 8] if number % 2 else random.randbytes(random.randrange(200)).decode("latin-1")
            opened.send_text(text.encode("utf-8", "replace").decode())
            assert opened.receive_text() == "read"
    for number in range(max(50, FRAMES // 100)):
        with client.websocket_connect("/live/desk") as opened:
            opened.send_bytes(random.randbytes(50))
            with pytest.raises(WebSocketDisconnect) as closed:
                opened.receive_text()
            assert closed.value.code == server_limits.WRONG_KIND
        with client.websocket_connect("/_stcore/stream") as opened:
            if number % 2:
                opened.send_text("no bytes")
            else:
                opened.send_bytes(b"\xff" + random.randbytes(50))
            with pytest.raises(WebSocketDisconnect) as closed:
                opened.receive_bytes()
            assert closed.value.code == (server_limits.WRONG_KIND if number % 2 else server_limits.NOT_PARSED)
    assert heard == []
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.slow
@pytest.mark.process
def test_visitors_who_read_nothing_block_nobody(tmp_path: Path):
    """Suspended or malicious tabs request pages and never read the responses."""
    with running(tmp_path) as server, ExitStack() as opened:
        process = psutil.Process(server.pid)
        active = opened.enter_context(AppClient(server.address))
        deaf = [AppClient(server.address) for _ in range(DEAF)]
        for visitor in deaf:
            visitor.run("tradeoffs")
            opened.callback(end, visitor)
            visitor.socket.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        before, waits = process.memory_info().rss, []
        for number in range(4):
            for visitor in deaf:
                visitor.ask("tradeoffs", f"palette=helpfulness:p{50 + number}")
            began = time.monotonic()
            assert active.run("values")
            waits.append(time.monotonic() - began)
        grown = process.memory_info().rss - before
        print(f"{DEAF} read nothing: {grown / MEGABYTE:+.0f} MB, another page {max(waits):.1f} s at most")
        assert grown < 20 * MEGABYTE * DEAF
        assert max(waits) < 5 * DEAF
        with AppClient(server.address) as returning:
            assert returning.run("tradeoffs", "palette=helpfulness:p53"), (
                "whoever comes back has the page of the address"
            )
    assert "Traceback" not in (tmp_path / "log").read_text()


def end(visitor: AppClient) -> None:
    """Cut a connection without a close frame."""
    with suppress(OSError):  # the server cut it already, as no ping was answered
        visitor.socket.socket.shutdown(sockets.SHUT_RDWR)


def exhaust(visitor: AppClient) -> None:
    """Read what the app sends until it closes the socket."""
    while True:
        visitor.socket.recv(timeout=10)


@pytest.mark.slow
@pytest.mark.process
def test_anonymous_load_leaves_the_app_below_1500_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All available sockets, each with most of a message, and uploads to a page without an uploader.

    The memory of all sockets is extrapolated from some; SOCKETS=250 opens them all.
    """
    for limit in (limits.SOCKETS, limits.SOCKETS_OF_ADDRESS):  # all have this address
        monkeypatch.setenv(limit.variable, str(SOCKETS))
    with running(tmp_path) as server:
        process, peak = psutil.Process(server.pid), 0

        def look() -> int:
            nonlocal peak
            memory_held: int = process.memory_info().rss
            peak = max(peak, memory_held)
            return memory_held

        with AppClient(server.address) as visitor:
            visitor.run()
            visitor.socket.send(b"x" * 3 * MEGABYTE)
            with pytest.raises(ConnectionClosed) as closed:
                exhaust(visitor)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        before = look()
        visitors: list[AppClient] = []
        for _ in range(SOCKETS):
            visitors.append(AppClient(server.address))
            visitors[-1].run()
            look()
        of_sockets = look() - before
        with pytest.raises(InvalidStatus, match="403"):
            AppClient(server.address)
        statuses = [visitor.upload(b"x" * 100 * MEGABYTE)[0] for visitor in visitors[:12]]
        before = look()
        assert statuses.count(204) == 2
        assert set(statuses) == {204, 413}
        for visitor in visitors:
            visitor.socket.protocol.send_binary(b"y" * 1_900_000, fin=False)
            for part in visitor.socket.protocol.data_to_send():
                visitor.socket.socket.sendall(part)
        for _ in range(30):
            time.sleep(0.1)
            look()
        of_sockets += look() - before
        request = urllib.request.Request(f"{server.address}/groups", headers={"Accept": "text/html"})
        with pytest.raises(urllib.error.HTTPError) as busy:
            urllib.request.urlopen(request, timeout=10)
        assert busy.value.read().decode() == server_limits.BUSY
        for visitor in visitors:
            visitor.socket.socket.shutdown(sockets.SHUT_RDWR)
        of_all = peak + of_sockets * (limits.SOCKETS.default / SOCKETS - 1)
        print(f"peak {peak / MEGABYTE:.0f} MB with {SOCKETS} sockets, {of_all / MEGABYTE:.0f} MB with all")
        assert of_sockets > 1_900_000 * SOCKETS, "what they have sent is held"
        assert of_all < 1500 * MEGABYTE
        for _ in range(100):  # there is room for others again
            try:
                with AppClient(server.address) as visitor:
                    assert visitor.run()
                break
            except InvalidStatus:
                time.sleep(0.1)
        else:
            raise AssertionError("no room")
    assert "Traceback" not in (tmp_path / "log").read_text()
