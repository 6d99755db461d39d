"""Replies in real browsers: first tokens after the click, decoding beside an open page, and eight viewers at once.

A real server of the app on the embedded table, a real Chromium a viewer, all on this machine. First one viewer alone on
the warm app: from the click to the first words of the base reply on the page. Then the speed of one request beside the
page that shows it, against the same request without any page, in turn. Then eight browsers generate again and again,
and one of them kills the model process. Counted are finished generations and everything that went wrong: exceptions on
the page, errors in the console, boxes that say that something did not work. Last the first words again where no page
gets a socket of the channel, and the page's script draws instead.
``python -m tests.benchmarks browsers``; ``python -m tests.benchmarks.bench_browsers alone`` (or speed, eight, without).
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

import psutil

from map_core import scoring
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from tests import ROOT
from tests.browser_setup import find_chromium

VIEWERS = 8
SECONDS = 120.0
CANDIDATES, TOKENS = 8, 32
ALONE = 11
#: The request whose speed is measured.
LONG_CANDIDATES, LONG_TOKENS, REPEATS = 16, 64, 11
PARTS = ("alone", "speed", "eight", "without")
#: Milliseconds from the click to the frame that shows the first words of the base reply.
SHOWN = """() => new Promise((resolve) => {
    const began = performance.now(), panel = document.querySelector(".vp-panel");
    const before = panel.dataset.generation;
    const look = () => {
        const reply = panel.querySelector("[data-column=base] .vp-reply");
        const error = document.querySelector("[data-testid=stAlertContentError]");
        if (error) return done(-1);
        if (panel.dataset.generation === before || !reply?.textContent.trim()) return;
        requestAnimationFrame(() => done(performance.now() - began));
    };
    const watch = new MutationObserver(look);
    const late = setTimeout(() => done(-2), 120000);
    const done = (found) => {
        watch.disconnect();
        clearTimeout(late);
        resolve(found);
    };
    watch.observe(panel, { subtree: true, childList: true, characterData: true, attributes: true });
    document.querySelector(".st-key-generate button").click();
})"""
#: Until the panel says that all is done: told by its change, since a look in every frame would have the browser draw
#: sixty frames a second, which nobody's page does.
DONE = """() => new Promise((resolve, reject) => {
    const panel = document.querySelector(".vp-panel");
    const look = () => {
        if (!panel.querySelector("[role=status]").textContent.startsWith("Done")) return;
        watch.disconnect();
        resolve();
    };
    const watch = new MutationObserver(look);
    watch.observe(panel, { subtree: true, childList: true, characterData: true });
    setTimeout(() => reject(new Error("not done within three minutes")), 180000);
    look();
})"""


def run(viewers: int = VIEWERS, seconds: float = SECONDS, parts: Sequence[str] = PARTS) -> dict[str, Any]:
    """Measure and print the results.

    Args:
        viewers: browsers at once.
        seconds: duration.
        parts: the measurements to run.
    """
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("There is no Chromium here; python -m tests.browser_setup brings one.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}"]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
        # With numbers, so that the page says how many tokens were drawn.
        environment = os.environ | {
            "VALUE_PALETTE_DATABASE": f"sqlite:///{folder}/kept.sqlite",
            "VALUE_PALETTE_NUMBERS": "on",
        }
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health")
            figures = asyncio.run(_all(chromium, f"http://127.0.0.1:{port}", server.pid, viewers, seconds, parts))
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


async def _all(
    chromium: str, address: str, server: int, viewers: int, seconds: float, parts: Sequence[str]
) -> dict[str, Any]:
    from playwright.async_api import async_playwright

    faults: list[str] = []
    figures: dict[str, Any] = {}
    async with async_playwright() as playwright:
        # One browser per viewer: a browser draws only its front page.
        launched = [
            await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for _ in range(viewers if "eight" in parts else 1)
        ]
        first = await _open(launched[0], address, faults)
        await _generate(first)  # warms the app up
        if "alone" in parts:
            figures |= await _alone(first)
        if "speed" in parts:
            figures |= await _speed(first)
            await _set_numbers(first, CANDIDATES, TOKENS)
        pages = [first]
        if "eight" in parts:
            pages = [first, *[await _open(browser, address, faults) for browser in launched[1:]]]
            figures |= await _eight(pages, server, seconds, faults)
        if "without" in parts:
            figures["without"] = await _without(pages, seconds, faults)
        for browser in launched:
            await browser.close()
    for fault in faults:
        print(f"  {fault}")
    return figures | {"faults": faults}


async def _alone(page: Any) -> dict[str, Any]:
    """Measure one viewer from the click to the first words."""
    waits = [await _generate(page) for _ in range(ALONE)]
    print(
        f"one viewer, warm: first words on the page {statistics.median(waits):.2f} s after the click (slowest "
        f"{max(waits):.2f} s of {len(waits)})"
    )
    return {"alone_seconds": statistics.median(waits), "alone_slowest_seconds": max(waits)}


async def _speed(page: Any) -> dict[str, Any]:
    """Measure tokens a second up to the choice, in turn with and without a page that shows the request."""
    await _set_numbers(page, LONG_CANDIDATES, LONG_TOKENS)
    await _generate(page)
    prompt = await page.locator(".vp-panel .vp-asked p").inner_text()
    settings = SamplingSettings.from_metadata(table_format.load_metadata(table_format.DEFAULT_TABLE))
    on_page, without = [], []
    with GenerationService() as service:
        service.start(scoring.DEFAULT_VALUES)
        for turn in range(REPEATS + 1):
            seed = int(await page.locator(".st-key-seed input").input_value())
            if await _generate(page) < 0:
                raise SystemExit("The page shows no replies.")
            status_text = await page.locator(".vp-panel [role=status]").inner_text()
            match = re.search(r"([\d,]+) tokens, ([\d.]+) s", status_text)
            assert match is not None, status_text
            with_page = int(match[1].replace(",", "")) / float(match[2])
            await page.wait_for_timeout(1500)
            request = GenerationRequest(
                prompt,
                {"helpfulness": 0.4, "coherence": 4.8},
                scoring.DEFAULT_VALUES,
                LONG_CANDIDATES,
                SamplingSettings(settings.temperature, settings.top_k, settings.top_p, LONG_TOKENS),
                seed,
            )
            end = await asyncio.to_thread(service.submit(request).wait, 300)
            if turn:  # the first one warms up
                on_page.append(with_page)
                without.append(end.tokens / end.seconds)
    ratios = [with_rate / without_rate for with_rate, without_rate in zip(on_page, without, strict=True)]
    print(
        f"K = {LONG_CANDIDATES}, {LONG_TOKENS} tokens: {statistics.median(on_page):.0f} tokens/s beside the page, "
        f"{statistics.median(without):.0f} without, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return {
        "tokens_a_second_beside": statistics.median(on_page),
        "tokens_a_second_without": statistics.median(without),
        "ratio": statistics.median(ratios),
    }


async def _eight(pages: Sequence[Any], server: int | None, seconds: float, faults: list[str]) -> dict[str, Any]:
    """Let every viewer generate repeatedly; halfway, kill the model process of the named server."""
    end, waits = time.monotonic() + seconds, []
    killed: list[int] = []

    async def view(number: int, page: Any) -> int:
        count = 0
        while time.monotonic() < end:
            if number == 0 and server is not None and not killed and time.monotonic() > end - seconds / 2:
                killed.append(_kill_model(server))
            took = await _generate(page)
            if took < 0:
                faults.append(f"viewer {number}: " + ("an error is shown" if took == -1 else "nothing came"))
            else:
                waits.append(took)
                count += 1
        return count

    counts = await asyncio.gather(*(view(number, page) for number, page in enumerate(pages)))
    figures = {
        "viewers": len(pages),
        "seconds": seconds,
        "finished": counts,
        "killed": len(killed),
        "first_tokens_median": statistics.median(waits or [math.nan]),
        "first_tokens_slowest": max(waits, default=math.nan),
    }
    median, slowest = figures["first_tokens_median"], figures["first_tokens_slowest"]
    print(
        f"{len(pages)} viewers for {seconds:.0f} s, the model process killed {len(killed)} times: {sum(counts)} "
        f"generations ({min(counts)} to {max(counts)} a viewer), first words after {median:.2f} s (slowest "
        f"{slowest:.2f} s), {len(faults)} faults"
    )
    return figures


async def _without(pages: Sequence[Any], seconds: float, faults: list[str]) -> dict[str, Any]:
    """Measure the first words without the live channel: one viewer alone, then all of them."""
    for page in pages:
        await page.route_web_socket(re.compile("/live/desk"), lambda socket: socket.close())
        await page.reload()
        await page.wait_for_selector(".st-key-generate button:enabled", timeout=120_000)
        await page.locator(".st-key-how summary").first.click()
        await _set_numbers(page, CANDIDATES, TOKENS)
        await _generate(page)
    figures = await _alone(pages[0]) | await _speed(pages[0])
    await _set_numbers(pages[0], CANDIDATES, TOKENS)
    return figures | (await _eight(pages, None, seconds, faults) if len(pages) > 1 else {})


async def _open(browser: Any, address: str, faults: list[str]) -> Any:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(f"page: {error}"))
    page.on("console", lambda line: faults.append(f"console: {line.text}") if line.type == "error" else None)
    await page.goto(address)
    await page.get_by_role("link", name="Listen").click(timeout=120_000)
    await page.wait_for_selector(".st-key-generate button:enabled", timeout=120_000)
    await page.locator(".st-key-how summary").first.click()
    await _set_numbers(page, CANDIDATES, TOKENS)
    return page


async def _set_numbers(page: Any, candidates: int, tokens: int) -> None:
    for key, number in (("candidates_k", candidates), ("max_new_tokens", tokens)):
        box = page.locator(f".st-key-{key} input")
        await box.fill(str(number))
        await box.press("Tab")
        await page.wait_for_timeout(1500)


async def _generate(page: Any) -> float:
    """Click and wait for the end; return seconds from the click to the first words, negative for a fault."""
    shown_at = float(await page.evaluate(SHOWN))
    if shown_at < 0:
        return shown_at
    try:
        await page.evaluate(DONE)
        # The page's script draws what follows the replies; the next click comes after that.
        await page.wait_for_selector(".st-key-stop button:disabled", timeout=60_000)
        await page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
    except Exception:
        return -1.0 if await page.locator("[data-testid=stAlertContentError]").count() else -2.0
    return shown_at / 1000


def _kill_model(server: int) -> int:
    """Kill the model process of this server."""
    for child in psutil.Process(server).children(recursive=True):
        if "map_core.service.worker" in " ".join(child.cmdline()):
            child.kill()
            return child.pid
    raise SystemExit("The server has no model process.")


if __name__ == "__main__":
    run(parts=sys.argv[1:] or PARTS)
