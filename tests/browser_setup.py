"""Find a Chromium for the browser tests, or bring one; ``python -m tests.browser_setup`` does so for ``make test``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Debian has Chromium rasterise on the GPU, which where there is none is one in software: a page then takes
#: half as much of the processor again.
OPTIONS = ("--no-sandbox", "--disable-gpu-rasterization")
#: For the pages of tests, which live for seconds: optimising their scripts takes a tenth more of the processor's time
#: than it saves, and the pages of one context share a process and scripts that are compiled, as long as one of them is
#: open (see the fixture ``context``), which takes a sixth less.
TEST_OPTIONS = (*OPTIONS, "--js-flags=--no-opt --no-maglev", "--process-per-site")
#: The first has no windows at all and takes about half of the processor's time for a page.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome, or None; CHROMIUM in the environment goes first."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    if found := installed(NAMES):
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def installed(names: Sequence[str]) -> str | None:
    """The path of the first of these programs that is installed, or None."""
    return next((path for name in names if (path := shutil.which(name))), None)


def bring_chromium() -> str:
    """Install Chromium from Debian's packages where that can be done, by Playwright's own download elsewhere."""
    may_install = shutil.which("apt-get") and os.geteuid() == 0
    if (found := find_chromium()) and (os.environ.get("CHROMIUM") or installed(NAMES[:1]) or not may_install):
        return found
    if may_install:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for name in NAMES[:2]:
            command = ["apt-get", "install", "-y", "-qq", name]
            if subprocess.run(command, check=False, env=environment).returncode == 0:
                break
    if not find_chromium():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    found = find_chromium()
    if not found:
        sys.exit("No Chromium for the browser tests. Install one, or name it: CHROMIUM=/path/to/chromium make test")
    return found


if __name__ == "__main__":
    print(bring_chromium())
