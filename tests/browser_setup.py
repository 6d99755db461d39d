"""Find a Chromium for the browser tests, or bring one; ``python -m tests.browser_setup`` does so for ``make test``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Debian has Chromium rasterise on the GPU, which where there is none is one in software: a page then takes
#: half as much of the processor again.
OPTIONS = ("--no-sandbox", "--disable-gpu-rasterization")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome, or None; CHROMIUM in the environment goes first."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def bring_chromium() -> str:
    """Install Chromium from Debian's packages where that can be done, by Playwright's own download elsewhere."""
    if found := find_chromium():
        return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, env=environment)
    if not find_chromium():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    found = find_chromium()
    if not found:
        sys.exit("No Chromium for the browser tests. Install one, or name it: CHROMIUM=/path/to/chromium make test")
    return found


if __name__ == "__main__":
    print(bring_chromium())
