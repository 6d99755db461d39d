"""Tests of the gate: who is admitted by login, by proxy and without, and which hosts and origins are allowed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
from httpx import ConnectError, ReadTimeout
from itsdangerous import URLSafeTimedSerializer
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidClaimError, MissingClaimError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from map_core.access import LOCAL, Role, settings
from map_core.text.access import AccessRefusal, login_failure
from pages.view.shell import gate, hosts, identity, login_providers, logins, reach, settings_check, visitor_header

SECRET, ORIGIN = "a long random text of the tests, at least 32 letters", "https://app.example"


async def told(request: Request) -> JSONResponse:
    if request.url.path == "/address":
        return JSONResponse(request.client.host if request.client else "")
    return JSONResponse(_told(request.headers))


def _told(headers) -> list[str]:
    known = visitor_header.read(headers)
    return ["nobody"] if known is None else [known.id, known.name, known.role.value]


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(_told(websocket.headers))
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_bytes(await websocket.receive_bytes())
    await websocket.close()  # as the app does again


ROUTES = [
    Route("/_stcore/health", told),
    WebSocketRoute("/_stcore/stream", socket),
    Mount("/", Starlette(routes=[Route("/{path:path}", told, methods=["GET", "POST", "PUT", "DELETE"])])),
]


def stream(of: TestClient, **headers: str):
    """Open a web socket to the client's host, by default from its own origin."""
    host = of.base_url.netloc.decode()
    return of.websocket_connect(f"ws://{host}/_stcore/stream", headers={"origin": f"http://{host}"} | headers)


def client(host: str = "localhost", peer: str = "127.0.0.1") -> TestClient:
    app = gate.Gate(Starlette(routes=ROUTES))
    return TestClient(app, base_url=f"http://{host}", client=(peer, 5000), follow_redirects=False)


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(reach, "listens_to_network", lambda: True)


@pytest.fixture
def login(monkeypatch):
    """Configure a login provider."""
    section = {"client_id": "x", "redirect_uri": f"{ORIGIN}/oauth2callback", "cookie_secret": SECRET}
    monkeypatch.setattr(login_providers, "get_secrets_auth_section", lambda: section)
    monkeypatch.setattr(identity, "get_cookie_secret", lambda: SECRET)
    for module in (identity, hosts):
        monkeypatch.setattr(module, "get_origin_from_redirect_uri", lambda: ORIGIN)


def cookie(secret: str = SECRET, name: str = USER_COOKIE_NAME, **claims: object) -> dict[str, str]:
    content = {"iss": "https://id.example", "sub": "7", "name": "Ann", "origin": ORIGIN, "is_logged_in": True, **claims}
    return {USER_COOKIE_NAME: URLSafeTimedSerializer(secret, salt=name).dumps(json.dumps(content))}


def page_text(answer) -> str:
    return answer.text


def test_this_machine_needs_no_login():
    assert client().get("/").json() == ["", "", "member"]
    with stream(client()) as opened:
        assert opened.receive_json() == ["", "", "member"]


@pytest.mark.parametrize("name", identity.FORWARDED)
def test_requests_through_a_proxy_are_not_local(name: str):
    answer = client().get("/", headers={name: "203.0.113.9"})
    assert (answer.status_code, page_text(answer)) == (403, AccessRefusal.FORWARDED)


def test_app_for_other_machines_needs_a_login(network):
    for path in ("/", "/compare", "/media/x.csv", "/_stcore/host-config", "/static/js/main.js"):
        answer = client("10.0.0.5").get(path, headers={"accept": "text/html"})
        assert answer.status_code == 403
        assert "VALUE_PALETTE_OPEN=1" in page_text(answer)
    assert client("10.0.0.5").get("/_stcore/health").status_code == 200
    with (
        pytest.raises(WebSocketDisconnect),
        stream(client("10.0.0.5")),
    ):
        pass


@pytest.mark.parametrize(("text", "role"), [("1", "guest"), ("member", "member")])
def test_one_setting_opens_the_app(network, monkeypatch, text: str, role: str):
    monkeypatch.setenv(settings.OPEN, text)
    assert client("10.0.0.5").get("/").json() == ["", "", role]


