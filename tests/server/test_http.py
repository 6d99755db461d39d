"""Tests of the server's HTTP behaviour: methods, errors, request identifiers, limits, origins, readiness."""

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
from tests.chat_server import ChatServer, chunk, fixed_answer, line
from tests.server.inline import in_process_server, make_parser

HELLO = {"messages": [{"role": "user", "content": "How are you?"}], "max_tokens": 4}
PAGE = "https://chat.example"


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/v1/models/tiny:plain", "/docs", "/openapi.json"])
def test_head_answers_as_get_without_a_body(client: TestClient, path: str) -> None:
    client.post("/v1/chat/completions", json=HELLO)  # waits until the model is loaded
    get, head = client.get(path), client.head(path)
    assert get.status_code == head.status_code == 200
    assert get.content
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/engines", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405),
     ("GET", "/v1/responses/resp_1", 404), ("GET", "/v1/models/gpt", 404), ("POST", "/get_reward", 415)],
)  # fmt: skip
def test_unknown_paths_and_methods_are_errors_in_openai_s_format(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert response.headers["x-request-id"]


def test_a_request_keeps_its_identifier(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"x-request-id": "mine-7"}).headers["x-request-id"] == "mine-7"
    generated = [client.get("/health").headers["x-request-id"] for _ in range(2)]
    assert generated[0] != generated[1]
    assert all(re.fullmatch("req_[0-9a-f]{32}", identifier) for identifier in generated)
    for invalid in ("two words", "x" * 200, ""):
        assert client.get("/health", headers={"x-request-id": invalid}).headers["x-request-id"].startswith("req_")


def test_an_internal_error_is_reported_in_openai_s_format(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = make_parser(tiny)
    monkeypatch.setattr(parser, "chat", lambda content: 1 / 0)
    with in_process_server(str(tiny), parser, origins=[PAGE]) as (client, _):
        response = client.post("/v1/chat/completions", json=HELLO, headers={"x-request-id": "mine"})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "under mine" in response.json()["error"]["message"]


def test_responses_have_rate_limit_headers(client: TestClient) -> None:
    headers = client.post("/v1/chat/completions", json=HELLO).headers
    capacity = RequestLimits().at_once + RequestLimits().waiting
    assert headers["x-ratelimit-limit-requests"] == str(capacity)
    assert headers["x-ratelimit-remaining-requests"] == str(capacity)
    assert headers["x-ratelimit-reset-requests"] == "0s"
    assert "x-ratelimit-limit-tokens" not in headers  # there is no such limit
    assert "x-ratelimit-limit-requests" not in client.get("/v1/models").headers


def test_only_pages_of_listed_origins_may_send_requests(client: TestClient, tiny: Path) -> None:
    preflight = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"Origin": PAGE}).headers
    assert client.options("/v1/chat/completions", headers=preflight).status_code == 405
    with in_process_server(str(tiny), make_parser(tiny), access=Access("a key"), origins=[PAGE]) as (api, _):
        description = api.get("/openapi.json").json()
        assert [scheme["scheme"] for scheme in description["components"]["securitySchemes"].values()] == ["bearer"]
        protected = {
            path for path, methods in description["paths"].items() if any("security" in m for m in methods.values())
        }
        assert "/v1/chat/completions" in protected
        assert "/health" not in protected
        allowed = api.options("/v1/chat/completions", headers=preflight)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        refused = api.get("/v1/models", headers={"Origin": PAGE})
        assert refused.status_code == 401  # a page needs the key like any other client
        assert refused.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in refused.headers["access-control-expose-headers"]
        assert "access-control-allow-origin" not in api.get("/health", headers={"Origin": "https://evil"}).headers


@pytest.mark.parametrize("origin", ["*", "chat.example", "https://chat.example/", "https://a b", "file:///x"])
def test_an_origin_is_scheme_and_host(origin: str) -> None:
    assert check_origin("http://localhost:3000") == "http://localhost:3000"
    with pytest.raises(InputError, match="SCHEME://HOST"):
        check_origin(origin)


