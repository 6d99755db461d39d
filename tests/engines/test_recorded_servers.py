"""The remote engine on what real servers answered: recorded, and in slow tests from the servers themselves."""

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

#: Servers that answer with replies, and with log-probabilities.
TELLING = ("llama_cpp", "litellm")


def drawn(model: str, url: str, candidates: int = len(SEEDS), prompt: str = PROMPT[0]["content"]) -> list[Reply]:
    """The replies that the engine reads from a server."""
    engine = RemoteEngine(f"{model}@{url}", trusted=True)
    request = DrawRequest(prompt, candidates, SamplingSettings(max_new_tokens=12), seed=1)
    tokens = [token for step in engine.sample(request) for token in step]
    return [reply_of([token for token in tokens if token.candidate == k]) for k in range(candidates)]


def reference_log_probs(folder: Path, tokens: list[int]) -> list[float]:
    """The log-probabilities of a reply's tokens by transformers' own call on chat and reply."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_dict=True)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([chat + tokens])).logits[0, len(chat) - 1 : -1]
    return torch.log_softmax(logits, -1)[range(len(tokens)), tokens].tolist()


@pytest.mark.parametrize("name", [*TELLING, "transformers_serve", "litellm_transformers"])
def test_replies_are_the_servers_and_log_probabilities_are_whole_or_none(name: str):
    recording = Recording(name)
    with recording.server() as server:
        replies = drawn(recording.model, server.url)
    expected = sorted(recording.replies, key=lambda reply: reply.text)
    for reply, own in zip(sorted(replies, key=lambda reply: reply.text), expected, strict=True):
        assert reply.text == own.text
        assert reply.finished == (own.finish == "stop")
        # The end of the turn is a token that the server counts and does not tell.
        whole = len(own.log_probs) == own.tokens - (own.finish == "stop")
        assert reply.log_probs == (pytest.approx(own.log_probs) if whole else ())


@pytest.mark.parametrize("name", TELLING)
def test_recorded_log_probabilities_are_those_of_the_model(name: str, tmp_path: Path):
    """Where all tokens are told, with a cache in half precision, they are what transformers computes."""
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
        tokens = [ids_of(vocabulary, bytes(token["bytes"])) for c in choices for token in c["logprobs"]["content"]]
        if None in tokens:
            continue
        assert reply.log_probs == pytest.approx(reference_log_probs(model, tokens), abs=2e-2)
        compared += 1
    assert compared


def ids_of(vocabulary: dict[str, int], spelled: bytes) -> int | None:
    """The token of a byte-level vocabulary that spells these bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    return vocabulary.get("".join(letters[byte] for byte in spelled))


def test_a_gateway_does_not_name_the_field_that_the_server_behind_it_refuses():
    """Whoever drops refused fields has to try them one by one: the message is the same for each."""
    fields = Recording("litellm_transformers").exchanges["fields"]
    assert Recording("litellm_transformers").refused == {"top_k", "min_p", "repetition_penalty"}
    assert len({fields[name]["text"] for name in Recording("litellm_transformers").refused}) == 1
    assert "top_k" in Recording("transformers_serve").exchanges["fields"]["top_k"]["text"]


@pytest.mark.parametrize("name", ["transformers_serve", "litellm_transformers"])
def test_what_a_real_server_refuses_is_left_out(name: str):
    """One names the fields and the other does not; the replies are those that it gives without them."""
    recording = Recording(name)
    with recording.server() as server:
        engine = RemoteEngine(f"{recording.model}@{server.url}", trusted=True)
        engine.complete(DrawRequest("Hi", settings=SamplingSettings(max_new_tokens=12)))
        before = len(server.requests)
        engine.complete(DrawRequest("Hi", settings=SamplingSettings(max_new_tokens=12)))
    assert len(server.requests) == before + 1
    assert not recording.refused & server.requests[-1].keys()
    assert {"seed", "max_tokens", "logprobs", "stream_options"} <= server.requests[-1].keys()


@pytest.mark.parametrize("name", TELLING)
def test_no_room_in_the_context_is_said_in_the_servers_words(name: str):
    recording = Recording(name)
    with recording.server() as server, pytest.raises(InputError, match=r"1026 tokens.*256 tokens"):
        drawn(recording.model, server.url, 1, "Where is my parcel? " * 100)


@pytest.fixture(scope="module", params=SERVERS)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A real server: its recording's name, the model's name, its address."""
    start, model = SERVERS[request.param]
    with start(tmp_path_factory.mktemp("server")) as address:
        yield request.param, model, address


@pytest.mark.slow
@pytest.mark.external
def test_the_recordings_are_what_the_servers_still_answer(live: tuple[str, str, str]):
    name, model, address = live
    again = record(address, model)
    for part in ("models", "overflow", "unknown_model"):
        assert again[part]["status"] == Recording(name).exchanges[part]["status"], part
    statuses = {field: answer["status"] for field, answer in again["fields"].items()}
    assert statuses == {field: answer["status"] for field, answer in Recording(name).exchanges["fields"].items()}
    assert again["streams"][0]["status"] == 200
    assert again["streams"][0]["type"] == Recording(name).exchanges["streams"][0]["type"]


@pytest.mark.slow
@pytest.mark.external
def test_the_engine_draws_from_the_real_server(live: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch):
    from tests.recorded import servers

    name, model, address = live
    if name not in TELLING:
        pytest.skip("Refused in words, by the tests of what is refused.")
    monkeypatch.setenv("VALUE_PALETTE_API_KEY", servers.KEY)
    replies = drawn(model, address, 4)
    assert len({reply.text for reply in replies}) == 4
    assert all(reply.text for reply in replies)
