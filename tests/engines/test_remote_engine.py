"""Tests of the remote engine: requests, responses, and its laws against a seeded server with a real model.

The server belongs to these tests and has one random stream per request; test_transformers_serve.py uses a third-party
server.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response

from map_core import scoring
from map_core.building import build
from map_core.core.types import SamplingSettings, Turn
from map_core.data.prompts import Prompt
from map_core.engines.base import LocalEngine
from map_core.engines.draw_request import DrawRequest, candidate_seed
from map_core.engines.factory import open_engine
from map_core.engines.remote_engine import RemoteEngine
from map_core.engines.tokens import UNKNOWN_TOKEN, reply_of
from map_core.errors import InputError
from map_core.models.endpoint import Address, address_of
from map_core.scoring.base import ScorerError
from map_core.testing import engine_laws as laws
from tests.chat_server import ChatServer, chunk, fixed_answer, from_model, line

SHORT = SamplingSettings(max_new_tokens=4)


# Names of models on servers.


def test_address_of() -> None:
    assert address_of("tiny@http://127.0.0.1:8000/v1/") == Address("tiny", "http://127.0.0.1:8000/v1")
    assert address_of("owner/tiny@main@https://host/a/v1") == Address("owner/tiny@main", "https://host/a/v1")
    for name in ("smollm2-135m-instruct", "owner/tiny", "./tiny@home"):
        assert address_of(name) is None


@pytest.mark.parametrize("url", ["http://", "http://host:eight/v1", "http://ho st/v1", "http://[::1/v1"])
def test_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"'tiny' names no model on a server; expected NAME@http://HOST:PORT/v1"):
        address_of(f"tiny@{url}")


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "https://host/v1?key=secret", "http://host/v1#secret"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match="Put the key into VALUE_PALETTE_API_KEY") as caught:
        open_engine(f"tiny@{url}", trusted=True)
    assert "secret" not in str(caught.value)


def test_model_on_a_server_opens_by_its_name() -> None:
    with ChatServer(fixed_answer(chunk("Hello", "stop"))) as server:
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


def test_openai_is_imported_only_when_an_engine_is_opened() -> None:
    code = "import sys, map_core.engines.remote_engine\nprint({'openai', 'httpx2'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()"


# Single requests: what is sent and what is returned.


def test_fields_of_a_request() -> None:
    with ChatServer(fixed_answer(chunk("Hello"), chunk(None, "stop"))) as server:
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
    sampling = {"temperature": 0.7, "top_p": 0.9, "top_k": 9, "max_tokens": 5, "logprobs": True}
    sampling |= {"min_p": 0.0, "repetition_penalty": 1.0, "stream_options": {"include_usage": True}}
    common = {"model": "tiny", "stream": True, "messages": messages} | sampling
    seeds = [candidate_seed(3, 4), candidate_seed(3, 5)]
    assert sorted(server.requests, key=lambda r: r["seed"]) == [common | {"seed": seed} for seed in sorted(seeds)]


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
def test_servers_are_asked_for_untruncated_sampling(owner: str, temperature: float, expected: dict[str, Any]) -> None:
    with ChatServer(fixed_answer(chunk("Hello", "stop")), owner) as server:
        name = "any" if owner == "llamacpp" else "tiny"
        RemoteEngine(server.model(name), trusted=True).complete(DrawRequest("Hi", 1, SamplingSettings(temperature), 0))
    common = {"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stream_options", "seed"}
    assert {name: server.requests[0][name] for name in server.requests[0].keys() - common} == expected


def test_without_log_probabilities_a_piece_of_text_is_a_token() -> None:
    lines = (chunk(""), chunk("Hel"), chunk("lo"), chunk(None, "stop"), line("[DONE]"))
    with ChatServer(fixed_answer(*lines)) as server:
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
        # vLLM: the end comes with the last token and has a log-probability; two tokens in one piece.
        (
            [chunk("ab", None, [("a", -1.0), ("b", -2.0)]), chunk("", "stop", [("</s>", -4.0)])],
            "ab",
            (-1.0, -2.0),
            True,
        ),
        ([chunk("a.", "stop", [("a", -1.0), (".", -2.0), ("</s>", -4.0)])], "a.", (-1.0, -2.0), True),
        # llama.cpp: the end comes in a piece of its own.
        ([chunk("a", None, [("a", -1.0)]), chunk(None, "stop")], "a", (-1.0,), True),
        ([chunk("a", "stop", [("a", -1.0)])], "a", (-1.0,), True),
        # Limited to four tokens: reported after the last token, with it, and not at all.
        ([chunk("aa", None, [("a", -1.0)] * 2)] * 2 + [chunk(None, "length")], "aaaa", (-1.0,) * 4, False),
        ([chunk("a", None, [("a", -1.0)])] * 3 + [chunk("a", "length", [("a", -1.0)])], "aaaa", (-1.0,) * 4, False),
        ([chunk("a", None, [("a", -1.0)])] * 9, "aaaa", (-1.0,) * 4, False),
        # Half a character has no text yet.
        ([chunk("", None, [("\ufffd", -1.0)]), chunk("é", "length", [("\ufffd", -2.0)])], "é", (-1.0, -2.0), False),
        # A server that splits text by UTF-16: an emoji in two pieces, and half of one at the end.
        (
            [chunk("a\ud83d", None, [("a", -1.0)]), chunk("\ude00", "length", [("x", -2.0)])],
            "a\U0001f600",
            (-1.0, -2.0),
            False,
        ),
        ([chunk("\ud83d"), chunk("\ude00b\ud83d"), chunk(None, "stop")], "\U0001f600b\ufffd", (), True),
        # Without log-probabilities: the limit in the last piece or after it; an empty reply.
        ([chunk("a"), chunk("b", "length")], "ab", (), False),
        ([chunk("a"), chunk(None, "length")], "a", (), False),
        ([chunk(None, "stop")], "", (), True),
    ],
)
def test_streams_are_parsed_into_replies(
    lines: list[str], text: str, log_probs: tuple[float, ...], finished: bool
) -> None:
    with ChatServer(fixed_answer(*lines)) as server:
        steps = list(RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, SHORT, 0)))
    tokens = [token for step in steps for token in step]
    assert all(len(step) == 1 for step in steps)
    assert [t.last for t in tokens] == [False] * (len(tokens) - 1) + [True]
    reply = reply_of(tokens)
    assert (reply.text, reply.log_probs, reply.finished) == (text, log_probs, finished)


def test_refused_log_probabilities_are_not_requested_again() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        if "logprobs" in request:
            return JSONResponse({"error": {"message": "You are not allowed to request logprobs."}}, 403)
        return fixed_answer(chunk("Hello", "stop"))(request)

    with ChatServer(answer) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        assert [engine.complete(DrawRequest("Hi", 1, SHORT, seed))[0].log_probs for seed in range(3)] == [()] * 3
        assert ["logprobs" in request for request in server.requests] == [True, False, False, False]


def test_values_that_need_log_probabilities_refuse_replies_without() -> None:
    with ChatServer(fixed_answer(chunk("Hello", "stop"))) as server:
        replies = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 1, SHORT, 0))
    with pytest.raises(
        ScorerError, match=r"candidate 0 has none\. Leave this value out, .* on a server that tells them"
    ):
        scoring.scorers(["familiarity"])[0].score("Hi", replies)


def test_table_built_from_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names the server but not the key; log-probabilities that the server lacks are nan, not 0."""
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", "right-key")
    out = tmp_path / "table.parquet"
    with ChatServer(fixed_answer(chunk("Hello"), chunk(None, "stop")), key="right-key") as server:
        engine = open_engine(server.model(), trusted=True)
        prompts = [Prompt("hi", "Greetings", "Hi")]
        scorers = scoring.scorers(["diversity"])
        table = build(prompts, out, engine, scorers, candidates=3, settings=SHORT, seed=1).load()
    assert table.replies == ("Hello",) * 3
    assert np.isnan(table.log_probs).all()
    assert table.metadata["model"] == {"name": server.model(), "sha256": "unknown"}
    assert b"right-key" not in out.read_bytes()


