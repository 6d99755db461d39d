"""The engine on servers: its laws against ``transformers serve`` and against a seeded server, and every fault in words.

``transformers serve`` is a server of somebody else with a real model. It has one random stream for all its requests, so
the laws about seeds hold there for one request at a time; it answers one request after the other, ignores n, tells no
log-probabilities and refuses top_k. Those laws are held against a server of ours that has a real model and a random
stream a request behind it.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from map_core import scoring
from map_core.building import build
from map_core.core.types import SamplingSettings, Turn
from map_core.data.prompts import Prompt
from map_core.engines.base import LocalEngine
from map_core.engines.draw_request import DrawRequest, candidate_seed
from map_core.engines.factory import open_engine
from map_core.engines.remote_engine import RemoteEngine
from map_core.engines.tokens import UNKNOWN_TOKEN, reply_of
from map_core.errors import EngineError, InputError
from map_core.models.endpoint import KEY_VARIABLES, Address, address_of
from map_core.scoring.base import ScorerError
from map_core.testing import engine_laws as laws
from tests.chat_server import Answer, ChatServer, from_model, line, piece, saying
from tests.tiny_model import make_tiny_model

SHORT = SamplingSettings(max_new_tokens=4)


@pytest.fixture(autouse=True)
def no_key_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    # transformers serve draws as this file says, where a request does not.
    settings = {"do_sample": True, "top_k": 0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def local(folder: Path, one_torch_thread: None) -> LocalEngine:
    engine = open_engine(str(folder), "torch", "float32")
    assert isinstance(engine, LocalEngine)
    return engine


def asked(server: ChatServer, **request: Any) -> list[str]:
    """The texts that an engine draws from this server."""
    engine = RemoteEngine(server.model(), retries=0, trusted=True)
    return [reply.text for reply in engine.complete(DrawRequest("Hi", settings=SHORT, **request))]


# How a model on a server is named.


def test_an_address_is_read() -> None:
    assert address_of("tiny@http://127.0.0.1:8000/v1/") == Address("tiny", "http://127.0.0.1:8000/v1")
    assert address_of("owner/tiny@main@https://host/a/v1") == Address("owner/tiny@main", "https://host/a/v1")
    for name in ("smollm2-135m-instruct", "owner/tiny", "./tiny@home"):
        assert address_of(name) is None


@pytest.mark.parametrize("url", ["http://", "http://host:eight/v1", "http://ho st/v1", "http://[::1/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"'tiny' names no model on a server; expected NAME@http://HOST:PORT/v1"):
        address_of(f"tiny@{url}")


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "https://host/v1?key=secret", "http://host/v1#secret"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match="Put the key into VALUE_PALETTE_API_KEY") as refused:
        open_engine(f"tiny@{url}", trusted=True)
    assert "secret" not in str(refused.value)


def test_a_model_on_a_server_opens_by_its_name_alone() -> None:
    with ChatServer(saying(piece("Hello", "stop"))) as server:
        for name in ("auto", "remote"):
            engine = open_engine(server.model(), name, trusted=True)
            assert engine.info.as_dict() == {
                "name": "remote",
                "model": server.model(),
                "model_hash": "unknown",
                "dtype": "unknown",
                "device": "remote",
                "preamble": "",
            }
            assert not engine.extends
        with pytest.raises(InputError, match="is on a server and the engine is 'torch'"):
            open_engine(server.model(), "torch", trusted=True)
        with pytest.raises(InputError, match="a server decides on its own"):
            open_engine(server.model(), dtype="float32", trusted=True)
    with pytest.raises(InputError, match="'smollm2' names no model on a server"):
        open_engine("smollm2", "remote")


def test_openai_is_not_loaded_before_an_engine_is_opened() -> None:
    code = "import sys, map_core.engines.remote_engine\nprint({'openai', 'httpx2'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


# One request by hand: what is sent, what comes back.


def test_what_is_asked() -> None:
    with ChatServer(saying(piece("Hello"), piece(None, "stop"))) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        settings = SamplingSettings(temperature=0.7, top_k=9, top_p=0.9, max_new_tokens=5)
        history = (Turn("I am Ada.", "Hello Ada."),)
        for _ in engine.sample(DrawRequest("Hi", 2, settings, 3, first=4, system="Be kind.", history=history)):
            pass
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Hi"},
    ]
    drawing = {"temperature": 0.7, "top_p": 0.9, "top_k": 9, "max_tokens": 5, "logprobs": True}
    drawing |= {"min_p": 0.0, "repetition_penalty": 1.0, "stream_options": {"include_usage": True}}
    same = {"model": "tiny", "stream": True, "messages": messages} | drawing
    seeds = [candidate_seed(3, 4), candidate_seed(3, 5)]
    assert sorted(server.requests, key=lambda r: r["seed"]) == [same | {"seed": seed} for seed in sorted(seeds)]


@pytest.mark.parametrize(
    ("owner", "temperature", "expected"),
    [
        ("somebody", 0.7, {"logprobs": True, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("llamacpp", 0.7, {"logprobs": True, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("vllm", 0.7, {"logprobs": True, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("sglang", 1.0, {"logprobs": True, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("sglang", 0.7, {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
    ],
)
def test_servers_are_told_not_to_cut(owner: str, temperature: float, expected: dict[str, Any]) -> None:
    with ChatServer(saying(piece("Hello", "stop")), owner) as server:
        name = "any" if owner == "llamacpp" else "tiny"
        RemoteEngine(server.model(name), trusted=True).complete(DrawRequest("Hi", 1, SamplingSettings(temperature), 0))
    always = {"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stream_options", "seed"}
    assert {name: server.requests[0][name] for name in server.requests[0].keys() - always} == expected


def test_without_log_probabilities_a_piece_of_text_is_a_token() -> None:
    lines = (piece(""), piece("Hel"), piece("lo"), piece(None, "stop"), line("[DONE]"))
    with ChatServer(saying(*lines)) as server:
        tokens = [
            token
            for step in RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, SHORT, 0))
            for token in step
        ]
    assert [token.text for token in tokens] == ["Hel", "lo", ""]
    assert [token.last for token in tokens] == [token.finished for token in tokens] == [False, False, True]
    assert all(t.token == UNKNOWN_TOKEN and math.isnan(t.log_prob) for t in tokens)
    reply = reply_of(tokens)
    assert (reply.text, reply.tokens, reply.log_probs, reply.finished) == ("Hello", (), (), True)


@pytest.mark.parametrize(
    ("lines", "text", "log_probs", "finished"),
    [
        # vLLM: the end with the last token, which is told too; two tokens in one piece.
        (
            [piece("ab", None, [("a", -1.0), ("b", -2.0)]), piece("", "stop", [("</s>", -4.0)])],
            "ab",
            (-1.0, -2.0),
            True,
        ),
        ([piece("a.", "stop", [("a", -1.0), (".", -2.0), ("</s>", -4.0)])], "a.", (-1.0, -2.0), True),
        # llama.cpp: the end by itself.
        ([piece("a", None, [("a", -1.0)]), piece(None, "stop")], "a", (-1.0,), True),
        ([piece("a", "stop", [("a", -1.0)])], "a", (-1.0,), True),
        # Cut at four tokens, said with the last of them, after it, and not at all.
        ([piece("aa", None, [("a", -1.0)] * 2)] * 2 + [piece(None, "length")], "aaaa", (-1.0,) * 4, False),
        ([piece("a", None, [("a", -1.0)])] * 3 + [piece("a", "length", [("a", -1.0)])], "aaaa", (-1.0,) * 4, False),
        ([piece("a", None, [("a", -1.0)])] * 9, "aaaa", (-1.0,) * 4, False),
        # Half a character has no text yet.
        ([piece("", None, [("\ufffd", -1.0)]), piece("é", "length", [("\ufffd", -2.0)])], "é", (-1.0, -2.0), False),
        # A server that cuts text by UTF-16: an emoji in two pieces, and half of one at the end.
        (
            [piece("a\ud83d", None, [("a", -1.0)]), piece("\ude00", "length", [("x", -2.0)])],
            "a\U0001f600",
            (-1.0, -2.0),
            False,
        ),
        ([piece("\ud83d"), piece("\ude00b\ud83d"), piece(None, "stop")], "\U0001f600b\ufffd", (), True),
        # Cut without a word on tokens, in the last piece or after it; nothing said at all.
        ([piece("a"), piece("b", "length")], "ab", (), False),
        ([piece("a"), piece(None, "length")], "a", (), False),
        ([piece(None, "stop")], "", (), True),
    ],
)
def test_what_comes_back(lines: list[str], text: str, log_probs: tuple[float, ...], finished: bool) -> None:
    with ChatServer(saying(*lines)) as server:
        steps = list(RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, SHORT, 0)))
    tokens = [token for step in steps for token in step]
    assert all(len(step) == 1 for step in steps)
    assert [t.last for t in tokens] == [False] * (len(tokens) - 1) + [True]
    reply = reply_of(tokens)
    assert (reply.text, reply.log_probs, reply.finished) == (text, log_probs, finished)


def test_a_server_that_refuses_to_tell_log_probabilities_is_asked_without() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        if "logprobs" in request:
            return JSONResponse({"error": {"message": "You are not allowed to request logprobs."}}, 403)
        return saying(piece("Hello", "stop"))(request)

    with ChatServer(answer) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        assert [engine.complete(DrawRequest("Hi", 1, SHORT, seed))[0].log_probs for seed in range(3)] == [()] * 3
        assert ["logprobs" in request for request in server.requests] == [True, False, False, False]


def test_values_that_need_log_probabilities_say_so() -> None:
    with ChatServer(saying(piece("Hello", "stop"))) as server:
        replies = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 1, SHORT, 0))
    with pytest.raises(
        ScorerError, match=r"candidate 0 has none\. Leave this value out, .* on a server that tells them"
    ):
        scoring.scorers(["familiarity"])[0].score("Hi", replies)


def test_a_table_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where its replies came from and nothing of the key; what the server does not tell is unknown, not 0."""
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", "right-key")
    out = tmp_path / "table.parquet"
    with ChatServer(saying(piece("Hello"), piece(None, "stop")), key="right-key") as server:
        engine = open_engine(server.model(), trusted=True)
        prompts = [Prompt("hi", "Greetings", "Hi")]
        scorers = scoring.scorers(["diversity"])
        table = build(prompts, out, engine, scorers, candidates=3, settings=SHORT, seed=1).load()
    assert table.replies == ("Hello",) * 3
    assert np.isnan(table.log_probs).all()
    assert table.metadata["model"] == {"name": server.model(), "sha256": "unknown"}
    assert b"right-key" not in out.read_bytes()


