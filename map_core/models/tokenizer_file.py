"""Open the tokenizer of a model folder as transformers does, from ``tokenizer.json`` or from the files before it.

transformers uses ``tokenizer.json`` unchanged where the folder names no class of tokenizer or a general one. Other
classes build a tokenizer of their own around its vocabulary (``LlamaTokenizer`` writes no space after a special token,
whatever the file specifies), and older models (the paper's OPT among them) have ``vocab.json`` and ``merges.txt``, or a
sentencepiece model. Such a tokenizer is converted once, by transformers; the result is cached by a hash of the folder's
files, and the folder is not changed. Constraint: transformers loads only for a conversion.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tokenizers import AddedToken, Tokenizer

from map_core.core.atomic_files import atomic_write
from map_core.errors import EngineError, InputError
from map_core.models.cache import cache_folder

#: Files that a tokenizer can be converted from.
SOURCES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")
#: Classes that use ``tokenizer.json`` unchanged.
_GENERAL_CLASSES = ("PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")
#: Special tokens that have a role, in the order in which transformers adds those that ``tokenizer.json`` lacks.
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class OpenedTokenizer:
    """A tokenizer and its special tokens.

    Args:
        path: the file that was read.
        tokenizer: without padding and truncation.
        names: the existing special tokens by role, as chat templates name them: ``{"bos_token": "<s>", ...}``.
    """

    path: Path
    tokenizer: Tokenizer
    names: Mapping[str, str]


def open_tokenizer(folder: Path) -> OpenedTokenizer:
    """Open the tokenizer of a model folder, converted where transformers does not use ``tokenizer.json`` unchanged.

    Raises:
        InputError: the folder has no readable tokenizer.
        EngineError: its files are damaged.

    Source: ``AutoTokenizer.from_pretrained`` and ``TokenizersBackend`` of transformers 5.
    """
    path = folder / "tokenizer.json"
    if path.is_file() and _is_used_unchanged(folder):
        return _read(path, folder)
    try:
        converted = _converted(folder)
        return _read(converted, folder, read_json(_names_file(converted)))
    except InputError as error:
        if not path.is_file():
            raise
        _LOG.warning("%s is read unchanged: %s", path, error)  # a class that transformers lacks, for example
        return _read(path, folder)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a model's JSON file; an empty one where there is no file.

    Raises:
        EngineError: the file is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} is not valid JSON ({error}); the model's files are damaged.") from error
    return content if isinstance(content, dict) else {}


def _is_used_unchanged(folder: Path) -> bool:
    """Return whether transformers uses a folder's ``tokenizer.json`` unchanged."""
    stated = read_json(folder / "tokenizer_config.json").get("tokenizer_class")
    if stated is None:
        config = read_json(folder / "config.json")
        stated = config.get("tokenizer_class")
        if stated is None:  # then transformers chooses the class by the type of the model
            return "model_type" not in config
    return stated in _GENERAL_CLASSES


def _read(path: Path, folder: Path, roles: Mapping[str, str] = MappingProxyType({})) -> OpenedTokenizer:
    """Read a tokenizer, with the tokens that only the settings of its folder name, as transformers does."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise EngineError(f"{path} cannot be read ({error}); the model's files are damaged.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config = read_json(folder / "tokenizer_config.json")
    decoder = config.get("added_tokens_decoder")
    if isinstance(decoder, Mapping):
        stated = {repr(token) for token in tokenizer.get_added_tokens_decoder().values()}
        tokens = [_added_token(decoder[token_id]) for token_id in sorted(decoder, key=int)]
        different = [token for token in tokens if token is not None and repr(token) not in stated]
        if different:
            tokenizer.add_tokens(different)
    else:
        config |= read_json(folder / "special_tokens_map.json")
    tokens_by_role = {role: _added_token(config.get(role), special=True) for role in _ROLES}
    named = {role: token for role, token in tokens_by_role.items() if token is not None}
    known = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    for token in named.values():
        if token.content not in known:
            tokenizer.add_special_tokens([token])
        elif not known[token.content].special:
            known[token.content].special = True
            tokenizer.add_special_tokens([known[token.content]])
    texts = dict(roles) | {role: token.content for role, token in named.items()}
    return OpenedTokenizer(path, tokenizer, {role: texts[role] for role in _ROLES if role in texts})


def _added_token(value: object, special: bool = False) -> AddedToken | None:
    """Return a token as settings name it: by its text, or as a record with its flags."""
    if isinstance(value, Mapping) and isinstance(value.get("content"), str):
        special = special or bool(value.get("special", False))
        flags = {name: bool(value[name]) for name in ("lstrip", "rstrip", "normalized", "single_word") if name in value}
        return AddedToken(value["content"], special=special, **flags)
    return AddedToken(value, special=special) if isinstance(value, str) else None


def _converted(folder: Path) -> Path:
    """Return the path of a converted tokenizer, made if it is not in the cache yet."""
    sources = [name for name in ("tokenizer.json", *SOURCES) if (folder / name).is_file()]
    if not sources:
        raise InputError(
            f"{folder} has no tokenizer.json, and no tokenizer that can be read otherwise ({', '.join(SOURCES)}). "
            "Save the model's tokenizer beside it with save_pretrained."
        )
    digest = hashlib.sha256(importlib.metadata.version("transformers").encode())
    for name in (*sources, *_SETTINGS):
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    path = cache_folder() / "tokenizers" / f"{digest.hexdigest()[:24]}.json"
    if not path.is_file():
        _convert(folder, path)
    return path


def _names_file(path: Path) -> Path:
    """Return the file of a converted tokenizer's special tokens by role."""
    return path.with_name(path.name.removesuffix(".json") + ".names.json")


def _convert(folder: Path, path: Path) -> None:
    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True, trust_remote_code=False)
        backend, roles = tokenizer.backend_tokenizer, dict(tokenizer.special_tokens_map)
    except Exception as error:
        raise InputError(
            f"{folder} has no tokenizer.json that transformers uses unchanged, and none could be made from its files "
            f"({type(error).__name__}: {error}). Save the model's tokenizer beside it with save_pretrained."
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    # The roles first, so that a tokenizer in the cache always has them.
    with atomic_write(_names_file(path)) as partial:
        partial.write_text(json.dumps(roles, ensure_ascii=False), encoding="utf-8")
    with atomic_write(path) as partial:
        backend.save(str(partial))
