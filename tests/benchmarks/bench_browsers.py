"""Eight browsers at once: they generate again and again for two minutes, and one of them kills the model process.

A real server of the app on the embedded table, a real Chromium a viewer, all on this machine. Counted
are finished generations and everything that went wrong: exceptions on the page, errors in the console, boxes that say
that something did not work. First one viewer alone on the warm app: from the click to the first tokens and the first
words of the aligned reply on the page. ``python -m tests.benchmarks browsers``
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

import psutil

from tests import ROOT
from tests.browser_setup import find_chromium

VIEWERS = 8
SECONDS = 120.0
CANDIDATES, TOKENS = 8, 32
ALONE = 5
# When the status line says that there are tokens, both columns have theirs: they are drawn in one go.
SHOWN = """async () => {
    const button = document.querySelector('.st-key-generate button'), began = performance.now();
    const said = () => document.querySelector('[data-testid=stMain] [role=status]')?.innerText ?? '';
    const before = said();
    button.click();
    while (performance.now() - began < 120000) {
        await new Promise(requestAnimationFrame);
        const now = said(), error = document.querySelector('[data-testid=stAlertContentError]');
        const begun = /^(Writing|Scoring|Done): \\d+ candidates, [1-9]/.test(now);
        if (begun && now !== before) return performance.now() - began;
        if (error) return -1;
    }
    return -2;
}"""


def run(viewers: int = VIEWERS, seconds: float = SECONDS) -> dict[str, Any]:
    """Measure and print.

    Args:
        viewers: browsers at once.
        seconds: how long they go on.
    """
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("There is no Chromium here; python -m tests.browser_setup brings one.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}"]
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
        server = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health")
            figures = asyncio.run(_all(chromium, f"http://127.0.0.1:{port}", server.pid, viewers, seconds))
        finally:
            server.terminate()
            server.wait(30)
        log.seek(0)
        figures["tracebacks"] = log.read().decode(errors="replace").count("Traceback")
    print(f"tracebacks in the server's log: {figures['tracebacks']}")
    return figures


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("The server does not answer.")


async def _all(chromium: str, address: str, server: int, viewers: int, seconds: float) -> dict[str, Any]:
    from playwright.async_api import async_playwright

    faults: list[str] = []
    async with async_playwright() as playwright:
        # A browser a viewer: in one browser only the page in front is drawn.
        browsers = [
            await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) for _ in range(viewers)
        ]
        first = await _open(browsers[0], address, faults)
        await _generate(first)  # warms the app up
        alone = [await _generate(first) for _ in range(ALONE)]
        print(
            f"one viewer, warm: first tokens and words of the aligned reply on the page after "
            f"{statistics.median(alone):.2f} s (slowest {max(alone):.2f} s)"
        )
        pages = [first, *[await _open(browser, address, faults) for browser in browsers[1:]]]
        end, waits = time.monotonic() + seconds, []
        killed: list[int] = []

        async def view(number: int, page: Any) -> int:
            count = 0
            while time.monotonic() < end:
                if number == 0 and not killed and time.monotonic() > end - seconds / 2:
                    killed.append(_kill_model(server))
                took = await _generate(page)
                if took < 0:
                    faults.append(f"viewer {number}: " + ("an error is shown" if took == -1 else "nothing came"))
                else:
                    waits.append(took)
                    count += 1
            return count

        counts = await asyncio.gather(*(view(number, page) for number, page in enumerate(pages)))
        for browser in browsers:
            await browser.close()
    figures = {
        "viewers": viewers,
        "seconds": seconds,
        "alone_seconds": statistics.median(alone),
        "alone_slowest_seconds": max(alone),
        "finished": counts,
        "killed": len(killed),
        "first_tokens_median": statistics.median(waits or [math.nan]),
        "first_tokens_slowest": max(waits, default=math.nan),
        "faults": faults,
    }
    print(
        f"{viewers} viewers for {seconds:.0f} s, the model process killed once: {sum(counts)} generations "
        f"({min(counts)} to {max(counts)} a viewer), first tokens after {figures['first_tokens_median']:.2f} s "
        f"(slowest {figures['first_tokens_slowest']:.2f} s), {len(faults)} faults"
    )
    for fault in faults:
        print(f"  {fault}")
    return figures


async def _open(browser: Any, address: str, faults: list[str]) -> Any:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(f"page: {error}"))
    page.on("console", lambda line: faults.append(f"console: {line.text}") if line.type == "error" else None)
    await page.goto(address)
    await page.get_by_role("link", name="Listen").click(timeout=120_000)
    await page.wait_for_selector(".st-key-generate button:enabled", timeout=120_000)
    for key, number in (("candidates_k", CANDIDATES), ("max_new_tokens", TOKENS)):
        box = page.locator(f".st-key-{key} input")
        await box.fill(str(number))
        await box.press("Tab")
        await page.wait_for_timeout(1000)
    return page


async def _generate(page: Any) -> float:
    """Click, wait for the end; seconds from the click to the first tokens on the page, negative for a fault."""
    shown = float(await page.evaluate(SHOWN))
    if shown < 0:
        return shown
    try:
        await page.wait_for_function(
            "() => document.querySelector('[data-testid=stMain] [role=status]')?.innerText.startsWith('Done')",
            timeout=180_000,
        )
    except Exception:
        return -1.0 if await page.locator("[data-testid=stAlertContentError]").count() else -2.0
    return shown / 1000


def _kill_model(server: int) -> int:
    """Kill the model process of this server."""
    for child in psutil.Process(server).children(recursive=True):
        if "map_core.service.worker" in " ".join(child.cmdline()):
            child.kill()
            return child.pid
    raise SystemExit("The server has no model process.")


if __name__ == "__main__":
    run()
