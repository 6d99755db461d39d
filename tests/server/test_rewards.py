"""Tests of ``/get_reward``: rewards of given replies are the scorers' rewards, summed with the palette's weights."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from map_core.analysis.generation_weights import GenerationWeightsSolver
from map_core.core.types import Reply, Turn
from map_core.data import table_format
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.generation.given_replies import GivenReplies, score_given
from map_core.models.chat_template import ChatTokenizer
from map_core.models.rendered_chat import read_rendered
from map_core.palettes.targets import resolve
from map_core.scoring import scorers
from tests import ROOT
from tests.server.inline import PALETTES, in_process_server, make_parser
from tests.toy_engine import ToyEngine

QUESTIONS = ("How do I sleep better?", "Where is my parcel?")
REPLIES = ("Rest, and drink water.", "It is on its way.", "no no no no", "")


def prompts_and_replies() -> tuple[list[str], list[str]]:
    """Return prompts and replies: two questions with two replies each, interleaved."""
    return [QUESTIONS[0], QUESTIONS[1], QUESTIONS[0], QUESTIONS[1]], list(REPLIES)


def test_the_reward_is_the_weighted_sum_of_the_values(client: TestClient) -> None:
    prompts, replies = prompts_and_replies()
    result = client.post("/get_reward", json={"palette": "plain", "prompts": prompts, "replies": replies}).json()
    table = table_format.load(table_format.DEFAULT_TABLE)
    solver = GenerationWeightsSolver(table)
    levels = resolve(dict(PALETTES["plain"]), table, solver.oracle)
    # A trainer uses the weights of the whole table.
    weights = solver.solve(levels, int(table.candidates.max())).weights
    assert result["value_palette"]["weights"] == pytest.approx(weights)
    expected = {
        scorer.name: [
            float(scorer.score(prompt, [Reply(reply)])[0]) for prompt, reply in zip(prompts, replies, strict=True)
        ]
        for scorer in scorers(["plain_language", "diversity"])
    }
    assert result["extra_logs"].keys() == expected.keys()
    for name, rewards in expected.items():
        assert result["extra_logs"][name] == pytest.approx(rewards)
    sums = [sum(weights.get(name, 0.0) * expected[name][row] for name in expected) for row in range(4)]
    assert result["rewards"] == result["scores"] == pytest.approx(sums)


def test_openrlhf_s_request_format(client: TestClient, tiny: Path) -> None:
    """Its client sends one row per request: the rendered prompt, and the decoded prompt with the reply."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    direct = client.post(
        "/get_reward", json={"palette": "words", "prompts": list(QUESTIONS), "replies": list(REPLIES[:2])}
    )
    for row, (question, reply) in enumerate(zip(QUESTIONS, REPLIES[:2], strict=True)):
        chat = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(text=prompt, add_special_tokens=False)["input_ids"] + tokenizer.encode(reply + "<|im_end|>")
        query = tokenizer.decode(tokens, skip_special_tokens=False)
        for body in ({"query": [query], "prompts": [prompt], "labels": [""]}, {"query": [query]}):
            result = client.post("/get_reward?palette=words", json=body).json()
            assert result["rewards"] == pytest.approx([direct.json()["rewards"][row]])
            assert {name: len(rewards) for name, rewards in result["extra_logs"].items()} == {
                "familiarity": 1, "diversity": 1
            }  # fmt: skip


def test_log_probabilities_are_those_of_the_chat(client: TestClient, tiny: Path) -> None:
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi."}, {"role": "user", "content": QUESTIONS[0]}]  # fmt: skip
    reply = [{"role": "assistant", "content": REPLIES[0]}]  # as TRL passes a conversation on
    result = client.post(
        "/get_reward", json={"weights": {"familiarity": 2.0}, "prompts": [chat], "replies": [reply]}
    ).json()
    engine = open_engine(str(tiny), "torch", "float32")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    rendered = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    before = tokenizer.encode(rendered, add_special_tokens=False)
    after = tokenizer.encode(REPLIES[0], add_special_tokens=False)
    with torch.inference_mode():
        logits = model(torch.tensor([before + after])).logits[0].double().log_softmax(-1)
    log_probs = [float(logits[len(before) - 1 + k, token]) for k, token in enumerate(after)]
    assert result["extra_logs"]["familiarity"] == pytest.approx([np.mean(log_probs)], abs=1e-5)
    assert result["rewards"] == pytest.approx([2 * np.mean(log_probs)], abs=1e-5)
    given_replies = GivenReplies(QUESTIONS[0], (REPLIES[0],), "Be kind.", (Turn("Hello", "Hi."),))
    (scorer,) = scorers(["familiarity"])
    assert score_given(engine, {"familiarity": scorer}, given_replies).rewards["familiarity"] == pytest.approx(
        [np.mean(log_probs)], abs=1e-5
    )