# The laws, against a server with a real model and a random stream a request.


@pytest.fixture(scope="module", params=[False, True], ids=["as vLLM", "as llama.cpp"])
def seeded(request: pytest.FixtureRequest, local: LocalEngine) -> Iterator[ChatServer]:
    with ChatServer(from_model(local, apart=request.param)) as server:
        yield server


@pytest.fixture
def engine(seeded: ChatServer) -> RemoteEngine:
    return RemoteEngine(seeded.model(), trusted=True)


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_law(engine: RemoteEngine, law: Callable[[RemoteEngine], None]) -> None:
    law(engine)


def test_the_same_call_gives_the_same_tokens(engine: RemoteEngine) -> None:
    laws.the_same_call_gives_the_same_tokens(engine, candidates=3)


def test_a_served_model_says_what_it_says_here(seeded: ChatServer, engine: RemoteEngine, local: LocalEngine) -> None:
    for settings in (laws.UNCUT, laws.CUT):
        here = local.complete(DrawRequest(laws.PROMPT, 6, settings, 5, history=laws.HISTORY, system="Be kind."))
        there = engine.complete(DrawRequest(laws.PROMPT, 6, settings, 5, history=laws.HISTORY, system="Be kind."))
        for reply, other in zip(here, there, strict=True):
            assert (reply.text, reply.finished) == (other.text, other.finished)
            assert other.log_probs == pytest.approx(reply.log_probs, abs=1e-4)
            assert other.tokens == ()
    assert seeded.emptied()


