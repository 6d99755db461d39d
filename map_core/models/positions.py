"""Find how many tokens a model of transformers reads at once, from its configuration and its tables of positions.

Constraint: torch loads when a model is given, never when this module is imported.
"""

from __future__ import annotations

from typing import Any

#: Names of the tables of learned positions in transformers' models.
_TABLES = ("position_embeddings", "embed_positions", "wpe", "position_embedding")
_CONFIGURED = ("max_position_embeddings", "seq_length", "max_seq_len", "n_positions", "n_ctx")


def usable_positions(model: Any) -> int | None:
    """Return how many tokens a model can read at once; None where its positions are unlimited.

    RoBERTa and its relatives count positions from after the padding token's, and BART's and OPT's tables of positions
    begin with two unused rows: their tables have more rows than usable positions. DeBERTa's positions are relative, so
    that the number in its configuration is no limit.
    """
    import torch

    config = model.config.get_text_config()
    limits = []
    if getattr(config, "position_biased_input", True):
        configured = (getattr(config, name, None) for name in _CONFIGURED)
        limits.append(next((length for length in configured if isinstance(length, int) and length > 0), 0))
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in _TABLES:
            unused = getattr(module, "offset", 0) if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - unused)
    return min((limit for limit in limits if limit > 0), default=None)
