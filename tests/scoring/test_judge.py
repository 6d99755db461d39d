"""Tests of values rated by a judge on a server: the expected rating, the laws with a real tiny model, faults."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from map_core import scoring
from map_core.errors import EngineError, InputError
from map_core.scoring import Scorer, ScorerError, ScoringModels, Specification
from map_core.testing.scorer_laws import check_scorer, reply
from tests.chat_server import ChatServer
from tests.tiny_model import make_tiny_model

REPLIES = [reply("Of course, gladly."), reply("No.")]


def judge(server: str, **settings: Any) -> Scorer:
    all_settings = {"model": server, "question": "How polite is the reply?"} | settings
    (scorer,) = scoring.resolve(
        ["polite"], [Specification("polite", "judge", all_settings, trusted=True)], ScoringModels()
    )
    return scorer


def answer_with(shares: list[tuple[str, float]]) -> Response:
    """Return an answer whose first token has these alternatives with these probabilities."""
    top = [{"token": token, "logprob": math.log(share), "bytes": None} for token, share in shares]
    content = [{**top[0], "top_logprobs": top}]
    message = {"role": "assistant", "content": shares[0][0]}
    choice = {"index": 0, "message": message, "finish_reason": "length", "logprobs": {"content": content}}
    return JSONResponse({"id": "x", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]})


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VALUE_PALETTE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


# By hand


def test_rating_is_the_expectation() -> None:
    """4, 5 and " 5" with 0.5, 0.2 and 0.1: (4 x 0.5 + 5 x 0.3) / 0.8; "12", "six" and 7 off the scale do not count."""
    shares = [("4", 0.5), ("5", 0.2), (" 5", 0.1), ("12", 0.05), ("six", 0.05), ("7", 0.05)]
    with ChatServer(lambda body: answer_with(shares)) as server:
        rewards = judge(server.model(), lowest=1, highest=5).score("Hi", REPLIES)
        np.testing.assert_allclose(rewards, (4 * 0.5 + 5 * 0.3) / 0.8)
        request = server.requests[0]
        assert (request["max_tokens"], request["temperature"], request["logprobs"], request["top_logprobs"]) == (
            1,
            0.0,
            True,
            20,
        )
        text = request["messages"][0]["content"]
        assert "How polite is the reply?" in text
        assert "from 1 (not at all) to 5 (very much)" in text


def test_placeholders_in_a_reply_are_not_expanded() -> None:
    with ChatServer(lambda body: answer_with([("3", 1.0)])) as server:
        judge(server.model()).score("What is {reply}?", [reply("{prompt} {question}")])
        text = server.requests[0]["messages"][0]["content"]
        assert "<<<\nWhat is {reply}?\n>>>" in text
        assert "<<<\n{prompt} {question}\n>>>" in text


def test_equal_replies_are_sent_once() -> None:
    with ChatServer(lambda body: answer_with([("3", 1.0)])) as server:
        scorer = judge(server.model())
        scorer.score("Hi", [*REPLIES, *REPLIES])
        scorer.score("Hi", REPLIES)
        assert len(server.requests) == 2
        scorer.score("Ho", REPLIES[:1])
        assert len(server.requests) == 3


# Laws, with a real model behind the server


def test_judges_keep_the_laws(tmp_path_factory: pytest.TempPathFactory) -> None:
    from map_core.models.language_model import open_language_model

    model = open_language_model(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), "float32", "cpu")
    digits = {str(d): model.tokenizer.encode(str(d))[0] for d in range(10)}

    def rated(body: dict[str, Any]) -> Response:
        """Return the tiny model's probabilities of the ten digits as next token, as under a grammar."""
        text = body["messages"][0]["content"].encode()[-120:].decode(errors="replace")
        _, logits = model.prefill(model.tokenizer.render([{"role": "user", "content": text[:100]}]))
        shares = logits[[*digits.values()]].double().softmax(-1).tolist()
        return answer_with(sorted(zip(digits, shares, strict=True), key=lambda share: -share[1]))

    with ChatServer(rated) as server:
        scorer = judge(server.model(), lowest=0, at_once=4)
        check_scorer(scorer)
        rewards = scorer.score("Hi", [reply(f"number {i}, {'very ' * (i % 3)}kind") for i in range(6)])
        assert len(set(rewards)) > 3
        assert ((rewards >= 0) & (rewards <= 9)).all()


# Faults