def test_all_candidates_in_one_request(seeded: ChatServer) -> None:
    engine = RemoteEngine(seeded.model(), together=True, trusted=True)
    seeded.requests.clear()
    laws.streams_are_whole_and_in_order(engine)
    assert [request["n"] for request in seeded.requests] == [5]
    laws.candidates_and_seeds_differ(engine)


# Streams: nobody waits for the slowest, and closing ends all.


class Gate:
    """Holds streams up until the test lets them go."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def passed(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._opened.wait()

    def open(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)


def test_a_slow_candidate_does_not_hold_the_others_up() -> None:
    gate = Gate()

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        async def stream() -> AsyncIterator[str]:
            yield piece("")
            if request["seed"] == candidate_seed(0, 1):
                await gate.passed()
            for text in "abc":
                yield piece(text)
            yield piece(None, "stop")

        return stream()

    with ChatServer(answer) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 3, SHORT, 0))
        tokens: list[Any] = []
        while sum(token.last for token in tokens) < 2:
            tokens += next(stream)
        assert {token.candidate for token in tokens} == {0, 2}
        gate.open()
        rest = [token for step in stream for token in step]
        assert [(token.candidate, token.text) for token in rest] == [(1, "a"), (1, "b"), (1, "c"), (1, "")]


async def _endless() -> AsyncIterator[str]:
    while True:
        yield piece("a")
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("count", [1, 5])
def test_closing_ends_every_stream_at_once(count: int) -> None:
    with ChatServer(lambda request: _endless()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 8, laws.UNCUT, 0))
        for _ in range(count):
            next(stream)
        stream.close()
        assert server.emptied()
        assert len(server.requests) <= 8


def test_closing_while_no_stream_has_begun() -> None:
    """One candidate speaks, the others' requests are still unanswered: they end too."""
    gate = Gate()

    async def silent() -> AsyncIterator[str]:
        await gate.passed()
        yield piece("a")

    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return _endless() if request["seed"] == candidate_seed(0, 0) else silent()

    with ChatServer(answer) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 4, laws.UNCUT, 0))
        next(stream)
        stream.close()
        assert server.emptied()


