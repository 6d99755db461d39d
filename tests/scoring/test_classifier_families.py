"""Tests that any classifier gives what transformers' own call gives on a single text.

Over families of models, chat templates with special tokens of their own, tokenizers that add some, padding tokens, and
texts longer than a model reads: each model is tiny and random, and everything else about it is real.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core import scoring
from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.scoring import Specification
from map_core.scoring.base import Scorer
from map_core.scoring.sequence_model import open_sequence_model
from map_core.scoring.shared_models import ScoringModels
from tests.tiny_model import save_tokenizer

REPLIES = [
    Reply("Bees make honey from nectar.", (), 0.0, 0),
    Reply("No.", (), 0.0, 1),
    Reply("The cat sat on the mat, and we say sorry: it is on its way today. " * 2, (), 0.0, 2),
]
LONG = Reply("Thank you for your message; we will look into it. " * 30, (), 0.0, 3)
PROMPT = "How do bees make honey?"
#: Chat templates: with special tokens written by the template, or without.
WITH_BOS = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + ' ' + m['content'] + '<|im_end|>' }}"
    "{% endfor %}"
)
WITHOUT_BOS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' }}{% endfor %}"
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert", "deberta-v2", "mpnet")
#: Families with unusual ways to read a padded text.
ODD_ONES = ("xlnet", "convbert", "fnet", "nystromformer", "bart")
DECODERS = ("gpt2", "opt", "llama", "qwen2", "mistral", "gemma")
POSITIONS = 66
#: The saved models, by folder.
MODELS: dict[str, Any] = {}


def make(
    folder: Path, family: str, labels: int = 1, *, adds: str = "bos", template: str = WITH_BOS, **settings: Any
) -> str:
    """Save a tiny classifier and return its folder.

    Args:
        folder: where to.
        family: transformers' name of the architecture.
        labels: of its head.
        adds: the special tokens that its tokenizer adds to a text: "", "bos" or "bos eos".
        template: of chats.
        settings: of the model; ``padding`` is the token of the configuration and of the tokenizer, None for none.
    """
    from tokenizers import Tokenizer, processors

    folder.mkdir(parents=True, exist_ok=True)
    size, padding = save_tokenizer(folder), settings.pop("padding", 0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first, last = "<|im_start|> " if "bos" in adds else "", " <|im_end|>" if "eos" in adds else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first}$A{last}",
        pair=f"{first}$A{last} $B:1{last and last + ':1'}",
        special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    content = json.loads(path.read_text()) if path.is_file() else {}
    content |= {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    content |= {"pad_token": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"][padding]} if padding is not None else {}
    content.pop("chat_template", None)
    if padding is None:
        content.pop("pad_token", None)
    content["model_max_length"] = int(1e30)
    path.write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text(template)
    MODELS[str(folder)] = model = model_of(family, labels, size, padding, **settings)
    model.save_pretrained(folder)
    return str(folder)


@cache
def model_of(family: str, labels: int, size: int, padding: int | None, **config_settings: Any) -> Any:
    """Return the model, created once for all tokenizers and templates."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    settings = dict(SMALL)
    match family:
        case "distilbert":
            settings = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
        case "deberta-v2":
            relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
            settings = SMALL | relative | {"position_biased_input": False}
        case "xlnet":
            settings = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
        case "bart":
            sides = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}
            settings = {"d_model": 32} | {f"{side}_{n}": v for side in ("encoder", "decoder") for n, v in sides.items()}
        case "gpt2":
            settings = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
        case "opt":
            settings = SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32}
        case "llama" | "qwen2" | "mistral":
            settings = SMALL | {"num_key_value_heads": 2}
        case "gemma":
            settings = SMALL | {"num_key_value_heads": 2, "head_dim": 8}
    if family not in ("gpt2", "xlnet"):
        settings |= {"max_position_embeddings": POSITIONS}
    token = {"bos_token_id": 1, "eos_token_id": 2}
    # Encoders of the RoBERTa family need a padding token: their positions are counted from it.
    needed = family in ENCODERS and padding is None
    config = AutoConfig.for_model(
        family,
        vocab_size=size,
        num_labels=labels,
        pad_token_id=1 if needed else padding,
        **token,
        **settings,
        **config_settings,
    )
    if "initializer_range" in config.to_dict():
        config.initializer_range = 0.3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(family) + labels)
        return AutoModelForSequenceClassification.from_config(config).eval()


def scores(folder: str, replies: list[Reply] = REPLIES, **settings: Any) -> np.ndarray:
    return scorer_of(folder, **settings).score(PROMPT, replies)


def scorer_of(folder: str, **settings: Any) -> Scorer:
    (scorer,) = scoring.resolve(
        ["wit"], [Specification("wit", "classifier", {"model": folder, **settings})], ScoringModels()
    )
    return scorer


def logits(folder: str, texts: list[dict[str, Any]]) -> np.ndarray:
    """Return what transformers gives for each text alone."""
    import torch

    model = MODELS[folder]
    with torch.inference_mode():
        return np.vstack([model(**text).logits.double().numpy() for text in texts])


