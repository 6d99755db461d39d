"""The cache folder of models, and checks of its folders against manifests of sizes and hashes."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_MANIFEST = "manifest.json"
_FORMAT = 2  # version of the conversion's output


def cache_folder() -> Path:
    """Return the folder of downloaded models: ``VALUE_PALETTE_CACHE``, else the user's cache folder."""
    setting = os.environ.get("VALUE_PALETTE_CACHE")
    if setting:
        return Path(setting).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("value-palette", appauthor=False))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_fault(home: Path, sha256: str, verify: bool = False) -> str | None:
    """Check a folder of the cache, and return its fault as the end of a sentence; None when it is complete.

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
