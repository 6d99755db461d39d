"""Tests of the remote engine: slow, closed and broken streams, and the errors for every fault."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse

from map_core.core.types import SamplingSettings
from map_core.engines.draw_request import DrawRequest, candidate_seed
from map_core.engines.remote_engine import RemoteEngine
from map_core.errors import EngineError, InputError
from map_core.testing import engine_laws as laws
from tests.chat_server import Answer, ChatServer, chunk, fixed_answer, line

SHORT = SamplingSettings(max_new_tokens=4)


def draw_texts(server: ChatServer, **request: Any) -> list[str]:
    """Return the texts that an engine draws from a server."""
    engine = RemoteEngine(server.model(), retries=0, trusted=True)
    return [reply.text for reply in engine.complete(DrawRequest("Hi", settings=SHORT, **request))]


# Streams: no candidate waits for a slower one, and closing ends all.


class Gate:
    """Block streams until the test opens the gate."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._opened.wait()

    def open(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)


def test_slow_candidate_does_not_delay_the_others() -> None:
    gate = Gate()

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        async def stream() -> AsyncIterator[str]:
            yield chunk("")
            if request["seed"] == candidate_seed(0, 1):
                await gate.wait()
            for text in "abc":
                yield chunk(text)
            yield chunk(None, "stop")

        return stream()

    with ChatServer(answer) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 3, SHORT, 0))
        tokens: list[Any] = []
        while sum(token.last for token in tokens) < 2:
            tokens += next(stream)
        assert {token.candidate for token in tokens} == {0, 2}
        gate.open()
        remaining = [token for step in stream for token in step]
        assert [(token.candidate, token.text) for token in remaining] == [(1, "a"), (1, "b"), (1, "c"), (1, "")]


async def _endless() -> AsyncIterator[str]:
    while True:
        yield chunk("a")
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("count", [1, 5])
def test_closing_ends_every_stream_at_once(count: int) -> None:
    with ChatServer(lambda request: _endless()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 8, laws.UNCUT, 0))
        for _ in range(count):
            next(stream)
        stream.close()
        assert server.wait_until_idle()
        assert len(server.requests) <= 8


def test_closing_ends_requests_without_a_response() -> None:
    """One candidate has begun to stream; the other requests have no response yet and end too."""
    gate = Gate()

    async def silent() -> AsyncIterator[str]:
        await gate.wait()
        yield chunk("a")

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return _endless() if request["seed"] == candidate_seed(0, 0) else silent()

    with ChatServer(answer) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 4, laws.UNCUT, 0))
        next(stream)
        stream.close()
        assert server.wait_until_idle()


def test_stream_that_is_never_read_sends_no_request() -> None:
    with ChatServer(lambda request: _endless()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 4, laws.UNCUT, 0))
        stream.close()
        del stream
        assert server.requests == []


# Errors.


def test_invalid_requests_are_refused_before_any_work() -> None:
    with ChatServer(fixed_answer()) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        with pytest.raises(InputError, match="prompt is empty"):
            engine.sample(DrawRequest("  \n", 2, SHORT, 0))
        with pytest.raises(InputError, match="candidates is 0"):
            engine.sample(DrawRequest("Hi", 0, SHORT, 0))
        with pytest.raises(InputError, match="seed is -1"):
            engine.sample(DrawRequest("Hi", 1, SHORT, -1))
        with pytest.raises(InputError, match="'remote' cannot continue from the beginning"):
            engine.extend(DrawRequest("Hi", settings=SHORT), [[1]], [1])
        assert server.requests == []


def test_unreachable_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe_socket:
        url = f"http://127.0.0.1:{probe_socket.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match=rf"{url} cannot be reached: .* Start it, or check the address"):
        RemoteEngine(f"tiny@{url}", trusted=True)
    with ChatServer(fixed_answer(chunk("a", "stop"))) as server:
        engine = RemoteEngine(server.model(), retries=0, trusted=True)
    with pytest.raises(EngineError, match="cannot be reached"):
        engine.complete(DrawRequest("Hi", 2, SHORT, 0))


def test_server_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(fixed_answer(chunk("a", "stop")), key="right-key") as server:
        with pytest.raises(EngineError, match=r"wants a key and there is none \(401\)\. Set VALUE_PALETTE_API_KEY"):
            RemoteEngine(server.model(), trusted=True)
        monkeypatch.setenv("VALUE_PALETTE_API_KEYS", '{"127.0.0.1": "right-key"}')
        engine = RemoteEngine(server.model(), trusted=True)
        assert engine.complete(DrawRequest("Hi", 1, SHORT, 0))[0].text == "a"
        assert "right-key" not in str(engine.info.as_dict())
        monkeypatch.delenv("VALUE_PALETTE_API_KEYS")
        monkeypatch.setenv("VALUE_PALETTE_API_KEY", "wrong-key")
        with pytest.raises(EngineError, match=r"refuses the key in VALUE_PALETTE_API_KEY \(401\)") as caught:
            RemoteEngine(server.model(), trusted=True)
        assert "wrong-key" not in str(caught.value)
        server.answer = lambda request: JSONResponse({"detail": "No room for right-key"}, 400)
        with pytest.raises(InputError, match=r"No room for \*\*\*"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))


