"""Tests of probing a model before any work begins: folders, names and servers, with readable errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from map_core.core.types import Reply
from map_core.engines.probe import probe_model
from map_core.errors import EngineError, InputError, MissingModelError
from map_core.scoring import READ_LIKELIHOOD, ScorerError, ScoringModels, scorers
from tests.chat_server import ChatServer, chunk, fixed_answer
from tests.scoring.word_embedder import WordEmbedder

SECRET = "sk-a-key-of-nobody"
WITH_LOG_PROBS = fixed_answer(chunk("Hi", "length", [("Hi", -0.5)]))
WITHOUT_LOG_PROBS = fixed_answer(chunk("Hi"), chunk(None, "length"))


def model_folder(folder: Path, architecture: str) -> Path:
    """Write the files of a model folder that a probe checks; the file of weights is empty."""
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return folder


def test_probe_returns_the_absolute_path_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "tiny", "LlamaForCausalLM")
    monkeypatch.chdir(tmp_path)
    probe = probe_model(" ./tiny ")
    assert (probe.model, probe.log_probs) == (str(tmp_path / "tiny"), True)
    assert "LlamaForCausalLM" in probe.description


def test_folders_without_a_causal_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        probe_model(str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"is no model folder: expected config.json and \*.safetensors"):
        probe_model(str(tmp_path))
    model_folder(tmp_path, "BertForSequenceClassification")
    with pytest.raises(InputError, match="holds a BertForSequenceClassification, which writes no replies"):
        probe_model(str(tmp_path))
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(InputError, match=r"config.json of .* cannot be read"):
        probe_model(str(tmp_path))


def test_invalid_model_names_are_refused() -> None:
    for name, message in (
        ("  ", "No model is named"),
        ("two words", "'two words' is no model"),
        ("tiny@http://me:secret@host/v1", "holds a user name, a password or a query"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            probe_model(name)
        assert "secret" not in str(caught.value)
    with pytest.raises(MissingModelError, match="is not on this machine"):
        probe_model("nobody/has-this-model")


def test_server_is_probed_with_a_short_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(WITH_LOG_PROBS, key=SECRET) as server:
        with pytest.raises(EngineError, match="wants a key and there is none"):
            probe_model(server.model())
        monkeypatch.setenv("VALUE_PALETTE_API_KEY", SECRET)
        probe = probe_model(f"{server.model()}/")
        assert (probe.model, probe.log_probs) == (server.model(), True)
        assert [(request["max_tokens"], request["model"]) for request in server.requests] == [(8, "tiny")]
        assert SECRET not in f"{probe}"
        server.answer = WITHOUT_LOG_PROBS
        assert not probe_model(server.model()).log_probs


def test_unknown_model_and_unreachable_server_are_refused() -> None:
    with ChatServer(
        lambda body: JSONResponse({"error": {"message": "no such model"}}, 404), models=("a", "b")
    ) as server:
        with pytest.raises(InputError, match=r"has no model 'tiny'.* It offers a, b\."):
            probe_model(server.model())
        closed = server.model()
    with pytest.raises(EngineError, match="cannot be reached"):
        probe_model(closed, seconds=2.0)


def test_values_that_read_likelihood_are_known() -> None:
    models = ScoringModels(embedder_name="words", embedder=WordEmbedder())
    for scorer in scorers(models=models):
        if scorer.name in READ_LIKELIHOOD:
            with pytest.raises(ScorerError, match="needs the log-probabilities"):
                scorer.score("How?", [Reply("Like this, with words.")])
        else:
            scorer.score("How?", [Reply("Like this, with words.")])