def test_a_call_that_is_never_read_asks_nothing() -> None:
    with ChatServer(lambda request: _endless()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 4, laws.UNCUT, 0))
        stream.close()
        del stream
        assert server.requests == []


# Faults, in words.


def test_bad_requests_are_refused_before_any_work() -> None:
    with ChatServer(saying()) as server:
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


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match=rf"{url} cannot be reached: .* Start it, or check the address"):
        RemoteEngine(f"tiny@{url}", trusted=True)
    with ChatServer(saying(piece("a", "stop"))) as server:
        engine = RemoteEngine(server.model(), retries=0, trusted=True)
    with pytest.raises(EngineError, match="cannot be reached"):
        engine.complete(DrawRequest("Hi", 2, SHORT, 0))


def test_a_server_that_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(saying(piece("a", "stop")), key="right-key") as server:
        with pytest.raises(EngineError, match=r"wants a key and there is none \(401\)\. Set VALUE_PALETTE_API_KEY"):
            RemoteEngine(server.model(), trusted=True)
        monkeypatch.setenv("VALUE_PALETTE_API_KEYS", '{"127.0.0.1": "right-key"}')
        engine = RemoteEngine(server.model(), trusted=True)
        assert engine.complete(DrawRequest("Hi", 1, SHORT, 0))[0].text == "a"
        assert "right-key" not in str(engine.info.as_dict())
        monkeypatch.delenv("VALUE_PALETTE_API_KEYS")
        monkeypatch.setenv("VALUE_PALETTE_API_KEY", "wrong-key")
        with pytest.raises(EngineError, match=r"refuses the key in VALUE_PALETTE_API_KEY \(401\)") as refused:
            RemoteEngine(server.model(), trusted=True)
        assert "wrong-key" not in str(refused.value)
        server.answer = lambda request: JSONResponse({"detail": "No room for right-key"}, 400)
        with pytest.raises(InputError, match=r"No room for \*\*\*"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))


def test_a_model_that_the_server_does_not_have() -> None:
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
        asked(server)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_by_the_client(status: int) -> None:
    busy = JSONResponse({"detail": "too much to do"}, status, headers={"retry-after-ms": "1"})
    with ChatServer(lambda request: busy) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        with pytest.raises(EngineError, match=rf"could not answer \({status}: too much to do\), asked up to 3 times"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))
        assert len(server.requests) == 3
        good = saying(piece("a", "stop"))
        server.answer = lambda request: good(request) if len(server.requests) > 4 else busy
        assert engine.complete(DrawRequest("Hi", 1, SHORT, 0))[0].text == "a"


