"""Tests of what an operator relies on: keys and budgets, incomplete requests, metrics, large requests, shutdown."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from map_core.errors import InputError
from map_core.server import keys
from map_core.server.access import Access
from map_core.server.connections import http_protocol, most_connections
from map_core.server.errors import Refusal
from map_core.server.keys import KeyRing, ServerKey, read_keys
from tests.server.inline import in_process_server, make_parser
from tests.server.server_process import HELLO, ServerProcess, running_server
from tests.server_thread import ServerThread
from tests.waiting import until

ANN, BOB = ServerKey("ann", "key-of-ann-0123456789", 40), ServerKey("bob", "key-of-bob-0123456789")
CHAT = {"messages": HELLO, "max_tokens": 8, "candidates": 4, "weights": {"diversity": 1.0}}


def bearer(key: ServerKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.key}"}


@pytest.fixture(scope="module")
def running(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tiny) as server:
        yield server


def test_keys_have_names_and_budgets(tiny: Path) -> None:
    with in_process_server(str(tiny), make_parser(tiny), access=Access(keys=(ANN, BOB))) as (api, _):
        assert api.post("/v1/chat/completions", json=CHAT).status_code == 401
        responses = [api.post("/v1/chat/completions", json=CHAT | {"seed": n}, headers=bearer(ANN)) for n in range(8)]
        first_refused = [response.status_code for response in responses].index(429)
        assert {response.status_code for response in responses[first_refused:]} == {429}
        error = responses[first_refused].json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "The key of 'ann' has drawn" in error["message"]
        assert "of 40 a day" in error["message"]
        assert 1 <= int(responses[first_refused].headers["retry-after"]) <= 86_400
        assert api.post("/v1/chat/completions", json=CHAT, headers=bearer(BOB)).status_code == 200
        metrics = api.get("/metrics", headers=bearer(BOB))
        assert metrics.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(metrics.text)}
        tokens = {sample.labels["key"]: sample.value for sample in families["value_palette_tokens"].samples
                  if sample.name.endswith("_total")}  # fmt: skip
        assert set(tokens) == {"ann", "bob"}
        assert tokens["ann"] >= 40
        requests = {
            (sample.labels["route"], sample.labels["status"]): sample.value
            for sample in families["value_palette_requests"].samples
            if sample.name.endswith("_total")
        }
        assert requests["/v1/chat/completions", "401"] == 1
        assert requests["/v1/chat/completions", "429"] == 8 - first_refused
        assert families["value_palette_model_state"].samples
        assert ANN.key not in metrics.text
        assert api.get("/metrics").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_of_a_key_may_have_any_case(scheme: str) -> None:
    ring = KeyRing([ANN, BOB])
    assert ring.owner(scheme + BOB.key) == "bob"
    for header in (BOB.key, f"Basic {BOB.key}", scheme.strip() + BOB.key, f"{scheme}{BOB.key} ", scheme, ""):
        assert ring.owner(header) is None


def test_a_budget_is_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing([ANN])
    ring.charge("ann", 39)
    ring.check("ann")
    ring.charge("ann", 1)
    with pytest.raises(Refusal, match="has drawn 40 tokens today"):
        ring.check("ann")
    monkeypatch.setattr(keys, "_today", lambda: 10**6)
    ring.check("ann")
    ring.check("somebody without a key")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"key": "0123456789abcdef"}', "has no name"),
        ('{"name": "a", "key": "short"}', "at least 16 printable"),
        ('{"name": "a", "key": "0123456789abcdef "}', "without spaces around"),
        ('{"name": "a", "key": "0123456789abcdef", "tokens_a_day": 0}', "whole number above 0"),
        ('{"name": "a", "key": "0123456789abcdef", "tokens": 5}', "the field 'tokens'"),
        ('{"name": "a", "key": "0123456789abcdef"}\n{"name": "a", "key": "0123456789abcdeg"}', "one name twice"),
        ('{"name": "a", "key": "0123456789abcdef"}\n{"name": "b", "key": "0123456789abcdef"}', "one key twice"),
        ("", "has no key"),
    ],
)
def test_a_file_of_keys_is_checked_and_errors_show_no_key(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=message) as error:
        read_keys(path)
    assert "0123456789abcde" not in str(error.value)


def test_turns_are_taken_by_key_and_not_by_the_user_field(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewers: list[str] = []
    with in_process_server(str(tiny), make_parser(tiny), access=Access(keys=(BOB,))) as (api, service):
        submit = service.submit
        monkeypatch.setattr(
            service, "submit", lambda request, viewer: (viewers.append(viewer), submit(request, viewer))[1]
        )
        for user in ("x", "y"):
            assert api.post("/v1/chat/completions", json=CHAT | {"user": user}, headers=bearer(BOB)).status_code == 200
    assert viewers == ["bob", "bob"]


def test_health_has_its_usual_paths(running: ServerProcess) -> None:
    for path in ("/health", "/health/live"):
        status, content = get(running, path)
        assert (status, content["state"]) in [(200, "loading"), (200, "ready"), (200, "stopped")]
    until(lambda: get(running, "/health/ready")[0] == 200)


def get(server: ServerProcess, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def open_connections(server: ServerProcess) -> int:
    return len(psutil.Process(server.process.pid).net_connections())


def test_three_hundred_incomplete_requests_block_nobody(running: ServerProcess) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=30)) for _ in range(300)
        ]
        for connection in connections:
            connection.sendall(head)
        start = time.monotonic()
        assert get(running, "/health")[0] == 200
        assert running.ask(max_tokens=4).choices[0].message.content is not None
        assert open_connections(running) >= 300, "the others were still open when these requests were answered"
        for connection in connections:  # another byte does not extend the deadline
            with contextlib.suppress(OSError):
                connection.sendall(b"X")
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        assert time.monotonic() - start < 25
    until(lambda: open_connections(running) < 20, 10)


def test_with_few_descriptors_complete_requests_are_served(tiny: Path) -> None:
    assert 16 <= most_connections() <= 2000
    assert http_protocol() is not http_protocol(), "one for each server"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # inherited by the server
    try:
        with running_server(tiny) as server:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.ExitStack() as stack:
                for _ in range(300):
                    connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
                    with contextlib.suppress(OSError):
                        connection.sendall(b"GET /health HTTP/1.1\r\n")
                assert get(server, "/health")[0] == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_of_clients_that_do_not_read_are_closed_soon() -> None:
    """Otherwise a closed connection with unsent data would stay open as long as the client does."""
    content = b"x" * 8_000_000

    async def app(request: Request) -> Response:
        return Response(content)

    routes = Starlette(routes=[Route("/", app)])
    with ServerThread(routes, http=http_protocol(reading_seconds=0.5), timeout_keep_alive=1) as server:
        address = ("127.0.0.1", int(server.origin.rpartition(":")[2]))
        for connection in ("keep-alive", "close"):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(address)
                client.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
                until(lambda: server.connections == 1, 10)
                until(lambda: not server.connections, 10)  # although the client has read nothing and is still connected
        reading_client = http.client.HTTPConnection(*address, timeout=20)
        reading_client.request("GET", "/")
        assert reading_client.getresponse().read() == content, "whoever reads gets all of it"
        reading_client.close()


def test_a_short_request_is_answered_beside_the_largest(running: ServerProcess) -> None:
    heavy = {"messages": HELLO, "max_tokens": 220, "candidates": 1024, "weights": {"diversity": 1}, "stream": True}
    body = json.dumps(heavy).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    running.ask(max_tokens=4)
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        until(lambda: running.health()["running"] == 1)
        waits = []
        for seed in range(10):
            start = time.monotonic()
            running.ask(max_tokens=4, seed=seed)
            waits.append(time.monotonic() - start)
            time.sleep(0.3)
        assert running.health()["running"] == 1, "the large one was over before it was measured"
    print(f"beside 1,024 candidates: {sorted(waits)[5]:.2f} s in the middle, {max(waits):.2f} s at most")
    until(lambda: running.health()["running"] == 0)


def test_at_shutdown_running_replies_are_finished_and_new_requests_refused(tiny: Path) -> None:
    fields = {"max_tokens": 220, "candidates": 64, "weights": {"diversity": 1.0}, "seed": 3}
    with running_server(tiny) as server, ThreadPoolExecutor(1) as pool:
        server.ask(max_tokens=4)
        reply = pool.submit(server.ask, **fields)
        until(lambda: server.health()["running"] == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: get(server, "/health/ready")[0] == 503 or reply.done(), 5)
        if not reply.done():
            status, content = server.post(json.dumps({"messages": HELLO}).encode())
            assert (status, content["error"]["message"]) == (503, "The server is being stopped.")
            assert get(server, "/health/live")[0] == 200
        assert reply.result().choices[0].message.content
        assert server.process.wait(30) is not None