def test_an_engine_without_log_probabilities_refuses_the_values_that_read_them() -> None:
    given_replies = GivenReplies("Why?", ("Because.",))
    with pytest.raises(InputError, match="familiarity read log-probabilities"):
        score_given(ToyEngine(), {scorer.name: scorer for scorer in scorers(["familiarity"])}, given_replies)
    (diversity,) = scorers(["diversity"])
    assert score_given(ToyEngine(), {"diversity": diversity}, given_replies).rewards == {"diversity": (1.0,)}


@pytest.mark.parametrize("turns", [1, 2, 5])
@pytest.mark.parametrize("system", [None, "Be brief.\nAnd kind."])
def test_a_rendered_chat_is_read_back(tiny: Path, turns: int, system: str | None) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    chat = [] if system is None else [{"role": "system", "content": system}]
    for number in range(turns):
        chat += [{"role": "user", "content": f"Question {number}?\n\nPlease."}]
        chat += [{"role": "assistant", "content": f"assistant\nAnswer {number}"}] if number < turns - 1 else []
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    for ending in ("", "<|im_end|>", "<|im_end|>\n<|im_end|>"):
        for reply in ("", "Yes.\nuser"):
            parsed = read_rendered(ChatTokenizer(tiny), text + reply + ending)
            assert parsed is not None
            assert [dict(message) for message in parsed.messages] == chat
            assert parsed.reply == reply
    for not_rendered in ("How are you?", text.replace("assistant", "bot"), text + "<|im_start|>user\nAnd?"):
        assert read_rendered(ChatTokenizer(tiny), not_rendered) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"palette": None}, "Give either a palette or weights"),
        ({"weights": {"humor": 1}}, "either a palette or weights"),
        ({"palette": "warm"}, "no palette 'warm' here"),
        ({"palette": None, "weights": {"wit": 1}}, "weights names 'wit'"),
        ({"query": ["x"]}, "Give either query or replies"),
        ({"replies": None}, "Give either query or replies"),
        ({"prompts": None}, "prompts is missing"),
        ({"replies": ["a", "b"]}, "There are 1 prompts and 2 replies"),
        ({"replies": []}, "expected texts or chats"),
        ({"replies": [3]}, "replies.0 is 3"),
        ({"prompts": [3]}, "prompts.0 is 3"),
        ({"prompts": [""]}, "The last message is empty"),
        ({"prompts": ["<|im_start|>user\nHi"]}, "holds special tokens"),
        ({"prompts": [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "So"}]]}, "the assistant's"),
        ({"prompts": None, "replies": None, "query": ["How are you? Fine."]}, "does not begin with its prompt"),
        ({"replies": ["a"] * 2000, "prompts": ["b"] * 2000}, "2,000 rows"),
        ({"reply": ["a"]}, "no field 'reply'"),
        ({"palette": "words", "replies": ["word " * 300]}, "the context of"),
    ],
)
def test_invalid_requests_are_refused(client: TestClient, fields: dict[str, Any], message: str) -> None:
    body = {"palette": "plain", "prompts": ["Hi"], "replies": ["Hello."]} | fields
    response = client.post("/get_reward", json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


def test_a_lost_model_is_reported_and_the_next_call_is_scored(tiny: Path) -> None:
    body = {"palette": "plain", "prompts": ["Hi"], "replies": ["Hello."]}
    with in_process_server(str(tiny), make_parser(tiny)) as (client, service):
        expected = client.post("/get_reward", json=body).json()["rewards"]
        future = service.score([GivenReplies("Hi", ("Hello.",) * 3)] * 500, ["diversity"])
        service._worker.die("It was killed.")  # type: ignore[union-attr]
        with pytest.raises(Exception, match=r"It was killed\. Send the request again"):
            future.result(30)
        assert client.post("/get_reward", json=body).json()["rewards"] == expected


@pytest.mark.parametrize("trainer", ["TRL", "verl"])
def test_the_examples_of_the_docs_run(client: TestClient, trainer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example has at most five lines; here its requests go to the server of this process."""
    text = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    block = re.search(rf"{trainer}[^\n]*:\n\n((?:    [^\n]*\n|\n)+)", text)
    assert block is not None
    code = re.sub(r"(?m)^    ", "", block[1]).strip()
    assert len(code.splitlines()) <= 5
    requests = types.ModuleType("requests")
    requests.post = lambda url, json: client.post(url.removeprefix("http://127.0.0.1:8000"), json=json)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "requests", requests)
    namespace: dict[str, Any] = {}
    exec(code.replace("warm", "plain"), namespace)
    direct = client.post(
        "/get_reward", json={"palette": "plain", "prompts": list(QUESTIONS), "replies": list(REPLIES[:2])}
    ).json()["rewards"]
    if trainer == "TRL":
        assert namespace["palette"](prompts=list(QUESTIONS), completions=list(REPLIES[:2]), other=[1, 2]) == direct
        chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
        answers = [[{"role": "assistant", "content": reply}] for reply in REPLIES[:2]]
        assert namespace["palette"](prompts=chats, completions=answers) == direct
    else:
        score = namespace["compute_score"]("data", REPLIES[0], None, extra_info={"question": QUESTIONS[0]})
        assert score == pytest.approx(direct[0])