def test_a_stream_that_breaks_in_the_middle() -> None:
    async def broken() -> AsyncIterator[str]:
        yield piece("a")
        yield piece("b")
        raise ConnectionError("the server fell over")

    with ChatServer(lambda request: broken()) as server:
        stream = RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, SHORT, 0))
        texts = []
        with pytest.raises(EngineError, match=r"The stream of the server .* broke off: .* Try again"):
            texts += [token.text for step in stream for token in step]
        assert server.emptied()
    assert len(server.requests) == 1


def test_one_broken_stream_ends_the_others() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        return saying("data: {nonsense\n\n")(request) if request["seed"] == candidate_seed(0, 2) else _endless()  # type: ignore[return-value]

    with ChatServer(answer) as server:
        with pytest.raises(EngineError, match="does not read as a chat completion"):
            RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 4, laws.UNCUT, 0))
        assert server.emptied()


PAGE = HTMLResponse("<html>Welcome to the router</html>")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (saying(piece("a"), line("[DONE]")), r"with 0 of 1 replies whole\. Try again"),
        (saying(piece("a"), line({"error": {"message": "out of memory"}})), r"broke off: out of memory\. Try again"),
        (saying(piece("a"), line({"error": "out of memory"})), r"broke off: out of memory\. Try again"),
        (saying(line({"choices": [{"index": 0}]})), "does not read as a chat completion"),
        (saying(line({"hello": 1})), "does not read as a chat completion"),
        (saying(line([1])), "does not read as a chat completion"),
        (saying(line("not json")), "does not read as a chat completion"),
        (saying(piece("a", index=3)), "does not read as a chat completion"),
        (saying(piece("a", "tool_calls")), "for the reason 'tool_calls'; expected stop or length"),
        (saying(), "answered without a reply"),
        (lambda request: PAGE, "answered without a reply"),
        (lambda request: JSONResponse({"choices": []}), "answered without a reply"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_answers_that_are_none(answer: Answer, expected: str) -> None:
    with ChatServer(answer) as server, pytest.raises(EngineError, match=expected):
        asked(server)


def test_a_server_that_does_not_draw_several_at_once() -> None:
    with ChatServer(saying(piece("a"), piece(None, "stop"))) as server:
        engine = RemoteEngine(server.model(), together=True, trusted=True)
        with pytest.raises(EngineError, match=r"1 of 3 replies whole; it does not draw several in one request"):
            engine.complete(DrawRequest("Hi", 3, SHORT, 0))


def test_a_server_that_falls_silent() -> None:
    async def silent() -> AsyncIterator[str]:
        yield piece("a")
        await asyncio.sleep(30)

    with ChatServer(lambda request: silent()) as server:
        engine = RemoteEngine(server.model(), retries=0, timeout=0.3, trusted=True)
        with pytest.raises(EngineError, match="did not answer in time"):
            engine.complete(DrawRequest("Hi", 1, SHORT, 0))


def test_a_server_that_lists_no_models() -> None:
    """transformers serve fails at that without a hub cache; others have no such page."""
    with ChatServer(saying(piece("a", "stop"))) as server:
        for page in (PAGE, JSONResponse({"detail": "no"}, 404), JSONResponse({}, 500), JSONResponse([1])):
            server._refused = lambda request, page=page: page if request.method == "GET" else None  # type: ignore[method-assign]
            assert asked(server) == ["a"]


# transformers serve, with the tiny model.


@pytest.fixture(scope="module")
def serve(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi: tests/requirements.txt")
    home = tmp_path_factory.mktemp("serve")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | quiet, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                assert server.poll() is None, (home / "log").read_text(encoding="utf-8")
                time.sleep(0.1)
        yield f"{folder}@http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def served(serve: str) -> RemoteEngine:
    engine = open_engine(serve, trusted=True)
    assert isinstance(engine, RemoteEngine)
    return engine


def test_transformers_serve_repeats_a_request_by_itself(served: RemoteEngine) -> None:
    laws.the_same_call_gives_the_same_tokens(served, kinds=(laws.UNCUT,), candidates=1)
    first, second = (served.complete(DrawRequest(laws.PROMPT, 1, laws.UNCUT, seed))[0].text for seed in (5, 6))
    assert first != second


def test_transformers_serve_streams_are_whole_and_in_order(served: RemoteEngine) -> None:
    laws.streams_are_whole_and_in_order(served)


def test_transformers_serve_draws_different_candidates(served: RemoteEngine) -> None:
    laws.candidates_and_seeds_differ(served)


def test_transformers_serve_reads_an_earlier_turn(served: RemoteEngine) -> None:
    laws.an_earlier_turn_is_part_of_the_prompt(served, candidates=1)


def test_transformers_serve_is_ready_after_closing(served: RemoteEngine) -> None:
    for count in (0, 1, 3):
        stream = served.sample(DrawRequest(laws.PROMPT, 4, laws.UNCUT, 5))
        for _ in range(count):
            next(stream)
        stream.close()
        assert all(reply.text for reply in served.complete(DrawRequest(laws.PROMPT, 2, SHORT, 5)))


def test_transformers_serve_tells_no_log_probabilities(served: RemoteEngine) -> None:
    reply = served.complete(DrawRequest(laws.PROMPT, 1, SHORT, 5))[0]
    assert (reply.tokens, reply.log_probs) == ((), ())


def test_transformers_serve_refuses_top_k(served: RemoteEngine) -> None:
    with pytest.raises(InputError, match=r"refuses the request \(422: Unexpected fields .*top_k"):
        served.complete(DrawRequest(laws.PROMPT, 1, laws.CUT, 5))


def test_transformers_serve_has_one_model(serve: str) -> None:
    other = RemoteEngine(f"other@{serve.rpartition('@')[2]}", trusted=True)
    with pytest.raises(InputError, match=r"refuses the request \(400: Server is pinned to"):
        other.complete(DrawRequest(laws.PROMPT, 1, SHORT, 5))


@pytest.mark.parametrize(
    "law",
    [
        laws.a_candidate_does_not_depend_on_how_many_there_are,
        laws.later_candidates_are_those_of_a_larger_call,
        laws.calls_may_take_turns,
        laws.closing_leaves_the_engine_ready,
    ],
    ids=lambda law: law.__name__,
)
@pytest.mark.xfail(
    reason="one random stream: requests side by side overwrite each other's seeds", raises=AssertionError
)
def test_transformers_serve_does_not_keep_the_law(served: RemoteEngine, law: Callable[[RemoteEngine], None]) -> None:
    law(served)


# Thinking models


def test_hidden_thoughts_are_no_reply_and_their_log_probabilities_score_nothing() -> None:
    thoughts = [piece(thought="Hm. ", told=[("Hm. ", -0.5)]) for _ in range(3)]
    with ChatServer(saying(*thoughts, piece(None, "length"))) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        with pytest.raises(EngineError, match=r"spent all 3 tokens of a reply on hidden thinking.*--max-new-tokens"):
            engine.complete(DrawRequest("Hi", 2, SamplingSettings(max_new_tokens=3)))
    spoken = [piece("Bees.", told=[("Bees.", -1.25)]), piece(None, "stop")]
    with ChatServer(saying(*thoughts, *spoken)) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        (reply,) = engine.complete(DrawRequest("Hi", 1, SamplingSettings(max_new_tokens=9)))
    assert reply.text == "Bees."
    assert reply.log_probs == (-1.25,)


def test_the_end_of_text_generation_inference_is_an_end() -> None:
    with ChatServer(saying(piece("Bees.", told=[("Bees.", -1.0)]), piece(None, "eos_token"))) as server:
        (reply,) = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 1, SamplingSettings()))
    assert (reply.text, reply.finished) == ("Bees.", True)


