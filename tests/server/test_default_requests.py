"""Tests of the default requests of clients, in which only address, model and messages are set: each is served.

The bodies were recorded from the named clients, with shorter messages; those of openai and lm-eval were written from
their documentation and source.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

CHAT: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "How are you?"},
]
DEVELOPER: Any = [{"role": "developer", "content": "Be brief."}, *CHAT[1:]]
PARTS: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
    {"role": "user", "content": [{"type": "input_text", "text": "How are you?"}]},
]
ITEMS: Any = [
    {"content": "Be brief.", "role": "system", "type": "message"},
    {"content": "Hi", "role": "user", "type": "message"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]},
    {"content": "How are you?", "role": "user", "type": "message"},
]
TEXT = "Be brief.\n\nuser:\nHi\n\nassistant:\nHello.\n\nuser:\nHow are you?\n\nassistant:\n"
#: The token counts of a usage, by the names of both interfaces.
COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
USAGE = {"stream_options": {"include_usage": True}}

REQUESTS = {
    "openai for Python 3.57 and for Node 6.49": ("chat/completions", {"messages": CHAT}),
    "llm 0.36": ("chat/completions", {"messages": CHAT, "stream": True} | USAGE),
    "AI SDK 6.0, openai 3.0, responses": ("responses", {"input": PARTS}),
    "AI SDK 6.0, openai 3.0, responses, stream": ("responses", {"input": PARTS, "stream": True}),
    "AI SDK 6.0, openai 3.0, chat": ("chat/completions", {"messages": CHAT}),
    "AI SDK 6.0, openai 3.0, chat, stream": ("chat/completions", {"messages": CHAT, "stream": True} | USAGE),
    "AI SDK 6.0, openai 3.0, chat of a reasoning model": ("chat/completions", {"messages": DEVELOPER}),
    "AI SDK 6.0, openai 3.0, completion": ("completions", {"prompt": TEXT, "stop": ["\nuser:"]}),
    "AI SDK 6.0, openai 3.0, completion, stream": ("completions", {"prompt": TEXT, "stream": True} | USAGE),
    "AI SDK 6.0, openai-compatible 2.0": ("chat/completions", {"messages": CHAT, "stream": True}),
    "langchain-openai 1.7, chat": ("chat/completions", {"messages": CHAT, "stream": False}),
    "langchain-openai 1.7, responses": ("responses", {"input": ITEMS, "stream": False}),
    "langchain-openai 1.7, completion": (
        "completions",
        {"prompt": [TEXT], "frequency_penalty": 0, "logprobs": None, "max_tokens": 256, "n": 1, "presence_penalty": 0,
         "seed": None, "temperature": 0.7, "top_p": 1},
    ),
    "lm-evaluation-harness 0.4, chat": (
        "chat/completions",
        {"messages": CHAT, "max_tokens": 256, "temperature": 0, "stop": ["<|endoftext|>"], "seed": 1234},
    ),
    "lm-evaluation-harness 0.4, texts": (
        "completions", {"prompt": [TEXT], "max_tokens": 256, "temperature": 0, "stop": ["\n\n"], "seed": 1234}
    ),
    "promptfoo 0.121, chat": ("chat/completions", {"messages": CHAT, "max_tokens": 1024, "temperature": 0}),
    "promptfoo 0.121, responses": (
        "responses",
        {"input": "Hi", "max_output_tokens": 1024, "temperature": 0, "text": {"format": {"type": "text"}}},
    ),
    "promptfoo 0.121, completion": (
        "completions",
        {"prompt": "Hi", "max_tokens": 1024, "temperature": 0, "top_p": 1, "presence_penalty": 0,
         "frequency_penalty": 0, "best_of": 1, "stop": ["<|im_end|>", "<|endoftext|>"]},
    ),
    "LiteLLM 1.108, stream": ("chat/completions", {"messages": CHAT, "seed": 3, "stream": True} | USAGE),
    "LiteLLM 1.108, responses": ("responses", {"input": "Hi"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_default_requests_of_clients_are_served(client: TestClient, name: str) -> None:
    path, body = REQUESTS[name]
    response = client.post(f"/v1/{path}", json={"model": "tiny"} | body)
    assert response.status_code == 200, response.text
    if body.get("stream"):
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        assert lines
        assert not any(json.loads(line).get("error") or json.loads(line).get("type") == "error" for line in lines)
    else:
        usage = response.json()["usage"]
        assert usage["total_tokens"] == sum(usage[count] for count in usage if count in COUNTS) > 0
