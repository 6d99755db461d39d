"""The desk under a hand: from a pointer's move to the changed answer on the screen, in Chromium on the same machine.

A real server on the embedded table; a fader is dragged to and fro by real pointer events, 60 a second for ten seconds.
Every move counts: its latency ends with the first frame that shows an answer to a message with that move in it.
Then the same while another page generates replies, 20 viewers at once for two minutes, and the memory over many reruns.
``python -m tests.benchmarks desk``; ``python -m tests.benchmarks.bench_desk alone`` (or one
of protected, generating, viewers, memory).
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.app_server import Server, running
from tests.browser_setup import find_chromium

MOVES_A_SECOND, SECONDS = 60, 10.0
VIEWERS, VIEWERS_SECONDS, VIEWERS_MOVES = 20, 120.0, 10
RERUNS = 10_000
GOALS = {"median": 60.0, "p95": 100.0}
#: Records each move with its message, and each answer with the frame that shows it. A move by less than a step of the
#: fader sends nothing new; if that is answered already, there is nothing to wait for.
WATCH = """() => {
    const desk = document.querySelector('.vp-desk'), panel = document.querySelector('.vp-answer');
    const open = [], found = [];
    let texts = new Set();
    document.addEventListener('pointermove', () => {
        const covers = Number(desk.dataset.covers);
        if (window.watching && covers > Number(panel.dataset.ack)) open.push([performance.now(), covers]);
    });
    new MutationObserver(() => requestAnimationFrame(() => {
        const shown = Number(panel.dataset.ack), now = performance.now();
        texts.add(panel.textContent);
        while (open.length && open[0][1] <= shown) found.push(now - open.shift()[0]);
    })).observe(panel, { attributes: true, attributeFilter: ['data-ack'] });
    window.watching = false;
    window.latencies = () => ({ found, open: open.length, texts: texts.size });
}"""
#: Moves a fader by synthetic events, for pages without a real pointer.
PLAY = """async ([seconds, rate, value]) => {
    const handle = document.querySelector(`.vp-row[data-value="${value}"] [role=slider]`);
    const track = handle.parentElement, place = track.getBoundingClientRect();
    const tell = (type, share) => track.dispatchEvent(new PointerEvent(type, {
        bubbles: true, pointerId: 7, pointerType: 'mouse', button: 0,
        clientX: place.left + share * place.width, clientY: place.top + place.height / 2 }));
    window.watching = true;
    tell('pointerdown', 0.55);
    const began = performance.now();
    for (let k = 0; performance.now() - began < 1000 * seconds; k++) {
        tell('pointermove', 0.62 + 0.1 * Math.sin(k / 9));
        await new Promise((done) => setTimeout(done, 1000 / rate));
    }
    tell('pointermove', 0.6);
    tell('pointerup', 0.6);
    await new Promise((done) => setTimeout(done, 4000));
    window.watching = false;
    return window.latencies();
}"""


def run() -> dict[str, Any]:
    """Run all measurements and print."""
    results: dict[str, Any] = {}
    for part in (alone, protected, generating, viewers, memory):
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
            results[part.__name__] = part(server)
            faults = Path(folder, "log").read_text().count("Traceback")
            print(f"tracebacks in the server's log: {faults}")
    return results


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium for a ``with`` block."""
    path = find_chromium()
    if path is None:
        raise SystemExit("There is no Chromium here; python -m tests.browser_setup brings one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser | BrowserContext, server: Server, query: str = "") -> Page:
    """Open a page with the desk and record its moves and answers."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(server.address + query, timeout=120_000)
    page.wait_for_selector(".vp-desk[data-settled=true] [role=slider]", timeout=120_000)
    time.sleep(3.0)
    page.evaluate(WATCH)
    return page


def drag(page: Page, value: str, seconds: float = SECONDS, rate: int = MOVES_A_SECOND) -> dict[str, Any]:
    """Drag a fader to and fro by real pointer events."""
    handle = page.locator(f'.vp-row[data-value="{value}"] [role=slider]')
    handle.scroll_into_view_if_needed()
    track = page.locator(f'.vp-row[data-value="{value}"] .vp-track').bounding_box()
    box = handle.bounding_box()
    assert track is not None
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.evaluate("window.watching = true")
    moves = int(seconds * rate)
    began = time.perf_counter()
    for k in range(moves):
        page.mouse.move(track["x"] + track["width"] * (0.62 + 0.14 * np.sin(k / 25)), y)
        time.sleep(max(0.0, began + (k + 1) / rate - time.perf_counter()))
    took = time.perf_counter() - began
    page.mouse.up()
    time.sleep(1.5)
    latencies = page.evaluate("window.latencies()")
    last = handle.get_attribute("aria-valuenow")
    latencies |= {"rate": moves / took, "last": last, "address": page.url}
    return latencies


def print_row(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Print one row and return its numbers."""
    times = np.array(result["found"])
    row = {
        "moves": len(times),
        "unanswered": result["open"],
        "median": float(np.median(times)),
        "p95": float(np.percentile(times, 95)),
        "slowest": float(times.max()),
        "answers": result["texts"],
    }
    print(
        f"{name}: {row['moves']} moves, median {row['median']:.0f} ms, 95th percentile {row['p95']:.0f} ms, slowest "
        f"{row['slowest']:.0f} ms, {row['answers']} different answers shown, {row['unanswered']} moves without one"
    )
    return row


def alone(server: Server) -> dict[str, Any]:
    """Measure one viewer: a drag among reachable palettes, then beyond the boundary."""
    with chromium() as browser:
        page = opened(browser, server)
        drag(page, "humor", 3.0)  # warm-up
        page.evaluate("window.latencies().found.length = 0")
        result = drag(page, "humor")
        print(f"{result['rate']:.0f} moves a second; last value {result['last']}; address {result['address']}")
        row = print_row("one viewer", result)
        ended = f"humor%3Ap{result['last']}" in result["address"] or f"humor:p{result['last']}" in result["address"]
        print(f"the last value is in the address: {ended}; goals {GOALS}")
        return row | {"last_shown": ended}


#: A palette with a share of replies in every use case and no use case below its original level.
PROTECTED = "?palette=helpfulness:p65;humor:p55;kindness>=p20@*:0.9;--no-cohort-below-base:use_case"


def protected(server: Server) -> dict[str, Any]:
    """Measure one viewer with demands beyond averages: the same drag with four shares and eight floors."""
    with chromium() as browser:
        page = opened(browser, server, PROTECTED)
        drag(page, "humor", 3.0)
        page.evaluate("window.latencies().found.length = 0")
        return print_row("one viewer, a palette beyond averages", drag(page, "humor"))


def generating(server: Server) -> dict[str, Any]:
    """Measure one viewer while another page generates replies."""
    with chromium() as browser:
        page = opened(browser, server)
        drag(page, "humor", 3.0)
        generating_page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        generating_page.goto(f"{server.address}/compare", timeout=120_000)
        generating_page.wait_for_selector(".st-key-generate button:not([disabled])", timeout=120_000)
        time.sleep(5.0)
        generating_page.locator(".st-key-generate button").click()
        page.evaluate("window.latencies().found.length = 0")
        page.bring_to_front()
        row = print_row("while another page generates", drag(page, "humor"))
        state = generating_page.locator(".vp-panel [role=status]").inner_text()
        print(f"the other page at the end of the drag: {state}")
        return row | {"other_page": state}


def viewers(server: Server, count: int = VIEWERS, seconds: float = VIEWERS_SECONDS) -> dict[str, Any]:
    """Measure many viewers that move faders concurrently by synthetic events."""
    values = ("humor", "kindness", "helpfulness")
    with chromium() as browser:
        # One browser profile, so that scripts are fetched once; each page has its own session.
        shared = browser.new_context()
        pages = [opened(shared, server) for _ in range(count)]
        for k, page in enumerate(pages):
            page.evaluate(
                f"(told) => {{ window.played = ({PLAY})(told); return null; }}",
                [seconds, VIEWERS_MOVES, values[k % len(values)]],
            )
        time.sleep(seconds + 8.0)
        results, faults = [], 0
        for page in pages:
            results.append(page.evaluate("window.played"))
            faults += page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count()
        row = print_row(
            f"{count} viewers, {VIEWERS_MOVES} moves a second each",
            {
                "found": [t for result in results for t in result["found"]],
                "open": sum(result["open"] for result in results),
                "texts": min(result["texts"] for result in results),
            },
        )
        print(f"errors on pages: {faults}")
        return row | {"errors": faults}


def memory(server: Server, reruns: int = RERUNS) -> dict[str, Any]:
    """Measure the server's memory over many reruns of the desk."""
    process = psutil.Process(server.pid)
    with chromium() as browser:
        page = opened(browser, server)
        sizes = [process.memory_info().rss / 2**20]
        done = 0
        while done < reruns:
            page.evaluate(PLAY, [20.0, 45, "humor"])
            done = int(page.evaluate("Number(document.querySelector('.vp-answer').dataset.ack)"))
            sizes.append(process.memory_info().rss / 2**20)
        print(f"{done} messages answered; memory {sizes[0]:.0f} MB before, {sizes[1]:.0f} early, {sizes[-1]:.0f} after")
        return {"messages": done, "megabytes": sizes}


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["alone"]:
        with tempfile.TemporaryDirectory() as place, running(Path(place)) as started:
            {"alone": alone, "protected": protected, "generating": generating, "viewers": viewers, "memory": memory}[
                chosen
            ](started)
            print("tracebacks:", Path(place, "log").read_text().count("Traceback"))
