"""What the network may take of the app: sockets, messages, uploads; refused with a sentence, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import re
import socket as sockets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace

import psutil
import pytest
from httpx import Response
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime import runtime_util
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager
from streamlit.web.server.starlette import starlette_routes
from websockets.exceptions import ConnectionClosed, InvalidStatus

from map_core.access import Role, Visitor
from map_core.core import limits
from map_core.core.process_limits import MEGABYTE
from map_core.errors import InputError
from pages.view.shell import live_channel, markup, server_limits, uploads, visitor_header
from tests.app_client import AppClient
from tests.app_server import running

PAGE = {"accept": "text/html"}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    kept = MemoryUploadedFileManager("/_stcore/upload_file")
    monkeypatch.setattr(server_limits, "_manager", lambda: kept)
    return kept


@pytest.fixture
def client(manager: MemoryUploadedFileManager) -> TestClient:
    async def upload(request: Request) -> PlainTextResponse:
        content = await request.body()
        name = request.path_params["file"]
        manager.add_file(request.path_params["visit"], UploadedFileRec(name, name, "", content))
        return PlainTextResponse("taken")

    routes = [
        Route("/_stcore/upload_file/{visit}/{file}", upload, methods=["PUT"]),
        WebSocketRoute("/socket", echo),
        Route("/{path:path}", page),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(server_limits.ServerLimits)]))


def test_sockets_are_limited_and_the_page_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(limits.SOCKETS.variable, "2")
    with ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(client.websocket_connect("/socket"))
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/socket"):
            pass
        assert refused.value.code == 1013
        answer = client.get("/groups", headers=PAGE)
        assert (answer.status_code, answer.text) == (503, server_limits.BUSY)
        # What a page that is open needs goes on, and so does whoever looks at the health.
        assert client.get("/static/a.js", headers=PAGE).status_code == 200
        assert client.get("/_stcore/health", headers=PAGE).status_code == 200
    assert client.get("/groups", headers=PAGE).status_code == 200
    with client.websocket_connect("/socket") as again:
        again.send_text("here")
        assert again.receive_text() == "here"


def test_one_address_leaves_room_for_others(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(limits.SOCKETS_OF_ADDRESS.variable, "1")
    other = TestClient(client.app, client=("10.0.0.9", 4000))
    with client.websocket_connect("/socket"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket"):
            pass
        with other.websocket_connect("/socket") as opened:
            opened.send_text("here")
            assert opened.receive_text() == "here"


def test_uploads_are_limited_by_visit_and_in_all(
    client: TestClient, manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(limits.UPLOADS_OF_VISIT.variable, "2")
    monkeypatch.setenv(limits.UPLOADS.variable, "3")
    put = client.put
    assert put("/_stcore/upload_file/ann/1", content=b"x" * 1_500_000).text == "taken"
    refused = put("/_stcore/upload_file/ann/2", content=b"x" * 600_000)
    assert refused.status_code == 413
    assert "The app holds 2 MB of uploaded files of this visit, of at most 2 MB." in refused.text
    assert put("/_stcore/upload_file/bob/1", content=b"x" * 1_400_000).text == "taken"
    refused = put("/_stcore/upload_file/cid/1", content=b"x" * 200_000)
    assert "of all visitors, of at most 3 MB" in refused.text
    manager.remove_session_files("ann")
    assert put("/_stcore/upload_file/cid/1", content=b"x" * 200_000).text == "taken"


def as_person(name: str) -> dict[str, str]:
    """The header by which the gate says who asks."""
    told = visitor_header.add({"headers": []}, Visitor(name, name, Role.MEMBER))["headers"]
    return {key.decode(): value.decode() for key, value in told}


def test_uploads_of_one_person_count_together_whatever_the_visit(
    client: TestClient, manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(limits.UPLOADS_OF_VISIT.variable, "2")

    def put(visit: str, size: int, person: str) -> Response:
        return client.put(f"/_stcore/upload_file/{visit}/1", content=b"x" * size, headers=as_person(person))

    assert put("one", 1_500_000, "ann").text == "taken"
    refused = put("two", 600_000, "ann")
    assert refused.status_code == 413
    assert "of uploaded files of yours, of at most 2 MB" in refused.text
    assert put("three", 1_500_000, "ben").text == "taken", "another person"
    manager.remove_session_files("one")
    assert put("two", 600_000, "ann").text == "taken", "a visit that has ended counts no longer"


def test_sockets_of_one_person_count_together_and_an_address_is_that_of_many(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(limits.SOCKETS_OF_ADDRESS.variable, "1")
    elsewhere = TestClient(client.app, client=("10.0.0.9", 4000))
    with client.websocket_connect("/socket", headers=as_person("ann")):
        with (
            pytest.raises(WebSocketDisconnect),
            elsewhere.websocket_connect("/socket", headers=as_person("ann")),
        ):
            pass
        with client.websocket_connect("/socket", headers=as_person("ben")) as opened:
            opened.send_text("here")
            assert opened.receive_text() == "here"


def test_an_upload_that_hides_its_length_is_stopped_while_it_arrives(
    manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(limits.UPLOADS_OF_VISIT.variable, "1")
    taken: list[int] = []

    async def app(scope, receive, send):
        while (message := await receive()).get("more_body"):
            taken.append(len(message["body"]))

    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": b"x" * 400_000, "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/_stcore/upload_file/ann/1", "headers": []}
    guarded = server_limits.ServerLimits(app)
    asyncio.run(guarded(scope, receive, send))
    assert taken == [400_000, 400_000]
    assert sent[0]["status"] == 413
    assert guarded._held.of_all() == 0, "what was refused counts no longer"


@pytest.fixture
def storage(manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch) -> MemorySessionStorage:
    """The visits, as Streamlit keeps those that may be taken up again."""
    kept = MemorySessionStorage()
    sessions = WebsocketSessionManager(kept, manager, ScriptCache(), None)
    served = SimpleNamespace(uploaded_file_mgr=manager, _session_mgr=sessions, is_active_session=lambda visit: True)
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: served)
    return kept


def begin_visit(storage: MemorySessionStorage, name: str) -> None:
    storage.save(SessionInfo(None, SimpleNamespace(id=name)))  # type: ignore[arg-type]


def upload_in_parts(app: ASGIApp, visit: str, size: int, before_end: Callable[[], object] = lambda: None) -> int:
    """Upload a file as a browser does; return the status. Something may happen before its last part."""
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\n'
    parts, statuses = [head, b"x" * size, b"\r\n--b--\r\n"], []

    async def receive() -> Message:
        if len(parts) == 1:
            before_end()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"host", b"localhost")]
    path = f"/_stcore/upload_file/{visit}/1"
    asked = {"type": "http", "method": "PUT", "path": path, "headers": headers, "root_path": "", "query_string": b""}
    asyncio.run(app(asked, receive, send))
    return statuses[0]


def test_a_file_that_is_complete_after_its_visit_is_not_held(
    manager: MemoryUploadedFileManager, storage: MemorySessionStorage, monkeypatch: pytest.MonkeyPatch
):
    """Streamlit looks for the visit before the body only, and removes a visit's files at its end only."""
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: False)
    monkeypatch.setenv(limits.UPLOADS.variable, "3")
    routes = starlette_routes.create_upload_routes(runtime.get_instance(), manager, "")
    app = server_limits.ServerLimits(Starlette(routes=routes))
    for name in ("ann", "bob"):
        begin_visit(storage, name)

    def end_of_visit() -> None:
        storage.delete("ann")
        manager.remove_session_files("ann")

    assert upload_in_parts(app, "ann", 2_000_000, end_of_visit) == 204
    assert "ann" not in manager.file_storage
    assert upload_in_parts(app, "bob", 2_000_000) == 204, "there is room for others"
    assert list(manager.file_storage) == ["bob"], "a visit that may be taken up again keeps its files"


