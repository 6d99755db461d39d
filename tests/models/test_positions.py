"""Tests of a model's context length: transformers accepts as many tokens, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from map_core.models.language_model import context_length

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "roberta": (SMALL | {"max_position_embeddings": 34, "pad_token_id": 1, "is_decoder": True}, 32),
    "xlm-roberta": (SMALL | {"max_position_embeddings": 34, "pad_token_id": 3, "is_decoder": True}, 30),
    "opt": (SMALL | {"max_position_embeddings": 32, "ffn_dim": 16, "word_embed_proj_dim": 16}, 32),
    "gpt2": ({"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}, 32),
}


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_context_is_what_the_model_can_read(family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings, expected = FAMILIES[family]
    config = AutoConfig.for_model(family, vocab_size=50, bos_token_id=4, eos_token_id=2, **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert context_length(model) == expected
    with torch.inference_mode():
        model(torch.full((1, expected), 7))
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, expected + 1), 7))


def test_a_model_without_a_length_has_a_default_one() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("bloom", vocab_size=50, hidden_size=16, n_layer=1, n_head=2)
    assert context_length(AutoModelForCausalLM.from_config(config)) == 2048
