"""Tests of served scores: equal to local ones, faults of servers, and no calls of unlisted servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.responses import JSONResponse, PlainTextResponse, Response

from map_core import scoring
from map_core.cli.values import values as command
from map_core.errors import EngineError, InputError
from map_core.scoring import Scorer, ScorerError, ScoringModels, Specification
from map_core.testing.scorer_laws import check_scorer, reply
from tests.reward_server import RewardServer, ServedModel
from tests.tiny_classifier import make_classifier, make_reward_model

PROMPT = "How do bees make honey?"
REPLIES = [reply("Bees make honey from nectar."), reply("No."), reply("The cat sat on the mat."), reply("Sorry! 🎉")]
LONG = reply("Thank you for your message; we will look into it. " * 9)


def served(server: RewardServer, **settings: Any) -> Scorer:
    all_settings = {"model": f"tiny@{server.url}"} | settings
    (scorer,) = scoring.resolve(["wit"], [Specification("wit", "served", all_settings, trusted=True)], ScoringModels())
    return scorer


def local(folder: str, **settings: Any) -> Scorer:
    all_settings = {"model": folder, "device": "cpu"} | settings
    (scorer,) = scoring.resolve(["wit"], [Specification("wit", "classifier", all_settings)], ScoringModels())
    return scorer


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Save a BERT with two outputs."""
    return str(make_classifier(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Save a BERT with one output that reads pairs, like a cross-encoder."""
    from transformers import BertConfig, BertForSequenceClassification

    folder = make_classifier(tmp_path_factory.mktemp("cross"))
    config = BertConfig.from_pretrained(folder, num_labels=1)
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        BertForSequenceClassification(config).eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Save a Llama reward model with a chat template."""
    return str(make_reward_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VALUE_PALETTE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


# Equal to the local scorer


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("heeds", ["use_activation", "activation"])
@pytest.mark.parametrize("scale", ["logit", "probability"])
@pytest.mark.parametrize(
    ("model", "endpoint", "settings"),
    [
        ("pairs", "classify", {"template": "reply", "output": 1}),
        ("pairs", "classify", {"template": "Q: {prompt} A: {reply}", "output": 0, "sign": -1}),
        ("pairs", "pooling", {"template": "reply", "output": 1}),
        ("single", "score", {}),
        ("single", "score", {"template": "Q: {prompt}{next}A: {reply}"}),
        ("chats", "pooling", {"template": "chat"}),
        ("chats", "classify", {"template": "chat", "at_once": 2}),
        ("chats", "classify", {"template": "Human: {prompt} Assistant: {reply}", "batch": 3}),
    ],
)
def test_served_scores_equal_local_ones(
    request: pytest.FixtureRequest, model: str, endpoint: str, settings: dict[str, Any], scale: str, heeds: str
) -> None:
    folder = request.getfixturevalue(model)
    own = {"template": "pair"} | {key: settings[key] for key in settings if key not in ("at_once", "batch")}
    expected = local(folder, scale=scale, **own).score_many(["Why?", "Hi"], [REPLIES, REPLIES[:2]])
    with RewardServer(ServedModel(folder, heeds)) as server:
        scorer = served(server, endpoint=endpoint, scale=scale, **settings)
        for rewards, wanted in zip(scorer.score_many(["Why?", "Hi"], [REPLIES, REPLIES[:2]]), expected, strict=True):
            np.testing.assert_allclose(rewards, wanted, atol=1e-5, rtol=1e-5)
    assert np.ptp(expected[0]) > 1e-3


@pytest.mark.usefixtures("one_torch_thread")
def test_reward_server_gets_formatted_texts(chats: str) -> None:
    template = "<|im_start|>user {prompt}<|im_end|><|im_start|>assistant {reply}<|im_end|>"
    with RewardServer(ServedModel(chats)) as server:
        scorer = served(server, endpoint="get_reward", template=template)
        expected = local(chats, template=template).score(PROMPT, REPLIES)
        np.testing.assert_allclose(scorer.score(PROMPT, REPLIES), expected, atol=1e-5, rtol=1e-5)
        ((endpoint, body),) = server.requests
        assert (endpoint, sorted(body)) == ("get_reward", ["prompts", "query"])
        assert body["prompts"] == [PROMPT] * len(REPLIES)
        with_path = served(server, endpoint="get_reward", template=template, model=f"rm@{server.url}/get_reward")
        np.testing.assert_allclose(with_path.score(PROMPT, REPLIES), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_torch_thread")
def test_served_scorers_keep_the_laws(pairs: str) -> None:
    with RewardServer(ServedModel(pairs, longest=64)) as server:
        check_scorer(served(server, endpoint="classify", template="reply", output=1, longest=-1, batch=3))


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("template", ["reply", "{prompt}{reply}", "chat"])
def test_server_truncates_as_the_local_scorer(template: str, pairs: str, chats: str) -> None:
    folder, output = (chats, 0) if template == "chat" else (pairs, 1)
    with RewardServer(ServedModel(folder)) as server:
        full_scores = served(server, endpoint="classify", template=template, output=output)
        with pytest.raises(EngineError, match=r"it answers 400: .*maximum context length is 64 tokens"):
            full_scores.score(PROMPT, [LONG])
        cut = served(server, endpoint="classify", template=template, output=output, longest=-1)
        expected = local(folder, template=template, output=output).score(PROMPT, [LONG])
        np.testing.assert_allclose(cut.score(PROMPT, [LONG]), expected, atol=1e-5, rtol=1e-5)


def test_outputs_per_token_need_a_setting(pairs: str) -> None:
    with RewardServer(ServedModel(pairs, each_token=True)) as server:
        settings = {"endpoint": "pooling", "template": "reply", "output": 1}
        with pytest.raises(ScorerError, match=r"outputs for each of 2 tokens; take token = \"last\""):
            served(server, **settings).score(PROMPT, REPLIES)
        rewards = served(server, token="last", **settings).score(PROMPT, REPLIES)
        np.testing.assert_allclose(rewards, local(pairs, template="reply", output=1).score(PROMPT, REPLIES), atol=1e-5)


# Checks of the returned numbers


def test_server_that_always_gives_probabilities_is_detected(pairs: str) -> None:
    settings = {"endpoint": "classify", "template": "reply", "output": 1}
    with RewardServer(ServedModel(pairs, heeds=None)) as server:
        with pytest.raises(ScorerError, match="the same numbers from 0 to 1 whether raw outputs or probabilities"):
            served(server, **settings).score(PROMPT, REPLIES)
        expected = local(pairs, template="reply", output=1, scale="probability").score(PROMPT, REPLIES)
        for scale in ("probability", "served"):
            rewards = served(server, scale=scale, **settings).score(PROMPT, REPLIES)
            np.testing.assert_allclose(rewards, expected, atol=1e-5)


@pytest.mark.usefixtures("one_torch_thread")
def test_refused_field_is_left_out(pairs: str) -> None:
    model = ServedModel(pairs)

    def strict(endpoint: str, body: dict[str, Any]) -> Response:
        if unknown := body.keys() - {"model", "input", "use_activation"}:
            return JSONResponse({"error": {"message": f"Extra inputs are not permitted: {min(unknown)}"}}, 422)
        return model(endpoint, body)

    with RewardServer(strict) as server:
        scorer = served(server, endpoint="classify", template="reply", output=1)
        expected = local(pairs, template="reply", output=1).score(PROMPT, REPLIES)
        np.testing.assert_allclose(scorer.score(PROMPT, REPLIES), expected, atol=1e-5)


def rows(*outputs: object) -> Response:
    """Return an answer of ``/classify`` with these outputs, as JSON that may hold NaN."""
    data = [{"index": i, "label": None, "probs": row, "num_classes": 1} for i, row in enumerate(outputs)]
    return Response(json.dumps({"object": "list", "data": data}), media_type="application/json")


def test_numbers_that_are_no_probabilities_are_refused() -> None:
    with RewardServer(lambda endpoint, body: rows(*[[1.5]] * len(body["input"]))) as server:
        with pytest.raises(ScorerError, match=r"gives 1\.5 although a probability was asked for"):
            served(server, endpoint="classify", template="reply", scale="probability").score(PROMPT, REPLIES)
        assert served(server, endpoint="classify", template="reply").score(PROMPT, REPLIES).tolist() == [1.5] * 4


def test_output_must_be_named(pairs: str) -> None:
    with RewardServer(ServedModel(pairs)) as server:
        for output in ({}, {"output": 2}):
            with pytest.raises(InputError, match="has 2 outputs; say which one is 'wit': output = 0 to 1"):
                served(server, endpoint="classify", template="reply", **output).score(PROMPT, REPLIES)


# Faults


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: JSONResponse({"detail": "Not Found"}, 404), "it answers 404: Not Found. See .*that endpoint"),
        (lambda: JSONResponse({"error": {"message": "no such task"}}, 400), "it answers 400: no such task"),
        (lambda: PlainTextResponse("<html>hello</html>"), "answers with '<html>hello</html>', which is no object"),
        (lambda: Response("{half", media_type="application/json"), "what is no JSON"),
        (lambda: JSONResponse([1, 2]), r"answers with \[1, 2\], which is no object"),
        (lambda: JSONResponse({"object": "error"}), "no list of data but the fields object"),
        (lambda: rows([0.5]), "gives scores for 1 texts; 2 were asked about"),
        (lambda: rows([0.5], [0.5], [0.5]), "gives scores for 3 texts; 2 were asked about"),
        (lambda: rows([0.5], [float("nan")]), "gives nan as a score"),
        (lambda: rows([0.5], [float("inf")]), "gives inf as a score"),
        (lambda: rows([0.5], [None]), "gives None as a score"),
        (lambda: rows([0.5], ["0.5"]), "gives '0.5' as a score"),
        (lambda: rows([0.5], [0.5, 0.5]), r"gives \[1, 2\] outputs a text"),
        (lambda: rows([], []), "outputs a text"),
        (lambda: rows("aGk=", "aGk="), "tells no probs of a text"),
        (lambda: JSONResponse({"data": [{"index": 0, "probs": [1.0]}] * 2}), r"numbered \[0, 0\]; expected each of 0"),
    ],
)
def test_faults_are_reported(answer: Any, message: str) -> None:
    with RewardServer(lambda endpoint, body: answer()) as server:
        scorer = served(server, endpoint="classify", template="reply", scale="served")
        with pytest.raises((ScorerError, EngineError), match=message):
            scorer.score(PROMPT, REPLIES[:2])


def test_invalid_rewards_are_reported() -> None:
    for answer, message in (({"rewards": 3}, "no list of rewards"), ({"rewards": [1.0]}, "for 1 texts; 2 were asked")):
        with RewardServer(lambda endpoint, body, answer=answer: JSONResponse(answer)) as server:
            scorer = served(server, endpoint="get_reward", template="{prompt}{reply}")
            with pytest.raises(ScorerError, match=message):
                scorer.score(PROMPT, REPLIES[:2])


def test_busy_server_is_retried() -> None:
    answers = iter([429, 503])

    def busy(endpoint: str, body: dict[str, Any]) -> Response:
        status = next(answers, None)
        response = JSONResponse({"error": {}}, status or 200, {"retry-after-ms": "1"})
        return response if status else rows(*[[2.0]] * len(body["input"]))

    with RewardServer(busy) as server:
        scorer = served(server, endpoint="classify", template="reply", scale="served")
        assert scorer.score(PROMPT, REPLIES).tolist() == [2.0] * 4
        assert len(server.requests) == 3
        scorer.score(PROMPT, REPLIES)
        assert len(server.requests) == 3  # equal requests are cached


def test_unreachable_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("map_core.scoring.score_server._RETRIES", 0)
    with RewardServer(lambda endpoint, body: rows([1.0])) as server:
        scorer = served(server, endpoint="classify", template="reply", scale="served", seconds=5)
    with pytest.raises(EngineError, match=r"does not answer \(APIConnectionError\)"):
        scorer.score(PROMPT, REPLIES)


def test_key_is_sent_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-very-secret"
    with RewardServer(lambda endpoint, body: rows([1.0]), key=secret) as server:
        settings = {"endpoint": "classify", "template": "reply", "scale": "served"}
        with pytest.raises(EngineError, match="the key is refused") as refused:
            served(server, **settings).score(PROMPT, REPLIES[:1])
        assert secret not in str(refused.value)
        monkeypatch.setenv("VALUE_PALETTE_API_KEY", "that of the model")
        with pytest.raises(EngineError, match=r"the key is refused.* VALUE_PALETTE_API_KEYS to"):
            served(server, **settings).score(PROMPT, REPLIES[:1])
        monkeypatch.setenv("VALUE_PALETTE_API_KEYS", f'{{"127.0.0.1": "{secret}"}}')
        scorer = served(server, **settings)
        assert scorer.score(PROMPT, REPLIES[:1]).tolist() == [1.0]
        assert secret not in str(scorer.entry()) + scorer.version
        server.answer = lambda endpoint, body: JSONResponse({"error": {"message": f"unknown {secret}"}}, 400)
        with pytest.raises(EngineError, match=r"it answers 400: unknown \*\*\*\.") as refused:
            served(server, **settings).score(PROMPT, REPLIES[:1])
        assert secret not in str(refused.value)


def test_table_alone_calls_no_server() -> None:
    with RewardServer(lambda endpoint, body: rows([1.0])) as server:
        entry = served(server, endpoint="classify", template="reply").entry()
        specifications = scoring.from_metadata({"scorers": [entry]})
        assert "wit" not in scoring.scorable_values(specifications)
        with pytest.raises(InputError, match="scored by a model on a server, and a table alone may not have that run"):
            scoring.resolve(["wit"], specifications)
        assert server.requests == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "tiny"}, "expected NAME@http"),
        ({"model": "tiny@http://user:secret@host"}, "holds a user name"),
        ({"endpoint": "embed"}, "expected one of classify, pooling, score, get_reward"),
        ({"template": "pair"}, "for endpoint = 'classify' expected reply, chat, or a text"),
        ({"template": ""}, "for endpoint = 'classify' expected reply, chat, or a text"),
        ({"endpoint": "score", "template": "reply"}, "expected pair, or a text with {prompt}, {next} and {reply}"),
        ({"endpoint": "get_reward", "template": "chat"}, "the whole text that the server scores"),
        ({"endpoint": "get_reward", "scale": "logit"}, "expected served, as get_reward knows no other"),
        ({"scale": "raw"}, "expected logit, probability, served"),
        ({"sign": 2}, "expected 1 or -1"),
        ({"token": "first"}, "expected last"),
        ({"longest": 0}, "expected a number of tokens from 1, or -1"),
        ({"at_once": 0}, "must be above 0"),
        ({"key": "sk"}, "unknown setting 'key'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    all_settings = {"model": "tiny@http://127.0.0.1:9", "endpoint": "classify", "template": "reply"} | settings
    with pytest.raises(InputError, match=message):
        scoring.resolve(["wit"], [Specification("wit", "served", all_settings, trusted=True)], ScoringModels())


# The command


def test_command_checks_and_shows_a_served_value(pairs: str, tmp_path: Path) -> None:
    with RewardServer(ServedModel(pairs)) as server:
        path = tmp_path / "values.toml"
        lines = ["[wit]", 'family = "served"', f'model = "tiny@{server.url}"', 'endpoint = "classify"']
        path.write_text("\n".join([*lines, 'template = "reply"', "output = 1"]))
        done = CliRunner().invoke(command, ["--values-file", str(path)], catch_exceptions=False)
        assert done.exit_code == 0
        assert "reading   The model's raw output, as asked for (a logit)." in done.stdout
        path.write_text("\n".join([*lines, 'template = "reply"', "output = 7"]))
        refused = CliRunner().invoke(command, ["--values-file", str(path)])
        assert isinstance(refused.exception, InputError)
        assert "has 2 outputs" in str(refused.exception)
