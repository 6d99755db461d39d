"""Tests of the remote engine: hidden thoughts, refused fields, token counts and filtered replies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from map_core.core.types import SamplingSettings
from map_core.engines.draw_request import DrawRequest, candidate_seed
from map_core.engines.remote_engine import RemoteEngine
from map_core.engines.tokens import reply_of
from map_core.errors import EngineError
from map_core.models.endpoint import Address
from tests.chat_server import Answer, ChatServer, chunk, fixed_answer, line

SHORT = SamplingSettings(max_new_tokens=4)


# Thinking models


def test_hidden_thoughts_are_excluded_from_reply_and_log_probabilities() -> None:
    thoughts = [chunk(thought="Hm. ", log_probs=[("Hm. ", -0.5)]) for _ in range(3)]
    with ChatServer(fixed_answer(*thoughts, chunk(None, "length"))) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        with pytest.raises(EngineError, match=r"spent all 3 tokens of a reply on hidden thinking.*--max-new-tokens"):
            engine.complete(DrawRequest("Hi", 2, SamplingSettings(max_new_tokens=3)))
    answer = [chunk("Bees.", log_probs=[("Bees.", -1.25)]), chunk(None, "stop")]
    with ChatServer(fixed_answer(*thoughts, *answer)) as server:
        engine = RemoteEngine(server.model(), trusted=True)
        (reply,) = engine.complete(DrawRequest("Hi", 1, SamplingSettings(max_new_tokens=9)))
    assert reply.text == "Bees."
    assert reply.log_probs == (-1.25,)


def test_finish_reason_of_text_generation_inference() -> None:
    with ChatServer(fixed_answer(chunk("Bees.", log_probs=[("Bees.", -1.0)]), chunk(None, "eos_token"))) as server:
        (reply,) = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 1, SamplingSettings()))
    assert (reply.text, reply.finished) == ("Bees.", True)


# Servers that refuse fields, count tokens, or filter


def refusing(*names: str, named: bool = True) -> Answer:
    """Return an answer that refuses these fields and otherwise streams a reply."""

    def answer(request: dict[str, Any]) -> AsyncIterator[str] | Response:
        refused = [name for name in names if name in request]
        if refused:
            return JSONResponse({"detail": f"Unexpected fields: {refused}" if named else "no"}, 422)
        return fixed_answer(chunk("Hello", log_probs=[("Hello", -1.0)]), chunk(None, "stop"))(request)

    return answer


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("refused", [("seed",), ("top_k", "min_p"), ("max_tokens",), ("stream_options", "logprobs")])
def test_refused_fields_are_left_out_of_later_requests(refused: tuple[str, ...], named: bool) -> None:
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
        assert server.wait_until_idle()


def test_openai_is_not_sent_unknown_fields() -> None:
    with ChatServer(fixed_answer(chunk("Hello", "stop"))) as server:
        engine = RemoteEngine(server.model(), trusted=True)
    for host, sends_min_p in (
        ("api.openai.com", False),
        ("x.openai.azure.com", False),
        ("api.openai.com.example", True),
    ):
        engine._address = Address("gpt", f"https://{host}/v1")
        assert ("min_p" in engine._drawing(SHORT)) == sends_min_p


def usage(tokens: int) -> str:
    """Return the last event of a stream, which has its number of tokens."""
    return line({"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": {"completion_tokens": tokens}})


EMOJI = [chunk("Hi", log_probs=[("Hi", -1.0)]), chunk(" \U0001f600", log_probs=[("\ufffd", -2.0)])]


@pytest.mark.parametrize(
    ("lines", "complete", "drawn_tokens"),
    [
        # llama.cpp: the end is counted without a log-probability; the tokens of one character have a single one.
        ([*EMOJI, chunk(None, "stop"), usage(3)], True, 2),
        ([*EMOJI, chunk(None, "stop"), usage(6)], False, 5),
        ([*EMOJI, chunk(None, "length"), usage(2)], True, 2),
        ([*EMOJI, chunk(None, "length"), usage(4)], False, 4),
        # vLLM: the end is counted and has a log-probability.
        ([EMOJI[0], chunk("", "stop", [("</s>", -4.0)]), usage(2)], True, 1),
        ([EMOJI[0], chunk("", "stop", [("</s>", -4.0)]), usage(3)], False, 2),
        ([*EMOJI, chunk(None, "length")], False, 3),
        # A server that does not count tokens, or does not count the end.
        ([*EMOJI, chunk(None, "stop")], True, 2),
        ([*EMOJI, chunk(None, "stop"), usage(2)], True, 2),
        ([*EMOJI, chunk(None, "stop"), line({"choices": [], "usage": None}), line("[DONE]")], True, 2),
        # Thoughts are counted, and so are the tags around them.
        ([chunk(thought="Hm.", log_probs=[("Hm.", -1.0)]), EMOJI[0], chunk(None, "stop"), usage(5)], True, 1),
        ([chunk(thought="Hm.", log_probs=[("Hm.", -1.0)]), EMOJI[0], chunk(None, "stop"), usage(9)], False, 4),
    ],
)
def test_log_probabilities_are_those_of_all_tokens_or_unknown(
    lines: list[str], complete: bool, drawn_tokens: int
) -> None:
    settings = SamplingSettings(max_new_tokens=8)
    with ChatServer(fixed_answer(*lines)) as server:
        steps = list(RemoteEngine(server.model(), trusted=True).sample(DrawRequest("Hi", 1, settings)))
    tokens = [token for step in steps for token in step]
    reply = reply_of(tokens)
    assert reply.text.startswith("Hi")
    assert bool(reply.log_probs) == complete
    assert sum(token.drawn and not token.finished for token in tokens) == drawn_tokens
    assert [token.last for token in tokens] == [False] * (len(tokens) - 1) + [True]


def test_missing_tokens_of_one_of_several_replies_make_all_unknown() -> None:
    lines = [chunk("a", None, [("a", -1.0)], k) for k in range(2)] + [chunk(None, "stop", index=k) for k in range(2)]
    for counted, known in ((4, True), (5, False)):
        with ChatServer(fixed_answer(*lines, usage(counted))) as server:
            engine = RemoteEngine(server.model(), together=True, trusted=True)
            assert [bool(r.log_probs) for r in engine.complete(DrawRequest("Hi", 2, SHORT))] == [known] * 2


def test_filtered_reply_is_marked_and_the_others_are_complete() -> None:
    def answer(request: dict[str, Any]) -> AsyncIterator[str]:
        end = "content_filter" if request["seed"] == candidate_seed(0, 1) else "stop"
        return fixed_answer(chunk("a", log_probs=[("a", -1.0)]), chunk(None, end))(request)  # type: ignore[return-value]

    with ChatServer(answer) as server:
        replies = RemoteEngine(server.model(), trusted=True).complete(DrawRequest("Hi", 3, SHORT, 0))
    assert [reply.filtered for reply in replies] == [False, True, False]
    assert [reply.text for reply in replies] == ["a"] * 3
    assert not replies[1].finished
