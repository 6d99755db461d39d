"""What an operator relies on: keys and budgets, half requests, measurements, an orderly end, a request that kills."""

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
from tests.server.inline import asking, parser_of
from tests.server.server_process import HELLO, Running, serving
from tests.server_thread import ServerThread
from tests.waiting import until

ANN, BOB = ServerKey("ann", "key-of-ann-0123456789", 40), ServerKey("bob", "key-of-bob-0123456789")
CHAT = {"messages": HELLO, "max_tokens": 8, "candidates": 4, "weights": {"diversity": 1.0}}


def bearer(key: ServerKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.key}"}


@pytest.fixture(scope="module")
def running(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tiny) as server:
        yield server


def test_keys_have_names_and_budgets(tiny: Path) -> None:
    with asking(str(tiny), parser_of(tiny), access=Access(keys=(ANN, BOB))) as (api, _):
        assert api.post("/v1/chat/completions", json=CHAT).status_code == 401
        answers = [api.post("/v1/chat/completions", json=CHAT | {"seed": n}, headers=bearer(ANN)) for n in range(8)]
        spent = [answer.status_code for answer in answers].index(429)
        assert {answer.status_code for answer in answers[spent:]} == {429}
        error = answers[spent].json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "The key of 'ann' has drawn" in error["message"]
        assert "of 40 a day" in error["message"]
        assert 1 <= int(answers[spent].headers["retry-after"]) <= 86_400
        assert api.post("/v1/chat/completions", json=CHAT, headers=bearer(BOB)).status_code == 200
        measured = api.get("/metrics", headers=bearer(BOB))
        assert measured.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(measured.text)}
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
        assert requests["/v1/chat/completions", "429"] == 8 - spent
        assert families["value_palette_model_state"].samples
        assert ANN.key not in measured.text
        assert api.get("/metrics").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    ring = KeyRing([ANN, BOB])
    assert ring.owner(scheme + BOB.key) == "bob"
    for wrong in (BOB.key, f"Basic {BOB.key}", scheme.strip() + BOB.key, f"{scheme}{BOB.key} ", scheme, ""):
        assert ring.owner(wrong) is None


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
    ("line", "says"),
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
def test_a_file_of_keys_is_checked_and_no_key_repeated(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=says) as refused:
        read_keys(path)
    assert "0123456789abcde" not in str(refused.value)


def test_turns_go_by_key_and_not_by_what_a_client_writes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with asking(str(tiny), parser_of(tiny), access=Access(keys=(BOB,))) as (api, service):
        submit = service.submit
        monkeypatch.setattr(
            service, "submit", lambda request, viewer: (seen.append(viewer), submit(request, viewer))[1]
        )
        for user in ("x", "y"):
            assert api.post("/v1/chat/completions", json=CHAT | {"user": user}, headers=bearer(BOB)).status_code == 200
    assert seen == ["bob", "bob"]


def test_health_has_its_usual_addresses(running: Running) -> None:
    for path in ("/health", "/health/live"):
        status, answer = get(running, path)
        assert (status, answer["state"]) in [(200, "loading"), (200, "ready"), (200, "stopped")]
    until(lambda: get(running, "/health/ready")[0] == 200)


def get(server: Running, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_three_hundred_half_requests_keep_nobody_out(running: Running) -> None:
    half = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    with contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=30)) for _ in range(300)
        ]
        for line in lines:
            line.sendall(half)
        began = time.monotonic()
        assert get(running, "/health")[0] == 200
        assert running.ask(max_tokens=4).choices[0].message.content is not None
        assert time.monotonic() - began < 5
        for line in lines:  # a byte now and then does not help
            with contextlib.suppress(OSError):
                line.sendall(b"X")
        for line in lines:
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(100) == b""
        assert time.monotonic() - began < 25
    until(lambda: len(psutil.Process(running.process.pid).net_connections()) < 20, 10)


def test_few_descriptors_go_to_whole_requests(tiny: Path) -> None:
    assert 16 <= most_connections() <= 2000
    assert http_protocol() is not http_protocol(), "one for each server"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # inherited by the server
    try:
        with serving(tiny) as server:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.ExitStack() as stack:
                for _ in range(300):
                    line = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
                    with contextlib.suppress(OSError):
                        line.sendall(b"GET /health HTTP/1.1\r\n")
                assert get(server, "/health")[0] == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_does_not_read_an_answer_keeps_its_connection_for_a_moment_only() -> None:
    """A closed connection with something unsent would else stay open for as long as the other side is there."""
    answer = b"x" * 8_000_000

    async def app(request: Request) -> Response:
        return Response(answer)

    routes = Starlette(routes=[Route("/", app)])
    with ServerThread(routes, http=http_protocol(reading_seconds=0.5), timeout_keep_alive=1) as server:
        place = ("127.0.0.1", int(server.origin.rpartition(":")[2]))
        for connection in ("keep-alive", "close"):
            with socket.socket() as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                line.connect(place)
                line.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
                until(lambda: server.connections == 1, 10)
                until(lambda: not server.connections, 10)  # the client has read nothing, and is still there
        slow = http.client.HTTPConnection(*place, timeout=20)
        slow.request("GET", "/")
        assert slow.getresponse().read() == answer, "whoever reads gets all of it"
        slow.close()


def test_a_short_request_is_answered_beside_the_largest(running: Running) -> None:
    heavy = {"messages": HELLO, "max_tokens": 220, "candidates": 1024, "weights": {"diversity": 1}, "stream": True}
    body = json.dumps(heavy).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    running.ask(max_tokens=4)
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        until(lambda: running.health()["running"] == 1)
        waits = []
        for seed in range(10):
            began = time.monotonic()
            running.ask(max_tokens=4, seed=seed)
            waits.append(time.monotonic() - began)
            time.sleep(0.3)
        assert running.health()["running"] == 1, "the large one was over before it was measured"
    print(f"beside 1,024 candidates: {sorted(waits)[5]:.2f} s in the middle, {max(waits):.2f} s at most")
    assert max(waits) < 5
    until(lambda: running.health()["running"] == 0)


def test_running_replies_are_finished_and_new_work_is_refused_at_the_end(tiny: Path) -> None:
    fields = {"max_tokens": 220, "candidates": 64, "weights": {"diversity": 1.0}, "seed": 3}
    with serving(tiny) as server, ThreadPoolExecutor(1) as pool:
        server.ask(max_tokens=4)
        written = pool.submit(server.ask, **fields)
        until(lambda: server.health()["running"] == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: get(server, "/health/ready")[0] == 503 or written.done(), 5)
        if not written.done():
            status, answer = server.post(json.dumps({"messages": HELLO}).encode())
            assert (status, answer["error"]["message"]) == (503, "The server is being stopped.")
            assert get(server, "/health/live")[0] == 200
        assert written.result().choices[0].message.content
        assert server.process.wait(30) is not None
