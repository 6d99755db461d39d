"""Environments with third-party programs for slow tests: built on demand, skipped where no registry answers.

``VALUE_PALETTE_TEST_ENVIRONMENTS`` names a folder that keeps them between runs.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from tests import ROOT

KEPT = "VALUE_PALETTE_TEST_ENVIRONMENTS"
#: Timeout of an installation, in seconds.
LIMIT = 900


def python_environment(name: str, *packages: str, beside: bool = True) -> Path:
    """Return the folder of the programs of an environment that holds packages of the Python registry.

    Args:
        name: of the environment.
        packages: with their versions, as pip takes them.
        beside: it sees the packages of the tests' own environment, none of which is replaced.

    Skips the test where they cannot be installed.
    """
    folder, site_packages = _folder() / name, site.getsitepackages() if beside else []
    # Another checkout, which may no longer exist, has its own packages.
    description = repr((packages, site_packages))
    with FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.is_file() or done.read_text() != description:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            if beside:
                (own,) = folder.glob("lib/python*/site-packages")
                (own / "tests.pth").write_text("\n".join(site_packages) + "\n", encoding="utf-8")
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
            _install([*pip, *packages], folder)
            done.write_text(description)
    return folder / "bin"


def node_environment(name: str, *packages: str, optional: bool = True) -> Path:
    """Return a folder whose ``node_modules`` holds packages of the Node registry; skips the test without them.

    Args:
        name: of the environment.
        packages: with their versions, as npm takes them.
        optional: with what the packages would like to have too.
    """
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed.")
    folder = _folder() / name
    with FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.is_file() or done.read_text() != repr(packages):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
            without = [] if optional else ["--omit=optional"]
            _install(["npm", "install", "--no-audit", "--no-fund", *without, *packages], folder)
            done.write_text(repr(packages))
    return folder


def library_path() -> dict[str, str]:
    """Return the environment in which a program finds the checkout's library."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _folder() -> Path:
    folder_setting = os.environ.get(KEPT)
    folder = (
        Path(folder_setting)
        if folder_setting
        else Path(tempfile.gettempdir()) / f"value-palette-environments-{os.getuid()}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _install(command: list[str], folder: Path) -> None:
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command[-1:])} took longer than {LIMIT} s to install.")
    if answer.returncode:
        pytest.skip(f"{' '.join(command[-1:])} cannot be installed here: {answer.stderr.strip()[-300:]}")
