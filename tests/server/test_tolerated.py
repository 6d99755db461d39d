"""Tests of unsupported fields: without effect they are accepted with a note; those that change a reply are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from map_core.core.types import SamplingSettings
from map_core.server.chat_body import ChatBody
from map_core.server.errors import Refusal, RequestLimits
from map_core.server.fields import read_fields
from tests.server.inline import make_parser

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "How are you?"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def notes_on(fields: dict[str, Any]) -> str:
    return " ".join(read_fields(json.dumps({"messages": HELLO} | fields).encode(), ChatBody)[1])


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": False}, {"logprobs": 0}, {"logprobs": None}, {"top_logprobs": 0}, {"frequency_penalty": 0.0},
        {"presence_penalty": 0}, {"repetition_penalty": 1.0}, {"repeat_penalty": 1}, {"min_p": 0}, {"typical_p": 1.0},
        {"top_k": -1}, {"n": 1}, {"best_of": 1}, {"logit_bias": {}}, {"tools": []}, {"tools": None},
        {"tool_choice": "auto"}, {"functions": []}, {"response_format": {"type": "text"}}, {"modalities": ["text"]},
        {"stream": False}, {"stream_options": {"include_usage": True}}, {"stop": []}, {"stop": None}, {"user": "me"},
        {"seed": None}, {"temperature": None}, {"min_tokens": 0}, {"ignore_eos": False}, {"skip_special_tokens": True},
        {"stop_token_ids": []}, {"chat_template_kwargs": {}}, {"echo": False}, {"metadata": None},
    ],
)  # fmt: skip
def test_neutral_values_are_accepted_without_a_note(fields: dict[str, Any]) -> None:
    assert notes_on(fields) == ""


@pytest.mark.parametrize(
    "name",
    ["metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort", "verbosity",
     "parallel_tool_calls"],
)  # fmt: skip
def test_fields_without_effect_are_named_in_a_note(name: str) -> None:
    assert notes_on({name: "low"}) == f"Fields that change nothing here: {name}."


def test_tools_that_the_request_disables_are_left_out() -> None:
    assert "tools are not shown to the model" in notes_on({"tools": [TOOL], "tool_choice": "none"})
    assert "functions are not shown" in notes_on({"functions": [TOOL], "function_call": "none"})
    for fields in ({"tools": [TOOL]}, {"tools": [TOOL], "tool_choice": "auto"}, {"tool_choice": "required"}):
        with pytest.raises(Refusal, match="cannot honour tool"):
            notes_on(fields)


@pytest.mark.parametrize(
    "fields",
    [{"logprobs": True}, {"top_logprobs": 5}, {"frequency_penalty": 0.5}, {"min_p": 0.05}, {"logit_bias": {"5": 1}},
     {"response_format": {"type": "json_object"}}, {"min_tokens": 3}, {"chat_template_kwargs": {"thinking": False}}],
)  # fmt: skip
def test_fields_that_would_change_the_reply_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=f"cannot honour {next(iter(fields))}") as refusal:
        notes_on(fields)
    assert refusal.value.code == "unsupported_parameter"


def post_chat(client: TestClient, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    response = client.post("/v1/chat/completions", json={"messages": messages, "seed": 3, "max_tokens": 8} | fields)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def notes_of(response: dict[str, Any]) -> str:
    return " ".join(response["value_palette"]["notes"])


def test_roles_and_contents_as_clients_write_them(client: TestClient) -> None:
    plain = post_chat(client, [{"role": "system", "content": "Be brief."}, *HELLO])
    developer = post_chat(client, [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *HELLO])
    user = {"role": "user", "content": [{"type": "text", "text": text} for text in ("How are", " you?")]}
    parts = post_chat(client, [{"role": "system", "content": "Be brief."}, user])
    texts = {response["choices"][0]["message"]["content"] for response in (plain, developer, parts)}
    assert len(texts) == 1
    assert len({response["usage"]["prompt_tokens"] for response in (plain, developer, parts)}) == 1
    assert notes_of(plain) == ""


def test_a_system_message_in_the_middle_joins_the_first(client: TestClient) -> None:
    middle = [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "system", "content": "Be kind."}]
    joined = [{"role": "system", "content": "Be brief.\n\nBe kind."}, *HELLO]
    responses = [post_chat(client, messages) for messages in (middle, joined)]
    assert responses[0]["choices"][0]["message"] == responses[1]["choices"][0]["message"]
    assert "Message 3 is read as part of the system message" in notes_of(responses[0])
    assert notes_of(responses[1]) == ""


def test_a_chat_may_begin_with_the_assistant(client: TestClient, tiny: Path) -> None:
    greeting = [{"role": "assistant", "content": "Hello, what can I do?"}, *HELLO]
    response = post_chat(client, greeting)
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    rendered = tokenizer.apply_chat_template(greeting, add_generation_prompt=True, tokenize=False)
    assert response["usage"]["prompt_tokens"] == len(tokenizer.encode(rendered, add_special_tokens=False))


def test_an_assistant_without_content_is_read_as_empty(client: TestClient) -> None:
    chat = [*HELLO, {"role": "assistant", "content": None}, {"role": "user", "content": "And now?"}]
    assert "Message 2 has no content" in notes_of(post_chat(client, chat))
    empty_last = post_chat(client, [*HELLO, {"role": "assistant", "content": ""}])
    assert empty_last["choices"][0]["message"] == post_chat(client, HELLO)["choices"][0]["message"]


def test_a_reply_continues_a_given_beginning(client: TestClient, tiny: Path) -> None:
    """Greedy continuation from the first half of a greedy reply is its second half."""
    full = post_chat(client, HELLO, temperature=0, max_tokens=24)
    text = full["choices"][0]["message"]["content"]
    half = text[: len(text) // 2].rstrip()
    prefilled = [*HELLO, {"role": "assistant", "content": half}]
    continuation = post_chat(client, prefilled, temperature=0, max_tokens=24, values=["diversity"])
    from map_core.scoring.lexicon import Diversity

    continuation_text = continuation["choices"][0]["message"]["content"]
    reward = continuation["choices"][0]["value_palette"]["rewards"]["diversity"]
    assert reward == pytest.approx(Diversity.of(half + continuation_text))
    assert continuation["usage"]["prompt_tokens"] > full["usage"]["prompt_tokens"]
    assert "the answer is its continuation" in notes_of(continuation)
    vllm_fields = {"continue_final_message": True, "add_generation_prompt": False}
    by_vllm_fields = post_chat(client, prefilled, temperature=0, max_tokens=24, **vllm_fields)
    assert by_vllm_fields["choices"][0]["message"]["content"] == continuation_text
    no_continuation: dict[str, Any] = {"continue_final_message": False}
    new_message: dict[str, Any] = {"add_generation_prompt": True}
    for fields, messages in ((no_continuation, prefilled), (new_message, prefilled), (vllm_fields, HELLO)):
        response = client.post("/v1/chat/completions", json={"messages": messages} | fields)
        assert response.status_code == 400
        assert "Leave" in response.json()["error"]["message"]


def test_replies_without_max_tokens_may_fill_the_context(tiny: Path) -> None:
    parser = make_parser(tiny)
    body: dict[str, Any] = {"messages": HELLO}

    def settings_and_notes(**fields: Any) -> tuple[SamplingSettings, str]:
        request = parser.chat(json.dumps(body | fields).encode())
        return request.requests[0].settings, " ".join(request.notes)

    free, notes = settings_and_notes()
    room = 256 - parser.chat(json.dumps(body).encode()).prompt_tokens
    assert (free.max_new_tokens, notes) == (room, "")
    steered, notes = settings_and_notes(weights={"humor": 1.0})
    assert steered.max_new_tokens == room
    assert "the table's ended at 64 tokens, so its forecast need not hold" in notes
    assert "room" not in notes
    as_in_table, notes = settings_and_notes(weights={"humor": 1.0}, max_tokens=64)
    assert (as_in_table.max_new_tokens, notes) == (64, "")
    short = make_parser(tiny, RequestLimits(tokens=30))
    assert short.chat(json.dumps(body).encode()).requests[0].settings.max_new_tokens == 30


def test_replies_end_at_a_default_length_where_the_table_names_none(tiny: Path) -> None:
    parser = make_parser(tiny, default_length=160)

    def settings_and_notes(**fields: Any) -> tuple[SamplingSettings, str]:
        request = parser.chat(json.dumps({"messages": HELLO} | fields).encode())
        return request.requests[0].settings, " ".join(request.notes)

    assert settings_and_notes()[0].max_new_tokens == 160
    steered, notes = settings_and_notes(weights={"humor": 1.0})
    assert steered.max_new_tokens == 160
    assert notes.count("forecast") == 1
    assert "replies end at 160 tokens at the latest" in notes
    assert settings_and_notes(weights={"humor": 1.0}, max_tokens=190)[0].max_new_tokens == 190
    short = make_parser(tiny, RequestLimits(tokens=30), default_length=160)
    assert short.chat(json.dumps({"messages": HELLO}).encode()).requests[0].settings.max_new_tokens == 30


def test_another_model_than_the_table_s_is_noted_where_something_is_steered(tiny: Path) -> None:
    foreign = "The palettes are solved on replies of another model."
    parser = make_parser(tiny, foreign=foreign)

    def notes(**fields: Any) -> tuple[str, ...]:
        return parser.chat(json.dumps({"messages": HELLO, "max_tokens": 64} | fields).encode()).notes

    assert notes() == ()
    assert foreign in notes(palette="plain")
    assert foreign in notes(weights={"humor": 1.0})