def test_key_is_sent_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-very-secret"
    with ChatServer(lambda body: answer_with([("3", 1.0)]), key=secret) as server:
        with pytest.raises(EngineError, match="the key is refused") as refused:
            judge(server.model()).score("Hi", REPLIES)
        assert secret not in str(refused.value)
        monkeypatch.setenv("VALUE_PALETTE_API_KEY", "the model's")
        with pytest.raises(EngineError, match=r'the key is refused.*VALUE_PALETTE_API_KEYS to {"127.0.0.1": "KEY"}'):
            judge(server.model()).score("Hi", REPLIES)
        monkeypatch.setenv("VALUE_PALETTE_API_KEYS", json.dumps({"127.0.0.1": secret}))
        scorer = judge(server.model())
        scorer.score("Hi", REPLIES)
        assert secret not in str(scorer.entry()) + scorer.version


def test_busy_server_is_retried() -> None:
    answers = iter([429, 500])

    def busy(body: dict[str, Any]) -> Response:
        status = next(answers, None)
        return (
            answer_with([("3", 1.0)])
            if status is None
            else JSONResponse({"error": {}}, status, {"retry-after-ms": "1"})
        )

    with ChatServer(busy) as server:
        np.testing.assert_allclose(judge(server.model()).score("Hi", REPLIES[:1]), 3.0)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: JSONResponse({"error": {}}, 404), "it answers 404"),
        (lambda: answer_with([("Sure", 0.97), ("5", 0.01)]), "gives no rating from 1 to 9 but 'Sure'"),
        (lambda: JSONResponse({"id": "x", "choices": []}), "tells no log-probabilities"),
        (lambda: JSONResponse([1, 2]), "tells no log-probabilities"),
        (lambda: PlainTextResponse("<html>hello</html>"), "tells no log-probabilities|no JSON"),
    ],
)
def test_faults_are_reported(answer: Any, message: str) -> None:
    with ChatServer(lambda body: answer()) as server, pytest.raises((ScorerError, EngineError), match=message):
        judge(server.model()).score("Hi", REPLIES[:1])


def test_reason_of_the_server_is_repeated() -> None:
    body = {"object": "error", "message": "The judge is out of quota for sk-secret", "code": 400}
    with ChatServer(lambda request: JSONResponse(body, 400)) as server:
        with pytest.raises(EngineError, match=r"it answers 400: The judge is out of quota for sk-secret\. See that"):
            judge(server.model()).score("Hi", REPLIES[:1])
        assert len(server.requests) == 2


def test_refused_fields_are_adjusted_and_remembered() -> None:
    """Messages of vLLM and OpenAI; the first names another field than the one that is too large."""
    too_many = "Requested sample logprobs of 20, which is greater than max allowed: 5"
    unknown = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."

    def answer(body: dict[str, Any]) -> Response:
        if "max_tokens" in body:
            return JSONResponse({"error": {"message": unknown, "param": "max_tokens"}}, 400)
        if body.get("top_logprobs", 0) > 5:
            return JSONResponse({"object": "error", "message": too_many, "code": 400}, 400)
        return answer_with([("3", 0.5), ("5", 0.5)])

    with ChatServer(answer) as server:
        scorer = judge(server.model(), at_once=1)
        np.testing.assert_allclose(scorer.score("Hi", REPLIES), 4.0)
        before = len(server.requests)
        scorer.score("Ho", REPLIES)
        assert len(server.requests) == before + 2
        request = server.requests[-1]
        assert (request["max_completion_tokens"], request["top_logprobs"]) == (1, 5)
        assert "max_tokens" not in request


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "tiny"}, "expected NAME@http"),
        ({"model": "tiny@http://user:secret@host/v1"}, "holds a user name"),
        ({"lowest": 5, "highest": 5}, "go from 5 to 5; expected two digits"),
        ({"highest": 10}, "expected two digits"),
        ({"at_once": 0}, "must be above 0"),
        ({"key": "sk"}, "unknown setting 'key'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        judge("tiny@http://127.0.0.1:9/v1", **settings)


def test_table_alone_calls_no_server() -> None:
    specifications = scoring.from_metadata({"scorers": [judge("tiny@http://127.0.0.1:9/v1").entry()]})
    assert "polite" not in scoring.scorable_values(specifications)
    with pytest.raises(InputError, match="scored by a judge, and a table alone may not have that run or called"):
        scoring.resolve(["polite"], specifications)
