"""Tiny sequence models with random weights, made on demand: a BERT of pairs and a Llama reward model.

Everything but the weights' sense is real: transformers' own classes, a tokenizer trained here, files as any model
folder has them.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny_model import save_tokenizer

CONTEXT = 64


def make_classifier(folder: Path, seed: int = 0) -> Path:
    """Save a BERT that reads at most 64 tokens of a pair and has the outputs "dull" and "funny"."""
    import torch
    from tokenizers import Tokenizer, processors
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    size = save_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        pair="<|im_start|> $A <|im_end|> $B:1 <|im_end|>:1",
        special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
        initializer_range=0.3,
        id2label={0: "dull", 1: "funny"},
        label2id={"dull": 0, "funny": 1},
    )
    _told(folder, model_max_length=CONTEXT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertForSequenceClassification(config).eval().save_pretrained(folder)
    return folder


def make_reward_model(folder: Path, seed: int = 0, heads: int = 0) -> Path:
    """Save a Llama reward model with one output and a chat template.

    Args:
        folder: where to.
        seed: of the weights.
        heads: instead a model of a class of its own with so many outputs: its config names code, and the weights of
            its linear head are called "regression_layer.weight".
    """
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.12,
        num_labels=heads or 1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForSequenceClassification(config).eval().save_pretrained(folder)
    if heads:
        weights = load_file(folder / "model.safetensors")
        weights["regression_layer.weight"] = weights.pop("score.weight")
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        path = folder / "config.json"
        own = {"AutoModelForSequenceClassification": "modeling_custom.OwnRewardModel"}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": own}))
        (folder / "modeling_custom.py").write_text("raise SystemExit('code that came with a model was run')\n")
    return folder


def _told(folder: Path, **more: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
