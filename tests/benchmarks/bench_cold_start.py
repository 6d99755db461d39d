"""From the browser's start to faders and verdict: the first visit after the app has started against the next ones.

``python -m tests.benchmarks cold_start``. App and Chromium share the machine; each visit has a browser of its own, with
an empty cache, that runs before the app does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.app_client import AppClient
from tests.app_server import running
from tests.browser_setup import OPTIONS, find_chromium
from tests.visits import keyed

REPEATS = 5


def run() -> dict[str, Any]:
    """Measure and print."""
    _seconds(visited=False)  # writes byte code
    first, second = [], []
    for _ in range(REPEATS):
        first.append(_seconds(visited=False))
        second.append(_seconds(visited=True))
    figures = {"first": statistics.median(first), "second": statistics.median(second)}
    print(f"first visit {figures['first']:.2f} s ({min(first):.2f} to {max(first):.2f}), ", end="")
    print(f"a later one {figures['second']:.2f} s ({min(second):.2f} to {max(second):.2f})")
    return figures


def _seconds(visited: bool) -> float:
    """Return the seconds of a visit to an app that has just started, and that somebody has visited or nobody."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(OPTIONS))
        page = chromium.new_page()
        with running(Path(folder)) as server:
            if visited:
                with AppClient(server.address) as visitor:
                    visitor.run()
            began = time.monotonic()
            page.goto(f"{server.address}/?palette=helpfulness:p60")
            page.locator(".vp-desk[data-settled=true] [role=slider]").first.wait_for()
            keyed(page, "verdict").locator("h2").wait_for()
            seconds = time.monotonic() - began
        chromium.close()
    return seconds


if __name__ == "__main__":
    run()