def test_the_reference_page_lists_every_path_and_loads_nothing(client: TestClient) -> None:
    page, description = client.get("/docs").text, client.get("/openapi.json").json()
    for path, methods in description["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}".replace("{", "{") in page
    assert {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/get_reward"} <= set(description["paths"])
    assert "<code>max_completion_tokens</code>" in page
    assert not re.search(r"<script|https?://|url\(|@import", page)


def test_the_description_has_parameters_and_content_types(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {parameter["name"] for parameter in paths["/get_reward"]["post"]["parameters"]} == {"palette", "model"}
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        assert set(paths[path]["post"]["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}


def test_readiness_is_a_status(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_load, open_engine = threading.Event(), factory.open_engine
    monkeypatch.setattr(
        factory, "open_engine", lambda *arguments, **options: (may_load.wait(30), open_engine(*arguments, **options))[1]
    )
    with in_process_server(str(tiny), make_parser(tiny), loaded=False) as (client, service):
        loading = client.get("/ready")
        assert (loading.status_code, loading.json()["state"]) == (503, "loading")
        assert client.get("/health").status_code == 200
        may_load.set()
        assert client.post("/v1/chat/completions", json=HELLO).status_code == 200
        assert client.get("/ready").status_code == 200
        assert service._worker is not None
        service._worker.die("It was killed.")  # type: ignore[attr-defined]
        assert client.get("/ready").status_code == 503  # until it restarts by itself
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
def test_upstream_errors_have_their_status_and_message(
    monkeypatch: pytest.MonkeyPatch, error: PaletteError, status: int, code: str | None, stream: bool
) -> None:
    class FailingEngine:
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

    monkeypatch.setattr(factory, "open_engine", lambda *arguments, **options: FailingEngine())
    with in_process_server("m@http://127.0.0.1:1/v1", make_parser(None), engine="remote") as (client, _):
        response = client.post("/v1/chat/completions", json=HELLO | {"stream": stream})
    assert response.status_code == status
    error_body = response.json()["error"]
    assert str(error) in error_body["message"]
    assert error_body["code"] == code
    assert error_body["type"] == ("server_error" if status > 500 else "invalid_request_error")
    assert ("retry-after" in response.headers) == (status == 503)
    if code:
        assert "maximum context length is 256 tokens" in error_body["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(TryAgainError("It cannot be reached."), 503), (InputError("It may not be called."), 502),
     (MissingModelError("It is not here.", "models get"), 503)],
)  # fmt: skip
def test_a_model_that_cannot_be_loaded_is_a_server_error(
    monkeypatch: pytest.MonkeyPatch, error: PaletteError, status: int
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(factory, "open_engine", fail)
    with in_process_server("m@http://127.0.0.1:1/v1", make_parser(None), engine="remote") as (client, _):
        response = client.post("/v1/chat/completions", json=HELLO)
        assert (response.status_code, response.json()["error"]["message"]) == (status, str(error))
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["note"]) == (503, str(error))


def test_an_upstream_server_counts_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tokenizer is not available here, so the client gets the counts of the upstream usage."""
    usage_chunk = line({"id": "x", "choices": [], "usage": {"prompt_tokens": 17, "completion_tokens": 2}})
    with ChatServer(fixed_answer(chunk("Fine.", "stop"), usage_chunk, line("[DONE]"))) as upstream:
        monkeypatch.setenv("VALUE_PALETTE_MODELS", upstream.model())
        with in_process_server(upstream.model(), make_parser(None), engine="remote") as (client, _):
            response = client.post("/v1/chat/completions", json=HELLO | {"n": 2})
    assert response.status_code == 200, response.text
    usage = response.json()["usage"]
    assert usage["prompt_tokens"] == 17
    assert usage["total_tokens"] == 17 + usage["completion_tokens"]
