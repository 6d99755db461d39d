"""Merge LoRA adapters into their base models, so that every engine can open them.

Constraint: peft, torch and transformers load only when an adapter is merged.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from map_core.errors import EngineError, InputError
from map_core.models.quiet import quiet

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter and no model of its own."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_model(folder: Path) -> str:
    """Return the name or folder of the model that an adapter belongs to.

    Raises:
        InputError: the folder does not name it, or has no weights.
    """
    try:
        name = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read ({error}). Save the adapter again.") from error
    if not name or not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder} is incomplete: expected a base model's name in {CONFIG}, and {WEIGHTS}.")
    return str(name)


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the model that an adapter makes of its base model, W + (alpha / r) B A in each layer, in float32.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        folder: the output folder, created where it is missing. It gets the base model's tokenizer too.

    Raises:
        EngineError: peft is not installed, or the adapter is of another model.
    """
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise EngineError("An adapter needs peft. Run: pip install -r requirements-tune.txt") from error
    with quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
            if _changes_output_layer(model, adapter):
                # The adapter is of the output layer alone, which shares its weights with the embeddings of many models.
                layer = model.get_output_embeddings()
                layer.weight = torch.nn.Parameter(layer.weight.detach().clone())
                model.config.tie_word_embeddings = False
            merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        except (RuntimeError, ValueError, KeyError) as error:
            raise EngineError(f"The adapter {adapter} does not fit the model in {base} ({error}).") from error
        merged.save_pretrained(folder)
    copy_tokenizer(base, folder)


def _changes_output_layer(model: Any, adapter: Path) -> bool:
    """Return whether an adapter changes the output layer."""
    targets = json.loads((adapter / CONFIG).read_text(encoding="utf-8")).get("target_modules") or ()
    layer = model.get_output_embeddings()
    names = [name for name, part in model.named_modules() if part is layer]
    return any(name == target or name.endswith(f".{target}") for name in names for target in targets)


#: Files that a tuned model shares with its base model.
_SHARED: tuple[str, ...] = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
_SHARED += ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer.model", "added_tokens.json")


def copy_tokenizer(base: Path, folder: Path) -> None:
    """Copy the tokenizer and the generation settings of a base model into another model's folder."""
    for name in _SHARED:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