def test_files_of_visits_that_have_ended_are_removed_before_limits_are_checked(
    client: TestClient,
    manager: MemoryUploadedFileManager,
    storage: MemorySessionStorage,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv(limits.UPLOADS.variable, "3")
    for name in ("ann", "bob"):
        begin_visit(storage, name)
    assert client.put("/_stcore/upload_file/ann/1", content=b"x" * 2_000_000).text == "taken"
    assert client.put("/_stcore/upload_file/bob/1", content=b"x" * 2_000_000).status_code == 413
    storage.delete("ann")
    assert client.put("/_stcore/upload_file/bob/1", content=b"x" * 2_000_000).text == "taken"
    assert list(manager.file_storage) == ["bob"]


def test_a_text_file_is_limited_whatever_the_browser_checks(monkeypatch: pytest.MonkeyPatch):
    class File:
        name, size = "prompts.txt", 3_000_000

        def getvalue(self) -> bytes:
            raise AssertionError("read")

    monkeypatch.setenv(limits.TEXT_FILE.variable, "2")
    with pytest.raises(InputError, match=r"prompts.txt has 3.0 MB; expected at most 2 MB"):
        uploads.text_content(File())  # type: ignore[arg-type]


def test_the_app_may_send_more_than_it_receives(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime_util, "_max_message_size_bytes", 2 * MEGABYTE)
    server_limits.allow_large_answers()
    assert runtime_util.get_max_message_size_bytes() == server_limits.LARGEST_ANSWER


def test_a_tooltip_of_a_card_is_text():
    card = "**Measures:** ![x](http://evil.example/a.png) <img src=x> [go](http://evil.example) https://evil.example"
    shown = markup.plain(card.replace("**", ""))
    assert not re.search(r"(?<!\\)[\[\]()<>!:]", shown)


FRAMES = int(os.environ.get("FRAMES", "2000"))
#: Sockets that are open at a time; SOCKETS=250 has as many as an app lets in.
SOCKETS = int(os.environ.get("SOCKETS", "50"))
#: Visitors who read nothing; DEAF=40 has as many.
DEAF = int(os.environ.get("DEAF", "3"))


def test_malformed_frames_end_their_socket_without_a_traceback(caplog: pytest.LogCaptureFixture):
    """FRAMES=100000 sends as many: of the wrong kind, no protocol message, deep JSON, too long, random."""
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
def test_visitors_who_read_nothing_keep_nobody_waiting(tmp_path: Path):
    """Tabs that are suspended, or mean ill: they ask for pages, and what is sent to them is never read."""
    with running(tmp_path) as server, ExitStack() as opened:
        process = psutil.Process(server.pid)
        other = opened.enter_context(AppClient(server.address))
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
            assert other.run("values")
            waits.append(time.monotonic() - began)
        grown = process.memory_info().rss - before
        print(f"{DEAF} read nothing: {grown / MEGABYTE:+.0f} MB, another page {max(waits):.1f} s at most")
        assert grown < 20 * MEGABYTE * DEAF
        assert max(waits) < 5 * DEAF
        with AppClient(server.address) as again:
            assert again.run("tradeoffs", "palette=helpfulness:p53"), "whoever comes back has the page of the address"
    assert "Traceback" not in (tmp_path / "log").read_text()


def end(visitor: AppClient) -> None:
    """Cut a connection without a word."""
    with suppress(OSError):  # it was cut already, as it answered no ping
        visitor.socket.socket.shutdown(sockets.SHUT_RDWR)


def exhaust(visitor: AppClient) -> None:
    """Read what the app sends until it closes the socket."""
    while True:
        visitor.socket.recv(timeout=10)


@pytest.mark.slow
@pytest.mark.process
def test_anonymous_load_leaves_the_app_below_1500_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every socket that is to be had, each with most of a message, uploads to a page without an uploader.

    What all sockets would take is computed from what some of them take; SOCKETS=250 opens them all.
    """
    for limit in (limits.SOCKETS, limits.SOCKETS_OF_ADDRESS):  # all come from here
        monkeypatch.setenv(limit.variable, str(SOCKETS))
    with running(tmp_path) as server:
        process, peak = psutil.Process(server.pid), 0

        def look() -> int:
            nonlocal peak
            held: int = process.memory_info().rss
            peak = max(peak, held)
            return held

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
        for _ in range(100):  # there is room again
            try:
                with AppClient(server.address) as visitor:
                    assert visitor.run()
                break
            except InvalidStatus:
                time.sleep(0.1)
        else:
            raise AssertionError("no room")
    assert "Traceback" not in (tmp_path / "log").read_text()