def tokenizer_of(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("padding", [0, 2, None], ids=["own padding", "padding is the end", "no padding"])
@pytest.mark.parametrize("adds", ["", "bos", "bos eos"])
@pytest.mark.parametrize("template", [WITH_BOS, WITHOUT_BOS], ids=["template with bos", "template without"])
@pytest.mark.parametrize("family", DECODERS)
def test_chats_use_the_own_template(family: str, template: str, adds: str, padding: int | None, tmp_path: Path) -> None:
    folder = make(tmp_path, family, adds=adds, template=template, padding=padding)
    tokenizer = tokenizer_of(folder)
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": reply.text}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        for reply in REPLIES[:2]
    ]
    np.testing.assert_allclose(
        scores(folder, REPLIES[:2], template="chat"), logits(folder, texts)[:, 0], atol=1e-5, rtol=1e-5
    )


TEMPLATES = ("reply", "pair", "H: {prompt} A:{next}{reply}", "User: {prompt} Reply: {reply}", "<|im_start|>{reply}")


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("adds", ["", "bos eos"])
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("family", ENCODERS + DECODERS)
def test_texts_are_read_as_the_tokenizer_reads_them(family: str, template: str, adds: str, tmp_path: Path) -> None:
    folder = make(tmp_path, family, adds=adds)
    tokenizer = tokenizer_of(folder)
    texts = []
    for reply in REPLIES[:2]:
        match template:
            case "reply":
                inputs = tokenizer(reply.text, return_tensors="pt")
            case "pair":
                inputs = tokenizer(PROMPT, reply.text, return_tensors="pt")
            case paired if "{next}" in paired:
                inputs = tokenizer(f"H: {PROMPT} A:", reply.text, return_tensors="pt", truncation=True, max_length=64)
            case _:
                text = template.replace("{prompt}", PROMPT).replace("{reply}", reply.text)
                # A text that begins with the special token gets no second one.
                inputs = tokenizer(text, return_tensors="pt", add_special_tokens=not text.startswith("<|im_start|>"))
        texts.append(inputs)
    np.testing.assert_allclose(
        scores(folder, REPLIES[:2], template=template), logits(folder, texts)[:, 0], atol=1e-5, rtol=1e-5
    )


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("family", ENCODERS + DECODERS)
def test_long_replies_are_truncated_to_the_model_and_scored(family: str, tmp_path: Path) -> None:
    folder = make(tmp_path, family, adds="bos eos")
    model = open_sequence_model(folder)
    if family == "deberta-v2":  # its positions are relative and unlimited
        (token_ids,) = (tokenizer_of(folder)(LONG.text, return_tensors="pt"),)
        assert token_ids["input_ids"].shape[1] > 2 * POSITIONS
        rewards = scores(folder, [*REPLIES[:2], LONG], template="reply")
        np.testing.assert_allclose(rewards[2], logits(folder, [token_ids])[0, 0], atol=1e-5, rtol=1e-5)
        return
    # Positions are counted from beyond the padding token, which is number 0 here and 1 in every MPNet.
    expected = POSITIONS - {"roberta": 1, "xlm-roberta": 1, "mpnet": 2}.get(family, 0)
    assert model.longest == expected
    cut = tokenizer_of(folder)(LONG.text, truncation=True, max_length=expected, return_tensors="pt")
    assert cut["input_ids"].shape[1] == expected
    rewards = scores(folder, [*REPLIES[:2], LONG], template="reply")
    np.testing.assert_allclose(rewards[2], logits(folder, [cut])[0, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize(("padding", "truncation"), [("right", None), ("left", "right"), ("left", "left")])
@pytest.mark.parametrize("family", ENCODERS + DECODERS + ODD_ONES)
def test_batched_texts_score_as_single_ones(family: str, padding: str, truncation: str | None, tmp_path: Path) -> None:
    folder = make(tmp_path, family, adds="bos eos")
    path = tmp_path / "tokenizer_config.json"
    sides = {"padding_side": padding} | ({"truncation_side": truncation} if truncation else {})
    path.write_text(json.dumps(json.loads(path.read_text()) | sides | {"model_max_length": 40}))
    tokenizer = tokenizer_of(folder)
    assert tokenizer.truncation_side == (truncation or "right")
    assert len(tokenizer(LONG.text)["input_ids"]) > 40
    texts = [tokenizer(reply.text, truncation=True, return_tensors="pt") for reply in (*REPLIES, LONG)]
    scorer = scorer_of(folder, template="reply")
    together = scorer.score(PROMPT, [*REPLIES, LONG])
    np.testing.assert_allclose(together, logits(folder, texts)[:, 0], atol=1e-5, rtol=1e-5)
    alone = [scorer.score(PROMPT, [reply])[0] for reply in (*REPLIES, LONG)]
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_torch_thread")
def test_long_chat_is_truncated_on_the_left_by_default(tmp_path: Path) -> None:
    folder = make(tmp_path, "llama", template=WITH_BOS, adds="")
    chat = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": LONG.text}]
    for side in (None, "left", "right"):
        path = tmp_path / "tokenizer_config.json"
        stated = json.loads(path.read_text()) | ({"truncation_side": side} if side else {})
        path.write_text(json.dumps(stated))
        tokenizer = tokenizer_of(folder)
        tokenizer.truncation_side = side or "left"
        cut = {"truncation": True, "max_length": POSITIONS, "return_tensors": "pt"}
        text = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True, **cut)
        rewards = scores(folder, [LONG], template="chat")
        np.testing.assert_allclose(rewards, logits(folder, [text])[:, 0], atol=1e-5, rtol=1e-5)


def test_a_roberta_of_514_positions_reads_512_tokens(tmp_path: Path) -> None:
    folder = make(tmp_path, "roberta", padding=1, adds="")
    model = open_sequence_model(folder)
    assert model.longest == POSITIONS - 2
    inputs = tokenizer_of(folder)(LONG.text, truncation=True, max_length=POSITIONS - 1, return_tensors="pt")
    with pytest.raises((IndexError, RuntimeError)):
        logits(folder, [inputs])  # one more fails in transformers too
    outputs, was_cut = model.outputs([model.text(LONG.text), model.text("No.")])
    assert was_cut.tolist() == [True, False]
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_padding_token_of_minus_one_counts_as_none(family: str, tmp_path: Path) -> None:
    """Some configurations have -1 for no padding token."""
    folder = make(tmp_path, family, padding=None)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": -1}))
    texts = [tokenizer_of(folder)(reply.text, return_tensors="pt") for reply in REPLIES[:2]]
    rewards = scores(folder, REPLIES[:2], template="reply")
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    np.testing.assert_allclose(rewards, logits(folder, texts)[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("labels", [1, 2, 3])
@pytest.mark.parametrize("kind", [None, "single_label_classification", "multi_label_classification"])
def test_probabilities_equal_those_of_the_pipeline(kind: str | None, labels: int, tmp_path: Path) -> None:
    from transformers import pipeline

    if kind == "single_label_classification" and labels == 1:
        pytest.skip("one label of one is certain")
    folder = make(tmp_path, "bert", labels, adds="bos eos", problem_type=kind)
    classify = pipeline("text-classification", model=folder, top_k=None)
    expected = [
        {entry["label"]: entry["score"] for entry in classify([{"text": reply.text}])[0]} for reply in REPLIES[:2]
    ]
    for number in range(labels):
        rewards = scores(folder, REPLIES[:2], template="reply", output=number, scale="probability")
        np.testing.assert_allclose(rewards, [row[f"LABEL_{number}"] for row in expected], atol=1e-5)


def test_activation_can_be_set_and_regression_has_none(tmp_path: Path) -> None:
    folder = make(tmp_path, "bert", 2, problem_type="regression")
    raw = np.column_stack([scores(folder, template="reply", output=number) for number in range(2)])
    with pytest.raises(InputError, match=r"trained for regression.*scale = \"logit\""):
        scores(folder, template="reply", output=0, scale="probability")
    sigmoid = scores(folder, template="reply", output=1, scale="probability", activation="sigmoid")
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-raw[:, 1])))
    softmax = scores(folder, template="reply", output=1, scale="probability", activation="softmax")
    np.testing.assert_allclose(softmax, 1 / (1 + np.exp(raw[:, 0] - raw[:, 1])))
    with pytest.raises(InputError, match="expected softmax or sigmoid"):
        scores(folder, template="reply", output=0, activation="relu")


