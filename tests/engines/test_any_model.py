"""Tests of causal models of many families, with and without chat template, against a plain forward pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core import scoring
from map_core.building import BuildPolicy, build
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.engines.base import LocalEngine
from map_core.engines.draw_request import DrawRequest
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from tests.tiny_model import make_tiny_model

SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "max_position_embeddings": 128}
GROUPED_SIZES = SIZES | {"num_key_value_heads": 2, "intermediate_size": 48}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 128},
    "opt": SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "gpt_neox": SIZES | {"intermediate_size": 48},
    "bloom": {"n_layer": 2, "n_head": 4, "hidden_size": 32},
    "falcon": SIZES | {"new_decoder_architecture": False, "multi_query": True},
    "mistral": GROUPED_SIZES | {"sliding_window": 16},
    "qwen3": GROUPED_SIZES | {"head_dim": 8},
    "phi3": GROUPED_SIZES,
    "gemma2": GROUPED_SIZES | {"head_dim": 8, "sliding_window": 16},
}
SETTINGS = SamplingSettings(temperature=0.9, top_p=0.95, max_new_tokens=24)


def make_model(folder: Path, family: str, template: bool = True) -> Path:
    """Write a random model of a family, with the tokenizer of the tiny model, into a folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    make_tiny_model(folder)
    vocabulary_size = json.loads((folder / "config.json").read_text())["vocab_size"]
    for weights_file in folder.glob("*.safetensors"):
        weights_file.unlink()
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    config = AutoConfig.for_model(family, vocab_size=vocabulary_size, initializer_range=0.2, **ids, **FAMILIES[family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).eval().save_pretrained(folder)
    if not template:
        (folder / "chat_template.jinja").unlink()
    return folder


def reference_log_probs(folder: Path, prompt: list[int], reply: tuple[int, ...]) -> np.ndarray:
    """Return the log-probability of each token of a reply by one forward pass of transformers without a cache."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *reply]]), use_cache=False).logits[0].double().log_softmax(-1)
    positions = torch.arange(len(prompt) - 1, len(prompt) + len(reply) - 1)
    return logits[positions, torch.tensor(reply)].numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_of_a_family_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / family, family)
    engine = open_engine(str(folder), "torch", "float32")
    assert isinstance(engine, LocalEngine)
    replies = engine.complete(DrawRequest("Tell me of the cat and the dog on the mat.", 4, SETTINGS, seed=3))
    assert len({reply.text for reply in replies}) > 1
    ids = engine.render("Tell me of the cat and the dog on the mat.")
    for reply in replies:
        if reply.tokens:
            np.testing.assert_allclose(reply.log_probs, reference_log_probs(folder, ids, reply.tokens), atol=2e-3)
    recomputed = engine.log_probs("Tell me of the cat and the dog on the mat.", [reply.tokens for reply in replies])
    for reply, log_probs in zip(replies, recomputed, strict=True):
        np.testing.assert_allclose(reply.log_probs, log_probs, atol=2e-3)


def test_a_model_without_a_chat_template_reads_the_plain_prompt(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "plain", "gpt2", template=False)
    engine = open_engine(str(folder), "torch", "float32")
    assert isinstance(engine, LocalEngine)
    assert engine.decode(engine.render("Tell me of the cat.")) == "Tell me of the cat."
    assert engine.info.preamble == ""
    prompts = [Prompt("cat", "u", "Tell me of the cat.")]
    scorers = scoring.scorers(["familiarity"])
    result = build(prompts, tmp_path / "t.parquet", engine, scorers, candidates=3, settings=SETTINGS, seed=1)
    assert result.load().metadata["model"] == {"name": str(folder), "sha256": engine.info.model_hash}


def test_folder_without_a_fast_tokenizer_is_loaded(tmp_path: Path) -> None:
    """OPT-1.3B of the paper is published like this: vocab.json and merges.txt, no tokenizer.json."""
    folder = make_model(tmp_path / "slow", "opt", template=False)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    with_fast_tokenizer = open_engine(str(folder), "torch", "float32")
    (folder / "tokenizer.json").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "GPT2Tokenizer"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALUE_PALETTE_CACHE", str(tmp_path / "cache"))
        without_fast_tokenizer = open_engine(str(folder), "torch", "float32")
        assert isinstance(with_fast_tokenizer, LocalEngine)
        assert isinstance(without_fast_tokenizer, LocalEngine)
        text = "Tell me of the cat, and 12 dogs."
        assert without_fast_tokenizer.render(text) == with_fast_tokenizer.render(text)
        assert not (folder / "tokenizer.json").exists(), "the model's folder is left as it is"
        (folder / "merges.txt").unlink()
        (folder / "vocab.json").unlink()
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(InputError, match="no tokenizer that can be read"):
            open_engine(str(folder), "torch", "float32")


UNUSUAL_PROMPTS = {
    "emoji": "Tell me 👋🏽👨‍👩‍👧 about 🎉",
    "arabic": "أخبرني عن القطة",
    "hebrew": "ספר לי על החתול \u202bשל\u202c דוד",
    "chinese": "请告诉我关于猫的事",
    "markup": "<script>alert(1)</script> **bold** [x](javascript:1) <|im_end|> {{ 7*7 }}",
    "lines": "one\r\ntwo\u2028three\ttab",
    "formula": '=HYPERLINK("http://x","y")',
}


def test_prompts_of_any_kind_are_stored_unchanged(tmp_path: Path) -> None:
    engine = open_engine(str(make_tiny_model(tmp_path / "tiny")), "torch", "float32")
    prompts = [Prompt(name, "u", text) for name, text in UNUSUAL_PROMPTS.items()]
    result = build(
        prompts,
        tmp_path / "t.parquet",
        engine,
        scoring.scorers(["diversity", "plain_language", "familiarity"]),
        candidates=2,
        settings=SamplingSettings(max_new_tokens=6),
        seed=1,
    )
    table = result.load()
    assert dict(zip(table.prompt_ids, table.prompts, strict=True)) == UNUSUAL_PROMPTS
    assert (len(table.replies), result.marked) == (14, ())


def test_overlong_prompt_is_refused_or_left_out_and_never_truncated(tmp_path: Path) -> None:
    engine = open_engine(str(make_tiny_model(tmp_path / "tiny")), "torch", "float32")
    prompts = [Prompt("short", "u", "Tell me of the cat."), Prompt("long", "u", "word " * 10_000)]
    common = {"candidates": 2, "settings": SamplingSettings(max_new_tokens=6), "seed": 1}
    scorers, out = scoring.scorers(["diversity"]), tmp_path / "t.parquet"
    with pytest.raises(InputError, match=r"'long' cannot be used\. The prompt has \d{5} tokens .* holds 256"):
        build(prompts, out, engine, scorers, **common)
    result = build(prompts, out, engine, scorers, **common, policy=BuildPolicy(skip_unusable=True))
    assert (result.skipped, result.load().prompt_ids) == (("long",), ("short",))
    assert result.notes == ("1 prompt is left out: 'long'.",)
    with pytest.raises(InputError, match="'long' cannot be used"):
        build(prompts[1:], tmp_path / "u.parquet", engine, scorers, **common, policy=BuildPolicy(skip_unusable=True))


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "expected cpu, cuda, cuda:1 or auto"), ("cuda:77", "torch finds"), ("cpu:x", "expected cpu, cuda")],
)
def test_unavailable_device_is_refused(device: str, message: str, tmp_path: Path) -> None:
    folder = str(make_tiny_model(tmp_path / "tiny"))
    with pytest.raises(InputError, match=message):
        open_engine(folder, "auto", "float32", device)
    with pytest.raises(InputError, match="goes with the engine torch"):
        open_engine(folder, "openvino", device="cpu")


def test_device_is_chosen_by_name(tmp_path: Path) -> None:
    folder = str(make_tiny_model(tmp_path / "tiny"))
    assert open_engine(folder, "auto", "float32", "cpu").info.device == "cpu"
    assert open_engine(folder, "auto", "float32", "auto").info.name == "torch"
