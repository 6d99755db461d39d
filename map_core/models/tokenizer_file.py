"""The file ``tokenizer.json`` of a model folder; made once where a model is published without one.

Older models (the paper's OPT among them) come with ``vocab.json`` and ``merges.txt``, or a sentencepiece model. What is
made of them is kept in the cache, by their content; the model's folder is left as it is. Constraint: transformers
loads only when one has to be made.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from map_core.core.atomic_files import atomic_write
from map_core.errors import InputError
from map_core.models.files import cache_folder

#: Files that a tokenizer may be made of.
SOURCES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")


def tokenizer_file(folder: Path) -> Path:
    """Where the tokenizer of a model lies.

    Raises:
        InputError: the folder has none that can be read.
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
    made = cache_folder() / "tokenizers" / f"{digest.hexdigest()[:24]}.json"
    if not made.is_file():
        _make(folder, made)
    return made


def _make(folder: Path, made: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, use_fast=True, trust_remote_code=False
        ).backend_tokenizer
    except Exception as error:  # the libraries below raise many kinds
        raise InputError(
            f"{folder} has no tokenizer.json, and none could be made of what it has ({type(error).__name__}: {error}). "
            "Save the model's tokenizer beside it with save_pretrained."
        ) from error
    made.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(made) as partial:
        tokenizer.save(str(partial))