@pytest.mark.parametrize(
    ("labels", "kind", "settings", "pattern"),
    [
        (2, None, {"output": 0}, r"^The model's output as it is \(a logit\)\.$"),
        (
            2,
            None,
            {"output": 0, "scale": "probability"},
            "^The softmax over the model's outputs: a guess.*it has 2 out",
        ),
        (1, None, {"scale": "probability", "sign": -1}, "^The sigmoid .*, with its sign turned round: a guess"),
        (3, "multi_label_classification", {"output": 0, "scale": "probability"}, 'says "multi_label_classification"'),
        (2, "regression", {"output": 0, "scale": "probability"}, "^Nothing: the model's outputs are no probabilities"),
        (2, None, {"output": 0, "scale": "probability", "activation": "sigmoid"}, "as the values file says"),
    ],
)
def test_guesses_about_an_output_are_on_the_card(
    labels: int, kind: str | None, settings: dict[str, Any], pattern: str, tmp_path: Path
) -> None:
    folder = make(tmp_path, "bert", labels, problem_type=kind)
    for transform_settings in ({}, {"transform": "probability"}):
        specification = Specification("wit", "classifier", {"model": folder} | settings | transform_settings)
        (scorer,) = scoring.resolve(["wit"], [specification], ScoringModels())
        scoring.check_scorers([scorer])
        assert re.search(pattern, scorer.entry()["reading"])
        assert "reading" not in scorer.card.as_dict()
