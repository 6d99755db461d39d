"""Tests of ``/v1/responses`` with OpenAI's client: one text, typed events in order, and nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from tests.server.official_client import openai_client

#: The order of events in OpenAI's reference for a response of one text; deltas may repeat.
EVENTS = [
    "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.content_part.done",
    "response.output_item.done",
]  # fmt: skip


@pytest.fixture(scope="module")
def api(client: TestClient) -> Iterator[openai.OpenAI]:
    with openai_client(client) as api:
        yield api


def test_a_response_has_the_text_of_the_chat(api: openai.OpenAI) -> None:
    response = api.responses.create(
        model="tiny:plain", instructions="Be brief.", input="How are you?", max_output_tokens=8, metadata={"a": "b"},
        extra_body={"seed": 3},
    )  # fmt: skip
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How are you?"}]
    chat = api.chat.completions.create(model="tiny:plain", messages=messages, max_tokens=8, seed=3)
    assert response.output_text == chat.choices[0].message.content
    assert response.usage is not None
    assert chat.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (
        chat.usage.prompt_tokens, chat.usage.completion_tokens, chat.usage.total_tokens
    )  # fmt: skip
    ended = chat.choices[0].finish_reason == "stop"
    assert response.status == ("completed" if ended else "incomplete")
    assert (response.incomplete_details is None) == ended
    assert (response.metadata, response.instructions) == ({"a": "b"}, "Be brief.")
    assert response.value_palette["palette"] == "plain"  # type: ignore[attr-defined]
    assert response.output[0].value_palette["rewards"] == chat.choices[0].value_palette["rewards"]  # type: ignore[union-attr]


def test_messages_as_clients_write_them(api: openai.OpenAI) -> None:
    """Vercel's AI SDK and OpenAI's agents send conversations in this form."""
    items: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]},
    ]  # fmt: skip
    response = api.responses.create(
        model="tiny", input=items, store=False, include=["reasoning.encrypted_content"], max_output_tokens=8,
        text={"format": {"type": "text"}}, truncation="disabled", extra_body={"seed": 3},
    )  # fmt: skip
    messages: Any = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "How are you?"},
    ]  # fmt: skip
    chat = api.chat.completions.create(model="tiny", messages=messages, max_tokens=8, seed=3)
    assert response.output_text == chat.choices[0].message.content


@pytest.mark.parametrize("steered", [{}, {"weights": {"diversity": 1.0}, "candidates": 3}])
def test_a_stream_has_openai_s_events_in_order(api: openai.OpenAI, steered: dict[str, Any]) -> None:
    request: dict[str, Any] = {"model": "tiny", "input": "How are you?", "max_output_tokens": 16}
    response = api.responses.create(**request, extra_body={"seed": 5} | steered)
    events = list(api.responses.create(**request, stream=True, extra_body={"seed": 5} | steered))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert [kind for position, kind in enumerate(kinds) if kinds[position - 1 : position] != [kind]] == [
        *EVENTS, f"response.{response.status}"
    ]  # fmt: skip
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == response.output_text
    last = events[-1].response  # type: ignore[union-attr]
    assert last.output_text == text
    assert last.usage == response.usage
    assert last.id == events[0].response.id  # type: ignore[union-attr]
    stopping = {"seed": 5, "stop": [text[5:8]]} | steered
    with api.responses.stream(**request, extra_body=stopping) as stream:  # accumulated by the client
        assert stream.get_final_response().output_text == text[: text.index(text[5:8])]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "input is missing"),
        ({"input": 3}, "expected text or a list of messages"),
        ({"input": []}, "input is empty"),
        ({"input": "Hi", "n": 2}, "a response has one reply"),
        ({"input": "Hi", "previous_response_id": "resp_1"}, "cannot honour previous_response_id"),
        ({"input": "Hi", "conversation": "conv_1"}, "cannot honour conversation"),
        ({"input": "Hi", "background": True}, "cannot honour background"),
        ({"input": "Hi", "tools": [{"type": "web_search"}]}, "cannot honour tools"),
        ({"input": "Hi", "include": ["message.output_text.logprobs"]}, "cannot honour include"),
        ({"input": "Hi", "text": {"format": {"type": "json_schema"}}}, "cannot honour text"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "this server stores none"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "expected a message with text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "expected text"),
    ],
)
def test_unsupported_fields_are_refused_in_openai_s_format(
    client: TestClient, fields: dict[str, Any], message: str
) -> None:
    response = client.post("/v1/responses", json=fields)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
