"""Tests of limits: sockets, messages and uploads are refused with a message, in bounded memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace

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
from streamlit.runtime import runtime_util
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager
from streamlit.web.server.starlette import starlette_routes

from map_core.access import Role, Visitor
from map_core.core import limits
from map_core.core.process_limits import MEGABYTE
from map_core.errors import InputError
from pages.view.shell import markup, server_limits, uploads, visitor_header

PAGE = {"accept": "text/html"}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    file_manager = MemoryUploadedFileManager("/_stcore/upload_file")
    monkeypatch.setattr(server_limits, "_manager", lambda: file_manager)
    return file_manager


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


def test_number_of_sockets_is_limited(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(limits.SOCKETS.variable, "2")
    with ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(client.websocket_connect("/socket"))
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/socket"):
            pass
        assert refused.value.code == 1013
        answer = client.get("/groups", headers=PAGE)
        assert (answer.status_code, answer.text) == (503, server_limits.BUSY)
        # Open pages and health checks are not affected.
        assert client.get("/static/a.js", headers=PAGE).status_code == 200
        assert client.get("/_stcore/health", headers=PAGE).status_code == 200
    assert client.get("/groups", headers=PAGE).status_code == 200
    with client.websocket_connect("/socket") as websocket:
        websocket.send_text("here")
        assert websocket.receive_text() == "here"


def test_one_address_leaves_room_for_others(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(limits.SOCKETS_OF_ADDRESS.variable, "1")
    other_client = TestClient(client.app, client=("10.0.0.9", 4000))
    with client.websocket_connect("/socket"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket"):
            pass
        with other_client.websocket_connect("/socket") as opened:
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
    """Return the header in which the gate names the visitor."""
    headers = visitor_header.add({"headers": []}, Visitor(name, name, Role.MEMBER))["headers"]
    return {key.decode(): value.decode() for key, value in headers}


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


def test_upload_without_a_length_is_stopped_on_arrival(
    manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(limits.UPLOADS_OF_VISIT.variable, "1")
    received: list[int] = []

    async def app(scope, receive, send):
        while (message := await receive()).get("more_body"):
            received.append(len(message["body"]))

    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": b"x" * 400_000, "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/_stcore/upload_file/ann/1", "headers": []}
    guarded = server_limits.ServerLimits(app)
    asyncio.run(guarded(scope, receive, send))
    assert received == [400_000, 400_000]
    assert sent[0]["status"] == 413
    assert guarded._held.of_all() == 0, "what was refused counts no longer"


@pytest.fixture
def storage(manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch) -> MemorySessionStorage:
    """Replace Streamlit's storage of disconnected sessions, and return it."""
    session_storage = MemorySessionStorage()
    sessions = WebsocketSessionManager(session_storage, manager, ScriptCache(), None)
    served = SimpleNamespace(uploaded_file_mgr=manager, _session_mgr=sessions, is_active_session=lambda visit: True)
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: served)
    return session_storage


def begin_visit(storage: MemorySessionStorage, name: str) -> None:
    storage.save(SessionInfo(None, SimpleNamespace(id=name)))  # type: ignore[arg-type]


def upload_in_parts(app: ASGIApp, visit: str, size: int, before_end: Callable[[], object] = lambda: None) -> int:
    """Upload a file as a browser does and return the status; optionally act before its last part."""
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
    scope = {"type": "http", "method": "PUT", "path": path, "headers": headers, "root_path": "", "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return statuses[0]


def test_upload_completed_after_its_visit_is_not_kept(
    manager: MemoryUploadedFileManager, storage: MemorySessionStorage, monkeypatch: pytest.MonkeyPatch
):
    """Streamlit checks for the visit only before the body, and removes a visit's files only at its end."""
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


def test_size_of_a_text_file_is_limited_by_the_server(monkeypatch: pytest.MonkeyPatch):
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
    text = markup.plain(card.replace("**", ""))
    assert not re.search(r"(?<!\\)[\[\]()<>!:]", text)