def test_invalid_setting_closes_the_app(network, monkeypatch, caplog):
    monkeypatch.setenv(settings.OPEN, "maybe")
    answer = client("10.0.0.5").get("/")
    assert (answer.status_code, page_text(answer)) == (503, AccessRefusal.MISCONFIGURED)
    assert "VALUE_PALETTE_OPEN is 'maybe'" in caplog.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "user@localhost", "localhost:x", "[", ""])
def test_rebound_host_name_is_refused(host: str):
    for path in ("/", "/compare"):
        answer = client().get(path, headers={"host": host})
        assert (answer.status_code, page_text(answer)) == (403, AccessRefusal.FOREIGN_HOST)
    with (
        pytest.raises(WebSocketDisconnect),
        stream(client(), host=host, origin=f"http://{host}"),
    ):
        pass


@pytest.mark.parametrize("host", ["10.0.0.5", "[fe80::1]", "localhost:8501", "127.0.0.1:8501"])
def test_numeric_addresses_are_allowed(network, monkeypatch, host: str):
    monkeypatch.setenv(settings.OPEN, "1")
    assert client().get("/", headers={"host": host}).status_code == 200


def test_local_app_refuses_other_addresses():
    assert client().get("/", headers={"host": "10.0.0.5"}).status_code == 403


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("app.example", "app.example:8443", 200),
        ("app.example", "APP.example.", 200),
        ("app.example", "evil.app.example", 403),
        ("*.app.example", "a.app.example", 200),
        ("*.app.example", "evilapp.example", 403),
        ("*", "whatever.example", 200),
    ],
)
def test_allowed_hosts_setting(monkeypatch, allowed: str, host: str, status: int):
    monkeypatch.setenv(settings.ALLOWED_HOSTS, allowed)
    assert client().get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost.evil.example"]
)
def test_other_origins_are_refused(origin: str):
    with (
        pytest.raises(WebSocketDisconnect),
        stream(client(), origin=origin),
    ):
        pass
    for method in ("put", "delete", "post"):
        answer = client().request(method, "/_stcore/upload_file/a/b", headers={"origin": origin})
        assert (answer.status_code, page_text(answer)) == (403, AccessRefusal.FOREIGN_ORIGIN)


def test_clients_cannot_set_the_gates_header():
    forged = visitor_header.add({"headers": []}, LOCAL)["headers"][0][1].decode()
    assert client().get("/", headers={visitor_header.NAME: forged}).json() == ["", "", "member"]
    assert visitor_header.read({visitor_header.NAME: f"x{forged}", "host": "a"}) is None
    assert visitor_header.read({visitor_header.NAME: "e30.00", "host": "a"}) is None
    assert visitor_header.read({"host": "a"}) is None
    assert visitor_header.read({}) == LOCAL


def proxy(monkeypatch, proxies: str = "10.0.0.7") -> None:
    monkeypatch.setenv(settings.PROXY_HEADER, "X-Forwarded-Email")
    monkeypatch.setenv(settings.PROXIES, proxies)
    monkeypatch.setenv(settings.OPERATORS, "chief@app.example")


def test_trusted_proxy_names_the_visitor(network, monkeypatch):
    proxy(monkeypatch)
    through = client("10.0.0.5", "10.0.0.7")
    assert through.get("/", headers={"X-Forwarded-Email": "ann@app.example"}).json() == [
        "proxy|ann@app.example",
        "ann@app.example",
        "member",
    ]
    assert through.get("/", headers={"X-Forwarded-Email": "chief@app.example"}).json()[2] == "operator"


def test_visitors_behind_a_trusted_proxy_are_counted_by_their_own_address(network, monkeypatch):
    proxy(monkeypatch)
    headers = {"X-Forwarded-Email": "ann@app.example", "X-Forwarded-For": "1.2.3.4, 203.0.113.9"}
    assert client("10.0.0.5", "10.0.0.7").get("/address", headers=headers).json() == "203.0.113.9"
    monkeypatch.setenv(settings.OPEN, "1")
    headers.pop("X-Forwarded-Email")
    assert client("10.0.0.5", "10.0.0.8").get("/address", headers=headers).json() == "10.0.0.8"


