"""The server's addresses as HTTP has them: methods, errors, identifiers, limits, origins, readiness."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from map_core.engines import factory
from map_core.errors import EngineError, InputError, MissingModelError, PaletteError, TryAgainError
from map_core.server.access import Access, check_origin
from map_core.server.errors import RequestLimits
from tests.chat_server import ChatServer, line, piece, saying
from tests.server.inline import asking, parser_of

HELLO = {"messages": [{"role": "user", "content": "How are you?"}], "max_tokens": 4}
PAGE = "https://chat.example"


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/v1/models/tiny:plain", "/docs", "/openapi.json"])
def test_head_answers_as_get_without_a_body(client: TestClient, path: str) -> None:
    client.post("/v1/chat/completions", json=HELLO)  # the model is loaded then
    get, head = client.get(path), client.head(path)
    assert get.status_code == head.status_code == 200
    assert get.content
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/engines", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405),
     ("GET", "/v1/responses/resp_1", 404), ("GET", "/v1/models/gpt", 404), ("POST", "/get_reward", 415)],
)  # fmt: skip
def test_what_is_not_served_is_an_error_of_openai_s_form(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert answer.headers["x-request-id"]


def test_a_request_keeps_its_identifier(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"x-request-id": "mine-7"}).headers["x-request-id"] == "mine-7"
    own = [client.get("/health").headers["x-request-id"] for _ in range(2)]
    assert own[0] != own[1]
    assert all(re.fullmatch("req_[0-9a-f]{32}", name) for name in own)
    for odd in ("two words", "x" * 200, ""):
        assert client.get("/health", headers={"x-request-id": odd}).headers["x-request-id"].startswith("req_")


def test_a_fault_of_ours_is_told_in_openai_s_form(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parser_of(tiny)
    monkeypatch.setattr(parser, "chat", lambda content: 1 / 0)
    with asking(str(tiny), parser, origins=[PAGE]) as (client, _):
        answer = client.post("/v1/chat/completions", json=HELLO, headers={"x-request-id": "mine"})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "under mine" in answer.json()["error"]["message"]


def test_rate_limits_are_told_with_replies(client: TestClient) -> None:
    headers = client.post("/v1/chat/completions", json=HELLO).headers
    most = RequestLimits().at_once + RequestLimits().waiting
    assert headers["x-ratelimit-limit-requests"] == str(most)
    assert headers["x-ratelimit-remaining-requests"] == str(most)
    assert headers["x-ratelimit-reset-requests"] == "0s"
    assert "x-ratelimit-limit-tokens" not in headers  # there is no such limit
    assert "x-ratelimit-limit-requests" not in client.get("/v1/models").headers


def test_pages_of_listed_origins_alone_may_ask(client: TestClient, tiny: Path) -> None:
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"Origin": PAGE}).headers
    assert client.options("/v1/chat/completions", headers=asks).status_code == 405
    with asking(str(tiny), parser_of(tiny), access=Access("a key"), origins=[PAGE]) as (open_to, _):
        described = open_to.get("/openapi.json").json()
        assert [scheme["scheme"] for scheme in described["components"]["securitySchemes"].values()] == ["bearer"]
        closed = {
            path for path, methods in described["paths"].items() if any("security" in m for m in methods.values())
        }
        assert "/v1/chat/completions" in closed
        assert "/health" not in closed
        allowed = open_to.options("/v1/chat/completions", headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        refused = open_to.get("/v1/models", headers={"Origin": PAGE})
        assert refused.status_code == 401  # a page shows the key as everybody does
        assert refused.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in refused.headers["access-control-expose-headers"]
        assert "access-control-allow-origin" not in open_to.get("/health", headers={"Origin": "https://evil"}).headers


@pytest.mark.parametrize("origin", ["*", "chat.example", "https://chat.example/", "https://a b", "file:///x"])
def test_an_origin_is_scheme_and_host(origin: str) -> None:
    assert check_origin("http://localhost:3000") == "http://localhost:3000"
    with pytest.raises(InputError, match="SCHEME://HOST"):
        check_origin(origin)


def test_the_reference_page_lists_every_address_and_loads_nothing(client: TestClient) -> None:
    page, described = client.get("/docs").text, client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}".replace("{", "{") in page
    assert {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/get_reward"} <= set(described["paths"])
    assert "<code>max_completion_tokens</code>" in page
    assert not re.search(r"<script|https?://|url\(|@import", page)


def test_the_description_has_what_the_addresses_take_and_give(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {given["name"] for given in paths["/get_reward"]["post"]["parameters"]} == {"palette", "model"}
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        assert set(paths[path]["post"]["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}


def test_readiness_is_a_status(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, opened = threading.Event(), factory.open_engine
    monkeypatch.setattr(factory, "open_engine", lambda *given, **options: (go.wait(30), opened(*given, **options))[1])
    with asking(str(tiny), parser_of(tiny), loaded=False) as (client, service):
        loading = client.get("/ready")
        assert (loading.status_code, loading.json()["state"]) == (503, "loading")
        assert client.get("/health").status_code == 200
        go.set()
        assert client.post("/v1/chat/completions", json=HELLO).status_code == 200
        assert client.get("/ready").status_code == 200
        assert service._worker is not None
        service._worker.die("It was killed.")  # type: ignore[attr-defined]
        assert client.get("/ready").status_code == 503  # and it comes back by itself
        assert client.post("/v1/chat/completions", json=HELLO).status_code == 200
        assert client.get("/ready").status_code == 200


TOO_LONG = (
    "The server http://x/v1 refuses the request (400: the request exceeds the available context size (256 tokens))."
)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TryAgainError("The server http://x/v1 cannot be reached. Start it."), 503, None),
        (EngineError("The server http://x/v1 refuses the key."), 502, None),
        (InputError("The server http://x/v1 refuses the request (400: no such setting)."), 400, None),
        (InputError(TOO_LONG), 400, "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_upstream_server_fails_at_has_its_status_and_words(
    monkeypatch: pytest.MonkeyPatch, error: PaletteError, status: int, code: str | None, stream: bool
) -> None:
    class Failing:
        at_once = None
        extends = False

        class info:
            name = "remote"

            @staticmethod
            def as_dict() -> dict[str, str]:
                return {"name": "remote", "model": "m", "device": "remote", "dtype": "unknown"}

        def check(self, request: Any) -> None:
            pass

        def complete(self, request: Any) -> Any:
            raise error

        def sample(self, request: Any) -> Any:
            raise error

    monkeypatch.setattr(factory, "open_engine", lambda *given, **options: Failing())
    with asking("m@http://127.0.0.1:1/v1", parser_of(None), engine="remote") as (client, _):
        answer = client.post("/v1/chat/completions", json=HELLO | {"stream": stream})
    assert answer.status_code == status
    error_body = answer.json()["error"]
    assert str(error) in error_body["message"]
    assert error_body["code"] == code
    assert error_body["type"] == ("server_error" if status > 500 else "invalid_request_error")
    assert ("retry-after" in answer.headers) == (status == 503)
    if code:
        assert "maximum context length is 256 tokens" in error_body["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(TryAgainError("It cannot be reached."), 503), (InputError("It may not be called."), 502),
     (MissingModelError("It is not here.", "models get"), 503)],
)  # fmt: skip
def test_a_model_that_cannot_be_loaded_is_nobody_s_bad_request(
    monkeypatch: pytest.MonkeyPatch, error: PaletteError, status: int
) -> None:
    def fails(*given: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(factory, "open_engine", fails)
    with asking("m@http://127.0.0.1:1/v1", parser_of(None), engine="remote") as (client, _):
        answer = client.post("/v1/chat/completions", json=HELLO)
        assert (answer.status_code, answer.json()["error"]["message"]) == (status, str(error))
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["note"]) == (503, str(error))


def test_an_upstream_server_counts_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here has its tokenizer; what it says in its usage is what the client is told."""
    counted = line({"id": "x", "choices": [], "usage": {"prompt_tokens": 17, "completion_tokens": 2}})
    with ChatServer(saying(piece("Fine.", "stop"), counted, line("[DONE]"))) as upstream:
        monkeypatch.setenv("VALUE_PALETTE_MODELS", upstream.model())
        with asking(upstream.model(), parser_of(None), engine="remote") as (client, _):
            answer = client.post("/v1/chat/completions", json=HELLO | {"n": 2})
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    assert usage["prompt_tokens"] == 17
    assert usage["total_tokens"] == 17 + usage["completion_tokens"]
