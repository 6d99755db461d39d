"""Tests of the wheel in its own environment: shipped files are found from any folder, by child processes too."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from playwright.sync_api import Browser, expect, sync_playwright

import map_core
from tests import ROOT
from tests.app_server import wait_for
from tests.browser_setup import TEST_OPTIONS, find_chromium
from tests.visits import keyed

pytestmark = pytest.mark.slow

#: An import as the app starts it: in a child process, in another folder.
IMPORT = """
import time
from pathlib import Path
from map_core import catalog
from map_core.catalog import jobs, processes

processes.start("mine", "import", ["import", "{folder}/scored.csv", "--out", "{out}", "--progress-file", "{progress}"],
                {}, {"scored.csv": Path("scored.csv").read_bytes()})
while jobs.status("mine").state is jobs.TableJobState.RUNNING:
    time.sleep(0.2)
print(jobs.status("mine").state.value, jobs.status("mine").error)
print(catalog.path_of("mine").is_file())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the files, so that untracked files do not get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    build = [
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(folder / "source"),
    ]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (built,) = folder.glob("*.whl")
    return built


def needed(requirement: str, path: list[str]) -> list[Distribution]:
    """Return the installed packages of a requirement and of its dependencies; missing ones are left out."""
    by_requirement: dict[tuple[str, ...], Distribution] = {}
    waiting = [Requirement(requirement)]
    while waiting:
        asked = waiting.pop()
        key = (asked.name, *sorted(asked.extras))
        package = None if key in by_requirement else next(iter(distributions(name=asked.name, path=path)), None)
        if package is None:
            continue
        by_requirement[key] = package
        for required in map(Requirement, package.requires or ()):
            if required.marker is None or any(required.marker.evaluate({"extra": e}) for e in ("", *asked.extras)):
                waiting.append(required)
    return list(by_requirement.values())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create an environment with only the wheel and its dependencies; return its folder of programs.

    The packages are links to those of this environment: unpacking them again, and compiling them at their first
    import, takes half a minute of the processor. pip says whether anything is missing or of another version.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-compile", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for package in needed("value-palette[app]", [str(packages), *sys.path]):
        for name in {path.parts[0] for path in package.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(str(package.locate_file(name)))
    subprocess.run([*pip, "check"], check=True)
    return folder / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("VALUE_PALETTE_DEFAULTS", raising=False)
    monkeypatch.setenv("VALUE_PALETTE_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'kept.sqlite'}")
    return tmp_path


def test_content_of_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "map_core/report/templates/report.html.j2",
        "map_core/scoring/embedding_covariance.npy",
        "map_core/store/migrations/versions/r0004_budget_of_a_meeting.py",
        "value_palette_app/app.py",
        "value_palette_app/pages/navigation.py",
        "value_palette_app/assets/default.parquet",
        "value_palette_app/assets/fonts/newsreader-latin.woff2",
        "value_palette_app/.streamlit/config.toml",
        f"value_palette-{map_core.__version__}.dist-info/licenses/LICENSE",
    ):
        assert needed in names
    assert {name.split("/")[0] for name in names} == {
        "map_core",
        "value_palette_app",
        f"value_palette-{map_core.__version__}.dist-info",
    }
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


@pytest.mark.usefixtures("elsewhere")
def test_solve_agrees_with_the_checkout(installed: Path) -> None:
    arguments = ["solve", "--target", "helpfulness=p70", "--target", "humor=+0.3sd", "--json"]
    answers = [
        subprocess.run([*program, *arguments], capture_output=True, text=True, check=True, env={**os.environ, **more})
        for program, more in (
            ([str(installed / "value-palette")], {}),
            ([sys.executable, "-m", "map_core"], {"PYTHONPATH": str(ROOT)}),
        )
    ]
    from_wheel, from_checkout = (json.loads(answer.stdout) for answer in answers)
    assert from_wheel["verdict"] == from_checkout["verdict"] == "reachable"
    assert from_wheel["weights"] == pytest.approx(from_checkout["weights"], rel=1e-9)
    version = subprocess.run(
        [str(installed / "value-palette"), "--version"], capture_output=True, text=True, check=True
    )
    assert map_core.__version__ in version.stdout


def test_child_processes_find_the_library(installed: Path, elsewhere: Path) -> None:
    rows = [f"p{i},Why {i}?,Because {k}.,{i * k % 7}" for i in range(4) for k in range(4)]
    (elsewhere / "scored.csv").write_text("prompt_id,prompt,reply,wit\n" + "\n".join(rows) + "\n", encoding="utf-8")
    answer = subprocess.run(
        [str(installed / "python"), "-c", IMPORT], capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.split() == ["done", "True"]


@pytest.fixture
def address(installed: Path, elsewhere: Path) -> Iterator[str]:
    """Start the app of the wheel from another folder; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = elsewhere / "log"
    command = [str(installed / "value-palette"), "app", "--port", str(port), "--server.headless=true"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=elsewhere, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://localhost:{port}/_stcore/health", process, log)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.browser
def test_the_app_shows_a_verdict(address: str) -> None:
    path = find_chromium()
    if path is None:
        pytest.skip("There is no Chromium; CHROMIUM can name one.")
    with urllib.request.urlopen(f"{address}/app/static/fonts/newsreader-latin.woff2", timeout=10) as font:
        assert font.status == 200
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=path, args=list(TEST_OPTIONS))
        page = browser.new_page()
        page.goto(f"{address}/?palette=helpfulness:p60")
        expect(page.locator(".vp-desk[data-settled=true] [role=slider]").first).to_be_visible(timeout=60_000)
        expect(keyed(page, "verdict").get_by_role("status")).to_contain_text("Reachable", timeout=60_000)
        browser.close()