def test_unknown_model_on_a_server() -> None:
    body = {"error": {"message": "The model `other` does not exist.", "code": 404}}
    with ChatServer(lambda request: JSONResponse(body, 404), models=("tiny", "huge")) as server:
        expected = r"no model 'other', .*\(404: The model `other` does not exist\)\. It offers huge, tiny\. Check"
        with pytest.raises(InputError, match=expected):
            RemoteEngine(server.model("other"), trusted=True).complete(DrawRequest("Hi", 1, SHORT, 0))


def test_a_prompt_that_does_not_fit() -> None:
    body = {"error": {"message": "maximum context length is 256 tokens.", "type": "BadRequestError", "code": 400}}
    with (
        ChatServer(lambda request: JSONResponse(body, 400)) as server,
        pytest.raises(InputError, match=r"refuses the request \(400: maximum context length is 256 tokens\)\. Change"),
    ):
        draw_texts(server)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_requests_to_a_busy_server_are_retried(status: int) -> None:
    busy = JSONResponse({"detail": "too much to do"}, status, headers={"retry-after-ms": "1"})
    with ChatServer(lambda request: busy) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        with pytest.raises(EngineError, match=rf"could not answer \({status}: too much to do\), asked up to 3 times"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))
        assert len(server.requests) == 3
        correct = fixed_answer(chunk("a", "stop"))
        server.answer = lambda request: correct(request) if len(server.requests) > 4 else busy
        assert engine.complete(DrawRequest("Hi", 1, SHORT, 0))[0].text == "a"


def test_stream_that_breaks_off() -> None:
    async def broken() -> AsyncIterator[str]:
        yield chunk("a")
        yield chunk("b")
        raise ConnectionError("the server fell over")

    with ChatServer(lambda request: broken()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, SHORT, 0))
        texts: list[str] = []
        with pytest.raises(EngineError, match=r"The stream of the server .* broke off: .* Try again"):
            texts.extend(token.text for step in stream for token in step)
        assert texts == ["a", "b"]
        assert server.wait_until_idle()
    assert len(server.requests) == 1


def test_one_broken_stream_ends_the_others() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return fixed_answer("data: {nonsense\n\n")(request) if request["seed"] == candidate_seed(0, 2) else _endless()  # type: ignore[return-value]

    with ChatServer(answer) as server:
        with pytest.raises(EngineError, match="does not read as a chat completion"):
            RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 4, laws.UNCUT, 0))
        assert server.wait_until_idle()


HTML_PAGE = HTMLResponse("<html>Welcome to the router</html>")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (fixed_answer(chunk("a"), line("[DONE]")), r"with 0 of 1 replies whole\. Try again"),
        (
            fixed_answer(chunk("a"), line({"error": {"message": "out of memory"}})),
            r"broke off: out of memory\. Try again",
        ),
        (fixed_answer(chunk("a"), line({"error": "out of memory"})), r"broke off: out of memory\. Try again"),
        (fixed_answer(line({"choices": [{"index": 0}]})), "does not read as a chat completion"),
        (fixed_answer(line({"hello": 1})), "does not read as a chat completion"),
        (fixed_answer(line([1])), "does not read as a chat completion"),
        (fixed_answer(line("not json")), "does not read as a chat completion"),
        (fixed_answer(chunk("a", index=3)), "does not read as a chat completion"),
        (fixed_answer(chunk("a", "tool_calls")), "for the reason 'tool_calls'; expected stop or length"),
        (fixed_answer(), "answered without a reply"),
        (lambda request: HTML_PAGE, "answered without a reply"),
        (lambda request: JSONResponse({"choices": []}), "answered without a reply"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_invalid_responses(answer: Answer, expected: str) -> None:
    with ChatServer(answer) as server, pytest.raises(EngineError, match=expected):
        draw_texts(server)


def test_server_that_ignores_n() -> None:
    with ChatServer(fixed_answer(chunk("a"), chunk(None, "stop"))) as server:
        engine = RemoteEngine(server.model(), together=True, trusted=True)
        with pytest.raises(EngineError, match=r"1 of 3 replies whole; it does not draw several in one request"):
            engine.complete(DrawRequest("Hi", 3, SHORT, 0))


def test_silent_server_times_out() -> None:
    async def silent() -> AsyncIterator[str]:
        yield chunk("a")
        await asyncio.sleep(30)

    with ChatServer(lambda request: silent()) as server:
        engine = RemoteEngine(server.model(), retries=0, timeout=0.3, trusted=True)
        with pytest.raises(EngineError, match="did not answer in time"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))


def test_a_server_that_lists_no_models() -> None:
    """transformers serve cannot list models without a hub cache; other servers lack the endpoint."""
    with ChatServer(fixed_answer(chunk("a", "stop"))) as server:
        for page in (HTML_PAGE, JSONResponse({"detail": "no"}, 404), JSONResponse({}, 500), JSONResponse([1])):
            server._refused = lambda request, page=page: page if request.method == "GET" else None  # type: ignore[method-assign]
            assert draw_texts(server) == ["a"]
