"""A tiny language model with random weights and a real tokenizer, made on demand.

The model says nothing sensible, but everything about it is real: a Llama with grouped heads, a byte-level
BPE tokenizer trained here, a chat template with a default system message, files as any model folder has.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny model.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTEXT = 256

_TEXT = """The cat sat on the mat. A customer asks where the parcel is, and we say sorry, it is on its way.
You are a helpful assistant. You are a tiny model. system user assistant Please write a short story about
a dog and a kite. Thank you for your message; we will look into it today. Why did the chicken cross the road?
How do I sleep better? Drink water, rest, and talk to a doctor when it does not get better in 3 days.
"""


def make_tiny_model(folder: Path, seed: int = 0, layers: int = 2) -> Path:
    """Save a tiny random Llama with its tokenizer (about 0.1 MB).

    Args:
        folder: for the files; created if missing.
        seed: of the weights.
        layers: of the model; one where it is not what is tested.

    Returns:
        The folder, ready for ``locate(str(folder))`` and ``open_engine(str(folder))``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = save_tokenizer(folder)
    _save_weights(folder, size, seed, layers)
    return folder


def save_tokenizer(folder: Path) -> int:
    """Save a byte-level BPE tokenizer with its chat template; the number of its tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def _save_weights(folder: Path, size: int, seed: int, layers: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        # Large enough that some tokens are clearly more likely than others; a uniform model would test little.
        initializer_range=0.12,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.eval()
    model.save_pretrained(folder)
