"""Find or install a Chromium for the browser tests; ``make test`` runs ``python -m tests.browser_setup``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Debian's Chromium rasterises on the GPU, or in a software GPU where there is none, which takes half as much CPU time
#: again.
OPTIONS = ("--no-sandbox", "--disable-gpu-rasterization")
#: Test pages live for seconds: optimising their scripts costs a tenth more CPU time than it saves. The pages of one
#: context share a process and compiled scripts as long as one of them is open (see the fixture ``context``), which
#: saves a sixth.
TEST_OPTIONS = (*OPTIONS, "--js-flags=--no-opt --no-maglev", "--process-per-site")
#: The first has no windows and takes about half of the CPU time per page.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None; the variable CHROMIUM takes precedence."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    if program := installed(NAMES):
        return program
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def installed(names: Sequence[str]) -> str | None:
    """Return the path of the first of these programs that is installed, or None."""
    return next((path for name in names if (path := shutil.which(name))), None)


def bring_chromium() -> str:
    """Install Chromium from Debian's packages where possible, otherwise by Playwright's download."""
    may_install = shutil.which("apt-get") and os.geteuid() == 0
    if (program := find_chromium()) and (os.environ.get("CHROMIUM") or installed(NAMES[:1]) or not may_install):
        return program
    if may_install:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for name in NAMES[:2]:
            command = ["apt-get", "install", "-y", "-qq", name]
            if subprocess.run(command, check=False, env=environment).returncode == 0:
                break
    if not find_chromium():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    program = find_chromium()
    if not program:
        sys.exit("No Chromium for the browser tests. Install one, or name it: CHROMIUM=/path/to/chromium make test")
    return program


if __name__ == "__main__":
    print(bring_chromium())