# Servers that refuse fields, count tokens, or filter


def refusing(*names: str, named: bool = True) -> Answer:
    """A server that refuses these fields and otherwise says hello."""

    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        wrong = [name for name in names if name in request]
        if wrong:
            return JSONResponse({"detail": f"Unexpected fields: {wrong}" if named else "no"}, 422)
        return saying(piece("Hello", told=[("Hello", -1.0)]), piece(None, "stop"))(request)

    return answer


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("refused", [("seed",), ("top_k", "min_p"), ("max_tokens",), ("stream_options", "logprobs")])
def test_what_a_server_refuses_is_left_out_and_remembered(refused: tuple[str, ...], named: bool) -> None:
    with ChatServer(refusing(*refused, named=named)) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        assert [reply.text for reply in engine.complete(DrawRequest("Hi", 4, SHORT))] == ["Hello"] * 4
        fields = {"top_k", "min_p", "repetition_penalty", "seed", "logprobs", "max_tokens", "stream_options"}
        before = len(server.requests)
        engine.complete(DrawRequest("Hi", 4, SHORT))
        assert len(server.requests) == before + 4
        for request in server.requests[before:]:
            assert fields & request.keys() == fields - {*refused}
            assert ("max_completion_tokens" in request) == ("max_tokens" in refused)
        assert server.emptied()


