"""Locate ``tokenizer.json`` of a model folder; convert it once where a model is published without one.

Older models (the paper's OPT among them) come with ``vocab.json`` and ``merges.txt``, or a sentencepiece model. The
converted file is cached by a hash of their content; the model's folder is not changed. Constraint: transformers loads
only for a conversion.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from map_core.core.atomic_files import atomic_write
from map_core.errors import InputError
from map_core.models.files import cache_folder

#: Files that a tokenizer can be converted from.
SOURCES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")


def tokenizer_file(folder: Path) -> Path:
    """Return the path of a model's ``tokenizer.json``, converted where it is missing.

    Raises:
        InputError: the folder has no readable tokenizer.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return path
    sources = [name for name in SOURCES if (folder / name).is_file()]
    if not sources:
        raise InputError(
            f"{folder} has no tokenizer.json, and no tokenizer that can be read otherwise ({', '.join(SOURCES)}). "
            "Save the model's tokenizer beside it with save_pretrained."
        )
    digest = hashlib.sha256()
    for name in (*sources, *_SETTINGS):
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    converted = cache_folder() / "tokenizers" / f"{digest.hexdigest()[:24]}.json"
    if not converted.is_file():
        _convert(folder, converted)
    return converted


def _convert(folder: Path, path: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, use_fast=True, trust_remote_code=False
        ).backend_tokenizer
    except Exception as error:
        raise InputError(
            f"{folder} has no tokenizer.json, and none could be made of what it has ({type(error).__name__}: {error}). "
            "Save the model's tokenizer beside it with save_pretrained."
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        tokenizer.save(str(partial))
