"""Tests of ``python -m map_core serve`` with a key and small limits, and of what keeps it from starting."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from map_core.cli import main
from tests.server.server_process import HELLO, KEY, ServerProcess, running_server
from tests.waiting import until


@pytest.fixture(scope="module")
def strict(tiny: Path) -> Iterator[ServerProcess]:
    """Run a server with a key and small limits."""
    limits = "--most-waiting 1 --at-once 1 --most-bytes 2000 --most-messages 3 --most-characters 500 --most-tokens 220"
    limits += " --drain-seconds 1"
    with running_server(tiny, *limits.split(), VALUE_PALETTE_SERVER_KEY=KEY) as running:
        yield running


def test_a_key_is_required(strict: ServerProcess) -> None:
    for wrong_key in ("none", KEY[:-1], KEY + "x", "ключ".encode().decode("latin-1")):
        status, content = strict.post(b"{}", Authorization=f"Bearer {wrong_key}")
        assert (status, content["error"]["code"]) == (401, "invalid_api_key")
        assert wrong_key not in content["error"]["message"]
    assert strict.post(b"{}")[0] == 401
    with strict.client("wrong") as client, pytest.raises(openai.AuthenticationError, match="API key"):
        client.models.list()
    with strict.client(KEY) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        with pytest.raises(openai.BadRequestError, match="the server has none"):
            client.chat.completions.create(model="tiny", messages=HELLO, extra_body={"palette": "plain"})
        with pytest.raises(openai.APIStatusError, match="more than 2,000 bytes"):
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x" * 3000}])
        with pytest.raises(openai.BadRequestError, match="expected at most 500"):
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x" * 501}])
        with pytest.raises(openai.BadRequestError, match="expected at most 3"):
            client.chat.completions.create(model="tiny", messages=HELLO * 4)
        completion = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=100_000)
        assert completion.usage is not None
        assert completion.usage.completion_tokens <= 220
        assert "replies end at 220 tokens" in " ".join(completion.model_extra["value_palette"]["notes"])


def test_excess_requests_are_refused_with_a_time_to_retry(strict: ServerProcess) -> None:
    heavy = {"messages": HELLO, "max_tokens": 220, "candidates": 200, "weights": {"diversity": 1}, "stream": True}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    connections = [http.client.HTTPConnection("127.0.0.1", strict.port, timeout=120) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for connection in connections:
            stack.enter_context(contextlib.closing(connection))
        responses = []
        for connection in connections:
            connection.request("POST", "/v1/chat/completions", json.dumps(heavy), headers)
            responses.append(connection.getresponse())
        assert [response.status for response in responses] == [200, 200, 429]
        error = json.loads(responses[2].read())["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "waiting already" in error["message"]
        assert 1 <= int(responses[2].getheader("retry-after", "")) <= 60
    until(lambda: strict.health()["waiting"] == 0)


def test_waiting_requests_get_an_error_when_the_server_stops(strict: ServerProcess) -> None:
    until(lambda: strict.health()["running"] == 0)
    heavy = {"messages": HELLO, "max_tokens": 220, "candidates": 900, "weights": {"diversity": 1}}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", strict.port, timeout=60)) as streaming:
        streaming.request("POST", "/v1/chat/completions", json.dumps(heavy | {"stream": True}), headers)
        stream = streaming.getresponse()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(strict.post, json.dumps(heavy).encode(), **headers)
            until(lambda: strict.health()["waiting"] == 1)
            strict.process.send_signal(signal.SIGTERM)
            status, content = waiting.result()
        assert (status, content["error"]["message"]) == (503, "The server is being stopped.")
        assert b'"message": "The server is being stopped."' in stream.read()
    assert strict.process.wait(10) is not None


def test_invalid_options_keep_the_server_from_starting(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    duplicates = tmp_path / "twice.jsonl"
    duplicates.write_text('{"name": "a", "targets": {"humor": "p50"}}\n' * 2)
    unknown = tmp_path / "unknown.jsonl"
    unknown.write_text('{"targets": {"wit": "p50"}}\n')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        for options, code, message in (
            (["--port", port], 1, "cannot be listened on"),
            (["--palettes", str(duplicates)], 1, "two palettes 'a'"),
            (["--palettes", str(unknown)], 2, "wit"),
            (["--model", "/no/such/folder"], 1, "no folder"),
            (["--candidates", "9", "--most-candidates", "8"], 2, "at most the 8"),
            (["no-table.parquet"], 1, "no-table.parquet"),
            (["--promises", str(tmp_path / "none" / "p.json")], 1, "There is no folder"),
        ):
            assert main(["serve", "--model", str(tiny), *options]) == code
            streams = capsys.readouterr()
            assert message in streams.err
            assert "Traceback" not in streams.err