def test_openai_is_not_asked_for_what_it_does_not_know() -> None:
    with ChatServer(saying(piece("Hello", "stop"))) as server:
        engine = RemoteEngine(server.model(), trusted=True)
    for host, uncut in (("api.openai.com", False), ("x.openai.azure.com", False), ("api.openai.com.example", True)):
        engine._address = Address("gpt", f"https://{host}/v1")
        assert ("min_p" in engine._drawing(SHORT)) == uncut


def usage(tokens: int) -> str:
    """The last event of a stream, which counts its tokens."""
    return line({"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": {"completion_tokens": tokens}})


EMOJI = [piece("Hi", told=[("Hi", -1.0)]), piece(" \U0001f600", told=[("\ufffd", -2.0)])]


@pytest.mark.parametrize(
    ("lines", "known", "drawn"),
    [
        # llama.cpp: the end of the turn is counted and not told; several tokens of a character are told as one.
        ([*EMOJI, piece(None, "stop"), usage(3)], True, 2),
        ([*EMOJI, piece(None, "stop"), usage(6)], False, 5),
        ([*EMOJI, piece(None, "length"), usage(2)], True, 2),
        ([*EMOJI, piece(None, "length"), usage(4)], False, 4),
        # vLLM: the end is counted and told.
        ([EMOJI[0], piece("", "stop", [("</s>", -4.0)]), usage(2)], True, 1),
        ([EMOJI[0], piece("", "stop", [("</s>", -4.0)]), usage(3)], False, 2),
        ([*EMOJI, piece(None, "length")], False, 3),
        # A server that does not count, or counts without the end.
        ([*EMOJI, piece(None, "stop")], True, 2),
        ([*EMOJI, piece(None, "stop"), usage(2)], True, 2),
        ([*EMOJI, piece(None, "stop"), line({"choices": [], "usage": None}), line("[DONE]")], True, 2),
        # Thoughts are counted, and so are the marks around them.
        ([piece(thought="Hm.", told=[("Hm.", -1.0)]), EMOJI[0], piece(None, "stop"), usage(5)], True, 1),
        ([piece(thought="Hm.", told=[("Hm.", -1.0)]), EMOJI[0], piece(None, "stop"), usage(9)], False, 4),
    ],
)
def test_log_probabilities_are_those_of_all_tokens_or_unknown(lines: list[str], known: bool, drawn: int) -> None:
    settings = SamplingSettings(max_new_tokens=8)
    with ChatServer(saying(*lines)) as server:
        steps = list(RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, settings)))
    tokens = [token for step in steps for token in step]
    reply = reply_of(tokens)
    assert reply.text.startswith("Hi")
    assert bool(reply.log_probs) == known
    assert sum(token.drawn and not token.finished for token in tokens) == drawn
    assert [token.last for token in tokens] == [False] * (len(tokens) - 1) + [True]


def test_which_of_several_replies_lacks_tokens_is_not_known() -> None:
    lines = [piece("a", None, [("a", -1.0)], k) for k in range(2)] + [piece(None, "stop", index=k) for k in range(2)]
    for counted, known in ((4, True), (5, False)):
        with ChatServer(saying(*lines, usage(counted))) as server:
            engine = RemoteEngine(server.model(), together=True, trusted=True)
            assert [bool(r.log_probs) for r in engine.complete(DrawRequest("Hi", 2, SHORT))] == [known] * 2


def test_a_filtered_reply_is_marked_and_the_others_are_whole() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        end = "content_filter" if request["seed"] == candidate_seed(0, 1) else "stop"
        return saying(piece("a", told=[("a", -1.0)]), piece(None, end))(request)  # type: ignore[return-value]

    with ChatServer(answer) as server:
        replies = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 3, SHORT, 0))
    assert [reply.filtered for reply in replies] == [False, True, False]
    assert [reply.text for reply in replies] == ["a"] * 3
    assert not replies[1].finished
