"""Tests of ``/v1/completions`` with OpenAI's client, compared with transformers: a text in, its continuation out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from tests.server.official_client import openai_client


@pytest.fixture(scope="module")
def api(client: TestClient) -> Iterator[openai.OpenAI]:
    with openai_client(client) as api:
        yield api


PROMPT = "The cat sat on the"


def test_a_text_is_continued_as_by_transformers(api: openai.OpenAI, tiny: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ids = tokenizer(PROMPT, return_tensors="pt")
    tokens = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
    completion = api.completions.create(model="tiny", prompt=PROMPT, temperature=0, max_tokens=12)
    assert completion.object == "text_completion"
    assert completion.choices[0].text == tokenizer.decode(tokens, skip_special_tokens=True)
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == ids["input_ids"].shape[1]


def test_a_rendered_chat_is_continued_as_the_chat(api: openai.OpenAI, tiny: Path) -> None:
    from transformers import AutoTokenizer

    messages: Any = [{"role": "user", "content": "How are you?"}]
    text = AutoTokenizer.from_pretrained(tiny).apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    chat = api.chat.completions.create(model="tiny", messages=messages, seed=4, max_tokens=12)
    completion = api.completions.create(model="tiny", prompt=text, seed=4, max_tokens=12)
    assert completion.choices[0].text == chat.choices[0].message.content
    assert completion.usage == chat.usage


def test_a_list_of_prompts_gives_n_choices_of_each_in_order(api: openai.OpenAI) -> None:
    prompts = [PROMPT, "Why did the chicken"]
    completion = api.completions.create(model="tiny", prompt=prompts, n=2, seed=5, max_tokens=8)
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    for position, prompt in enumerate(prompts):
        alone = api.completions.create(model="tiny", prompt=prompt, n=2, seed=5, max_tokens=8)
        choices = completion.choices[2 * position : 2 * position + 2]
        assert [choice.text for choice in choices] == [choice.text for choice in alone.choices]


@pytest.mark.parametrize("steered", [{}, {"weights": {"diversity": 1.0}, "candidates": 3}])
def test_chunks_of_a_stream_add_up_to_the_completion(api: openai.OpenAI, steered: dict[str, Any]) -> None:
    request: dict[str, Any] = {"model": "tiny", "prompt": PROMPT, "seed": 6, "max_tokens": 16, "extra_body": steered}
    completion = api.completions.create(**request)
    chunks = list(api.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == completion.choices[0].text
    assert chunks[-1].usage == completion.usage
    end = next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason)
    assert end.choices[0].finish_reason == completion.choices[0].finish_reason
    assert end.value_palette["weights"] == steered.get("weights", {})  # type: ignore[attr-defined]
    assert bool(steered) == any("read without a chat" in note for note in completion.value_palette["notes"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "prompt is missing; expected text or a list of texts"),
        ({"prompt": ""}, "A prompt is empty"),
        ({"prompt": []}, "expected text or a list of texts"),
        ({"prompt": [1, 2, 3]}, "token ids"),
        ({"prompt": [[1, 2], [3]]}, "token ids"),
        ({"prompt": ["a"] * 17}, "17 prompts"),
        ({"prompt": ["a"] * 5, "n": 4}, "n times prompts is 20"),
        ({"prompt": "a", "echo": True}, "cannot honour echo"),
        ({"prompt": "a", "logprobs": 1}, "cannot honour logprobs"),
        ({"prompt": "a", "suffix": "b"}, "cannot honour suffix"),
        ({"prompt": "a", "best_of": 3}, "cannot honour best_of"),
        ({"prompt": "a\ud800"}, "not valid text"),
        ({"prompt": "word " * 900}, "maximum context length is 256 tokens"),
    ],
)
def test_unsupported_fields_are_refused(client: TestClient, fields: dict[str, Any], message: str) -> None:
    response = client.post("/v1/completions", content=json.dumps(fields), headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
