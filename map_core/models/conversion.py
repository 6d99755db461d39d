"""Convert model files: a GGUF file to a transformers folder, a folder to F16 GGUF.

OpenVINO GenAI reads GGUF files of the Llama and Qwen families, but computes from 4-bit ones with an error of 0.23 nats
a token; from F16 it agrees with transformers. So the default model's 4-bit file is unpacked once to 16-bit safetensors,
and any model of those families is written as F16 GGUF for OpenVINO: the same numbers in both. Constraint: no torch;
numpy, ``gguf`` and ``tokenizers`` only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from map_core.errors import EngineError, InputError

FAMILIES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""``model_type`` of a transformers model -> the GGUF architecture that OpenVINO GenAI reads."""

_LLAMA_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read_config(folder: Path) -> dict[str, Any]:
    """Read a model folder's ``config.json``."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} has no config.json; expected a model folder as transformers saves it.")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise EngineError(f"{path} is not valid JSON ({error}); the model's files are damaged.") from error


def obstacle(folder: Path) -> str | None:
    """Return the reason why OpenVINO cannot run a model folder, as the end of a sentence; None when it can."""
    config = read_config(folder)
    family = config.get("model_type")
    if family not in FAMILIES:
        return f"it is of the family {family}, and OpenVINO takes {', '.join(FAMILIES)} here"
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return "its rotary positions are scaled, which the GGUF reader of OpenVINO does not know"
    if config.get("attention_bias") or config.get("mlp_bias"):
        return "its attention has biases, which the GGUF reader of OpenVINO does not know"
    if not weight_files(folder):
        return "it has no safetensors files"
    return None


def can_convert(folder: Path) -> bool:
    """Return whether OpenVINO can run a model folder."""
    return obstacle(folder) is None


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder, sorted."""
    return sorted(folder.glob("*.safetensors"))


def read_safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors of a safetensors file, bfloat16 widened to float32.

    Source: the format's description, https://huggingface.co/docs/safetensors
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, mode="r", offset=8 + length)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if entry["dtype"] not in _DTYPES:
            raise InputError(f"{path.name}: {name} is {entry['dtype']}; expected one of {', '.join(_DTYPES)}.")
        array = data[start:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        yield name, array


def _names(architecture: str, blocks: int) -> Any:
    import gguf

    kind = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    return gguf.get_tensor_name_map(kind, blocks)


def _interleave(array: np.ndarray, heads: int) -> np.ndarray:
    """Reorder rows of a rotary projection from transformers' halves to GGUF's pairs."""
    return array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _halve(array: np.ndarray, heads: int) -> np.ndarray:
    """Undo :func:`_interleave`."""
    return array.reshape(heads, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def folder_to_gguf(folder: Path, path: Path) -> None:
    """Write a model folder's weights as one F16 GGUF file (norms in float32).

    Args:
        folder: a transformers folder of one of the :data:`FAMILIES`, safetensors.
        path: the file to write.

    Raises:
        InputError: OpenVINO could not run the model.
    """
    import gguf

    reason = obstacle(folder)
    if reason:
        raise InputError(f"{folder.name} cannot be run by OpenVINO: {reason}. Use --engine torch.")
    config = read_config(folder)
    family = FAMILIES[config["model_type"]]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer = gguf.GGUFWriter(path, family)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, folder, config["vocab_size"])
    names = _names(family, config["num_hidden_layers"])
    for file in weight_files(folder):
        for name, array in read_safetensors(file):
            if name == "lm_head.weight" and config.get("tie_word_embeddings"):
                continue
            new = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if new is None:
                raise InputError(f"{folder.name} cannot be run by OpenVINO: unknown tensor {name}. Use --engine torch.")
            if family == "llama" and ".attn_q." in new:
                rows = _interleave(array, heads)
            elif family == "llama" and ".attn_k." in new:
                rows = _interleave(array, kv_heads)
            else:
                rows = array
            dtype = np.float16 if array.ndim > 1 else np.float32
            writer.add_tensor(new, np.ascontiguousarray(rows, dtype=dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: Any, folder: Path, size: int) -> None:
    """Write a vocabulary, without which the reader refuses the file; the engine itself never uses it."""
    import gguf

    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    words = [f"<unused {i}>" for i in range(size)]
    kinds = [gguf.TokenType.NORMAL] * size
    for word, i in content["model"]["vocab"].items():
        words[i] = word
    for entry in content["added_tokens"]:
        words[entry["id"]] = entry["content"]
        kinds[entry["id"]] = gguf.TokenType.CONTROL
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    for name in ("bos", "eos", "pad"):
        value = read_config(folder).get(f"{name}_token_id")
        value = value[0] if isinstance(value, list) else value
        if value is not None:
            getattr(writer, f"add_{name}_token_id")(value)


def gguf_to_folder(path: Path, folder: Path) -> None:
    """Unpack a Llama GGUF file into a transformers folder: float16 safetensors, config, tokenizer, template.

    Args:
        path: the GGUF file, of any quantisation that the ``gguf`` package knows.
        folder: the output folder, created where it is missing.

    Raises:
        InputError: the file is of another family.
    """
    import gguf
    from safetensors.numpy import save_file

    logging.getLogger("gguf").setLevel(logging.ERROR)
    reader = gguf.GGUFReader(path)
    field = {name: value.contents() for name, value in reader.fields.items()}
    if field["general.architecture"] != "llama":
        raise InputError(f"{path.name} is of the family {field['general.architecture']}; expected llama.")
    folder.mkdir(parents=True, exist_ok=True)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = _llama_config(field, tied)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        block, kind, suffix = _parts(tensor.name)
        array = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if kind in heads:
            array = _halve(array, heads[kind])
        dtype = np.float16 if array.ndim > 1 else np.float32
        tensors[f"{block}{_LLAMA_NAMES[kind]}.{suffix}"] = np.ascontiguousarray(array, dtype=dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", {k: config[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")})
    _save_tokenizer(field, folder, config)