@pytest.mark.parametrize("peer", ["10.0.0.8", "127.0.0.1", "testclient", "::ffff:10.0.0.8"])
@pytest.mark.parametrize("opened", ["", "1"])
def test_proxy_header_of_others_is_refused(network, monkeypatch, peer: str, opened: str):
    proxy(monkeypatch)
    monkeypatch.setenv(settings.OPEN, opened)
    answer = client("10.0.0.5", peer).get("/", headers={"X-Forwarded-Email": "chief@app.example"})
    assert (answer.status_code, page_text(answer)) == (403, AccessRefusal.FOREIGN_PROXY)


def test_missing_or_repeated_proxy_header_is_refused(network, monkeypatch):
    proxy(monkeypatch, "10.0.0.7,::ffff:0:0/96")
    for headers in ([], [("x-forwarded-email", "")], [("x-forwarded-email", name) for name in ("a@b.c", "d@e.f")]):
        answer = client("10.0.0.5", "10.0.0.7").get("/", headers=headers)
        assert (answer.status_code, page_text(answer)) == (403, AccessRefusal.NO_PROXY)


def test_login_cookie_identifies_the_visitor(network, login):
    opened = client("app.example")
    answer = opened.get("/compare", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert 'href="/login?provider=default"' in page_text(answer)
    assert opened.get("/media/x.csv").text == AccessRefusal.LOG_IN
    opened.cookies.update(cookie())
    assert opened.get("/").headers["location"] == "/compare", "a login leads back to what was asked for"
    opened.cookies.delete(gate.RETURN_COOKIE)
    assert opened.get("/").json() == ["https://id.example|7", "Ann", "member"]


@pytest.mark.parametrize("back", ["//evil.example", "https%3A%2F%2Fevil.example", "%2F%5Cevil.example", "/%0d%0aX: y"])
def test_login_redirects_only_to_this_app(network, login, back: str):
    opened = client("app.example")
    opened.cookies.update(cookie() | {gate.RETURN_COOKIE: back})
    assert opened.get("/").status_code == 200


@pytest.mark.parametrize(
    "cookies",
    [
        cookie(secret="another secret of another app, as long as it"),
        cookie(name="_streamlit_user_tokens"),
        cookie(origin="https://other.example"),
        cookie(sub=""),
        cookie(sub=None),
        {USER_COOKIE_NAME: "chunks-2"},
        {USER_COOKIE_NAME: "x"},
    ],
)
def test_a_forged_cookie_is_no_login(network, login, cookies: dict[str, str]):
    opened = client("app.example")
    opened.cookies.update(cookies)
    assert (opened.get("/").status_code, opened.get("/x").text) == (401, AccessRefusal.EXPIRED)


def test_login_expires(network, login, monkeypatch):
    opened = client("app.example")
    opened.cookies.update(cookie())
    assert opened.get("/").status_code == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12.1 * 3600)
    assert (opened.get("/").status_code, opened.get("/").text) == (401, AccessRefusal.EXPIRED)


def test_guests_and_members_side_by_side(network, login, monkeypatch):
    monkeypatch.setenv(settings.OPEN, "1")
    opened = client("app.example")
    assert opened.get("/").json() == ["", "", "guest"]
    opened.cookies.update(cookie())
    assert opened.get("/").json()[2] == "member"


def test_logout_closes_all_sockets_and_invalidates_the_cookie(network, login, monkeypatch):
    opened = client("app.example")
    cookies = cookie(sub="of this test")
    opened.cookies.update(cookies)
    with opened, stream(opened) as websocket:
        assert websocket.receive_json()[0] == "https://id.example|of this test"
        websocket.send_bytes(b"\x0a\x00")
        assert websocket.receive_bytes()
        opened.get("/auth/logout")
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_bytes()
        assert closed.value.code == 4401
    copy = client("app.example")
    copy.cookies.update(cookies)
    assert (copy.get("/").status_code, copy.get("/").text) == (401, AccessRefusal.LOGGED_OUT)
    assert not logins._waiting