# The laws, against a server with a real model and one random stream per request.


@pytest.fixture(scope="module", params=[False, True], ids=["as vLLM", "as llama.cpp"])
def seeded_server(request: pytest.FixtureRequest, local: LocalEngine) -> Iterator[ChatServer]:
    with ChatServer(from_model(local, apart=request.param)) as server:
        yield server


@pytest.fixture
def engine(seeded_server: ChatServer) -> RemoteEngine:
    return RemoteEngine(seeded_server.model(), trusted=True)


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_law(engine: RemoteEngine, law: Callable[[RemoteEngine], None]) -> None:
    law(engine)


def test_the_same_call_gives_the_same_tokens(engine: RemoteEngine) -> None:
    laws.the_same_call_gives_the_same_tokens(engine, candidates=3)


def test_served_model_gives_the_replies_of_the_local_model(
    seeded_server: ChatServer, engine: RemoteEngine, local: LocalEngine
) -> None:
    for settings in (laws.UNCUT, laws.CUT):
        local_replies = local.complete(
            DrawRequest(laws.PROMPT, 6, settings, 5, history=laws.HISTORY, system="Be kind.")
        )
        remote_replies = engine.complete(
            DrawRequest(laws.PROMPT, 6, settings, 5, history=laws.HISTORY, system="Be kind.")
        )
        for reply, remote_reply in zip(local_replies, remote_replies, strict=True):
            assert (reply.text, reply.finished) == (remote_reply.text, remote_reply.finished)
            assert remote_reply.log_probs == pytest.approx(reply.log_probs, abs=1e-4)
            assert remote_reply.tokens == ()
    assert seeded_server.wait_until_idle()


def test_all_candidates_in_one_request(seeded_server: ChatServer) -> None:
    engine = RemoteEngine(seeded_server.model(), together=True, trusted=True)
    seeded_server.requests.clear()
    laws.streams_are_whole_and_in_order(engine)
    assert [request["n"] for request in seeded_server.requests] == [5]
    laws.candidates_and_seeds_differ(engine)