def _parts(name: str) -> tuple[str, str, str]:
    """Split a GGUF tensor's name into ("model.layers.3." or "", kind, "weight")."""
    *block, kind, suffix = name.split(".")
    return (f"model.layers.{block[1]}." if block else ""), kind, suffix


def _llama_config(field: dict[str, Any], tied: bool) -> dict[str, Any]:
    heads = field["llama.attention.head_count"]
    tokens = "tokenizer.ggml."
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": field["llama.embedding_length"],
        "intermediate_size": field["llama.feed_forward_length"],
        "num_hidden_layers": field["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": field.get("llama.attention.head_count_kv", heads),
        "head_dim": field["llama.embedding_length"] // heads,
        "max_position_embeddings": field["llama.context_length"],
        "rms_norm_eps": float(f"{field['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": field.get("llama.rope.freq_base", 10000.0),
        "vocab_size": len(field[tokens + "tokens"]),
        "tie_word_embeddings": tied,
        "bos_token_id": field.get(tokens + "bos_token_id"),
        "eos_token_id": field.get(tokens + "eos_token_id"),
        "pad_token_id": field.get(tokens + "padding_token_id"),
        "dtype": "float16",
    }


def _save_tokenizer(field: dict[str, Any], folder: Path, config: dict[str, Any]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = "tokenizer.ggml."
    kind, cut = field[tokens + "model"], field.get(tokens + "pre")
    if (kind, cut) != ("gpt2", "smollm"):
        raise InputError(f"The GGUF file's tokenizer is {kind}/{cut}; expected gpt2/smollm.")
    words: list[str] = field[tokens + "tokens"]
    merges = [tuple(merge.split(" ")) for merge in field[tokens + "merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=merges))
    # "smollm": every digit by itself, then the byte-level words of GPT-2.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # the GGUF token type of control tokens
    tokenizer.add_special_tokens(
        [
            AddedToken(word, special=True, normalized=False)
            for word, sort in zip(words, field[tokens + "token_type"], strict=True)
            if sort == control
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    settings: dict[str, Any] = {
        name: words[field[f"{tokens}{key}_token_id"]]
        for name, key in named.items()
        if f"{tokens}{key}_token_id" in field
    }
    settings |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
    }
    _write(folder / "tokenizer_config.json", settings)
    template = field.get("tokenizer.chat_template")
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
