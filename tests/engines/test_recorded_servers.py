"""Tests of the remote engine with recorded responses of real servers; slow tests use the servers themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from map_core.core.types import Reply, SamplingSettings
from map_core.engines.draw_request import DrawRequest
from map_core.engines.remote_engine import RemoteEngine
from map_core.engines.tokens import reply_of
from map_core.errors import InputError
from tests.recorded import Recording
from tests.recorded.record import PROMPT, SEEDS, SERVERS, record
from tests.tiny_model import make_tiny_model

#: Servers that return replies with log-probabilities.
LOG_PROB_SERVERS = ("llama_cpp", "litellm")


def draw_replies(model: str, url: str, candidates: int = len(SEEDS), prompt: str = PROMPT[0]["content"]) -> list[Reply]:
    """Return the replies that the engine draws from a server."""
    engine = RemoteEngine(f"{model}@{url}", trusted=True)
    request = DrawRequest(prompt, candidates, SamplingSettings(max_new_tokens=12), seed=1)
    tokens = [token for step in engine.sample(request) for token in step]
    return [reply_of([token for token in tokens if token.candidate == k]) for k in range(candidates)]


def reference_log_probs(folder: Path, tokens: list[int]) -> list[float]:
    """Return the log-probabilities of a reply's tokens, computed by transformers from the chat and the reply."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_dict=True)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([chat + tokens])).logits[0, len(chat) - 1 : -1]
    return torch.log_softmax(logits, -1)[range(len(tokens)), tokens].tolist()


@pytest.mark.parametrize("name", [*LOG_PROB_SERVERS, "transformers_serve", "litellm_transformers"])
def test_replies_match_the_recording_and_log_probabilities_are_complete_or_absent(name: str):
    recording = Recording(name)
    with recording.server() as server:
        replies = draw_replies(recording.model, server.url)
    expected = sorted(recording.replies, key=lambda reply: reply.text)
    for reply, recorded in zip(sorted(replies, key=lambda reply: reply.text), expected, strict=True):
        assert reply.text == recorded.text
        assert reply.finished == (recorded.finish == "stop")
        # The server counts the end-of-turn token, but does not return its log-probability.
        complete = len(recorded.log_probs) == recorded.tokens - (recorded.finish == "stop")
        assert reply.log_probs == (pytest.approx(recorded.log_probs) if complete else ())


@pytest.mark.parametrize("name", LOG_PROB_SERVERS)
def test_recorded_log_probabilities_are_those_of_the_model(name: str, tmp_path: Path):
    """Complete log-probabilities equal those of transformers, up to the server's cache in half precision."""
    model = make_tiny_model(tmp_path / "tiny")
    compared = 0
    for stream, reply in zip(Recording(name).exchanges["streams"], Recording(name).replies, strict=True):
        if len(reply.log_probs) != reply.tokens:
            continue
        lines = [line[6:] for line in stream["text"].splitlines() if line.startswith("data: {")]
        choices = [
            choice for line in lines for choice in json.loads(line).get("choices") or () if choice.get("logprobs")
        ]
        vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
        tokens = [token_id(vocabulary, bytes(token["bytes"])) for c in choices for token in c["logprobs"]["content"]]
        if None in tokens:
            continue
        assert reply.log_probs == pytest.approx(reference_log_probs(model, tokens), abs=2e-2)
        compared += 1
    assert compared


def token_id(vocabulary: dict[str, int], spelling: bytes) -> int | None:
    """Return the id of the token of a byte-level vocabulary that spells these bytes, or None."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    return vocabulary.get("".join(letters[byte] for byte in spelling))


def test_gateway_error_does_not_name_the_refused_field():
    """The message is the same for each field, so the client has to find refused fields one by one."""
    fields = Recording("litellm_transformers").exchanges["fields"]
    assert Recording("litellm_transformers").refused == {"top_k", "min_p", "repetition_penalty"}
    assert len({fields[name]["text"] for name in Recording("litellm_transformers").refused}) == 1
    assert "top_k" in Recording("transformers_serve").exchanges["fields"]["top_k"]["text"]


@pytest.mark.parametrize("name", ["transformers_serve", "litellm_transformers"])
def test_fields_refused_by_a_server_are_left_out(name: str):
    """Refused fields are found whether the error names them or not, and are not sent again."""
    recording = Recording(name)
    with recording.server() as server:
        engine = RemoteEngine(f"{recording.model}@{server.url}", trusted=True)
        engine.complete(DrawRequest("Hi", settings=SamplingSettings(max_new_tokens=12)))
        before = len(server.requests)
        engine.complete(DrawRequest("Hi", settings=SamplingSettings(max_new_tokens=12)))
    assert len(server.requests) == before + 1
    assert not recording.refused & server.requests[-1].keys()
    assert {"seed", "max_tokens", "logprobs", "stream_options"} <= server.requests[-1].keys()


@pytest.mark.parametrize("name", LOG_PROB_SERVERS)
def test_context_overflow_repeats_the_error_of_the_server(name: str):
    recording = Recording(name)
    with recording.server() as server, pytest.raises(InputError, match=r"1026 tokens.*256 tokens"):
        draw_replies(recording.model, server.url, 1, "Where is my parcel? " * 100)


@pytest.fixture(scope="module", params=SERVERS)
def live_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """Start a real server and return the names of its recording and of its model, and its address."""
    start, model = SERVERS[request.param]
    with start(tmp_path_factory.mktemp("server")) as address:
        yield request.param, model, address


@pytest.mark.slow
@pytest.mark.external
def test_recordings_match_the_live_servers(live_server: tuple[str, str, str]):
    name, model, address = live_server
    responses = record(address, model)
    for part in ("models", "overflow", "unknown_model"):
        assert responses[part]["status"] == Recording(name).exchanges[part]["status"], part
    statuses = {field: answer["status"] for field, answer in responses["fields"].items()}
    assert statuses == {field: answer["status"] for field, answer in Recording(name).exchanges["fields"].items()}
    assert responses["streams"][0]["status"] == 200
    assert responses["streams"][0]["type"] == Recording(name).exchanges["streams"][0]["type"]


@pytest.mark.slow
@pytest.mark.external
def test_engine_draws_from_the_live_server(live_server: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch):
    from tests.recorded import servers

    name, model, address = live_server
    if name not in LOG_PROB_SERVERS:
        pytest.skip("Refused in words, by the tests of what is refused.")
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", servers.KEY)
    replies = draw_replies(model, address, 4)
    assert len({reply.text for reply in replies}) == 4
    assert all(reply.text for reply in replies)