def test_socket_closes_when_its_login_expires(network, login, monkeypatch):
    monkeypatch.setenv(settings.LOGIN_HOURS, str(1.5 / 3600))
    opened = client("app.example")
    opened.cookies.update(cookie(sub="short"))
    with opened, stream(opened) as websocket:
        assert websocket.receive_json()[1] == "Ann"
        with pytest.raises(WebSocketDisconnect):
            websocket.receive_bytes()


def test_no_message_clears_shared_caches():
    with stream(client()) as opened:
        opened.receive_json()
        opened.send_bytes(BackMsg(clear_cache=True).SerializeToString())
        stop_message = BackMsg(stop_script=True).SerializeToString()
        opened.send_bytes(stop_message)
        assert opened.receive_bytes() == stop_message


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (None, AccessRefusal.FAILED),
        (RuntimeError("x"), AccessRefusal.FAILED),
        (ExpiredTokenError("exp"), AccessRefusal.EXPIRED_TOKEN),
        (BadSignatureError(), AccessRefusal.WRONG_TOKEN),
        (MissingClaimError("nonce"), AccessRefusal.WRONG_TOKEN),
        (ConnectError("no"), AccessRefusal.UNREACHABLE),
        (ReadTimeout("no"), AccessRefusal.UNREACHABLE),
        (InvalidClaimError("iat"), AccessRefusal.CLOCK),
        (InvalidClaimError("aud"), AccessRefusal.WRONG_TOKEN),
    ],
)
def test_failed_login_is_explained(error: Exception | None, refusal: AccessRefusal):
    assert login_failure(error) is refusal
    assert all(sentence.endswith(".") for sentence in AccessRefusal)


def test_server_ignores_forwarded_addresses():
    import uvicorn.config

    settings_check.see_true_addresses()
    config = uvicorn.Config(Starlette(routes=ROUTES), log_level="critical")
    config.load()
    clients = []

    async def app(scope, receive, send):
        clients.append(scope["client"])

    wrapped = uvicorn.config.ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1")
    scope = {"type": "http", "client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", b"10.0.0.7")]}
    asyncio.run(wrapped(scope, None, None))
    assert clients == [("127.0.0.1", 5)]


def test_roles_are_not_read_from_client_headers():
    assert Role.OPERATOR.value not in client().get("/", headers={"x-forwarded-email": "x"}).json()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (settings.OPEN, "perhaps", "CLOSED. VALUE_PALETTE_OPEN is 'perhaps'"),
        (settings.OPERATORS, "ann", "CLOSED. VALUE_PALETTE_OPERATORS has the entry 'ann'"),
        (settings.PROXIES, "a.b", "CLOSED. VALUE_PALETTE_TRUSTED_PROXIES cannot be read"),
        ("VALUE_PALETTE_MAY_BUILD", "some", "CLOSED. VALUE_PALETTE_MAY_BUILD is 'some'"),
        (settings.OPEN, "1", "everybody who reaches it, as a guest"),
        (settings.PROXY_HEADER, "X-User", "as the header x-user of nobody says"),
    ],
)
def test_start_message_states_who_is_let_in(monkeypatch, capsys, name: str, text: str, words: str):
    monkeypatch.setenv(name, text)
    settings_check.print_state()
    assert f"Who is let in: {words}" in capsys.readouterr().err


def test_start_message_of_a_closed_app(network, capsys):
    settings_check.print_state()
    assert AccessRefusal.CLOSED in capsys.readouterr().err


def test_start_message_names_missing_login_settings(login, capsys):
    settings_check.print_state()  # the tests have no secrets.toml
    assert "CLOSED. To use authentication features you need to configure" in capsys.readouterr().err


def test_no_start_message_for_a_local_app(capsys):
    settings_check.print_state()
    assert capsys.readouterr().err == ""
