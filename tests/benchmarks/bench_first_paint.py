"""What a browser loads until the first fader can be seen, and for the page by which a phone joins a meeting.

A real Chromium with an empty cache, as on a first visit; bytes as they come over the network, by the debugging
protocol. Messages of the web socket are counted by themselves, as they are before the socket compresses them; "on the
wire" is everything that the server sends, headers, frames and compression included, as a relay in between counts it.
What is Streamlit's own lies below ``/static``. The app serves its embedded table on loopback.
"""

from __future__ import annotations

import socket
import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from tests.app_server import SECONDS, running
from tests.browser_setup import find_chromium

REPEATS = 3
#: The name of the total that the server sends.
WIRE = "on the wire"
#: What is opened, until what is there, and how wide the window is.
PAGES = {
    "first fader": ("", ".vp-desk [role=slider]", 1440),
    "join page": ("join", "[data-testid=stMain] input", 390),
}


def run() -> dict[str, Any]:
    """Measure and print."""
    figures: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as server,
        _relay(int(urlsplit(server.address).port or 0)) as (address, sent),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for name, (page, until, width) in PAGES.items():
            loads = [_load(browser, f"{address}/{page}", until, width, sent) for _ in range(REPEATS)]
            kinds = sorted({kind for load in loads for kind in load})
            figures[name] = {kind: statistics.median(load[kind] for load in loads) for kind in kinds}
            figures[name]["http"] = statistics.median(
                sum(size for kind, size in load.items() if kind not in ("web socket", WIRE)) for load in loads
            )
            parts = ", ".join(f"{kind} {figures[name][kind] / 1000:,.0f} kB" for kind in kinds)
            print(f"{name}: {figures[name]['http'] / 1000:,.0f} kB over HTTP; {parts}")
        browser.close()
    return figures


@contextmanager
def _relay(port: int) -> Iterator[tuple[str, list[int]]]:
    """Pass connections on to a port of this machine; what it answers is counted in the one entry of the list."""
    sent = [0]

    def pump(source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sent[0] += len(piece) if counted else 0
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                app = socket.create_connection(("localhost", port))
                for ends in ((client, app, False), (app, client, True)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://localhost:{listener.getsockname()[1]}", sent


def _load(browser: Browser, address: str, until: str, width: int, sent: list[int]) -> Counter[str]:
    """Load a page with an empty cache, and return bytes by kind until something is there."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    paths: dict[str, str] = {}
    sizes: Counter[str] = Counter()

    def started(event: dict[str, Any]) -> None:
        paths[event["requestId"]] = urlsplit(event["response"]["url"]).path

    def finished(event: dict[str, Any]) -> None:
        sizes[_kind(paths.get(event["requestId"], ""))] += int(event["encodedDataLength"])

    def received(event: dict[str, Any]) -> None:
        frame = event["response"]
        # Binary frames are base64.
        sizes["web socket"] += len(frame["payloadData"]) * 3 // 4 if frame["opcode"] == 2 else len(frame["payloadData"])

    network.on("Network.responseReceived", started)
    network.on("Network.loadingFinished", finished)
    network.on("Network.webSocketFrameReceived", received)
    before = sent[0]
    page.goto(address)
    page.wait_for_selector(until, timeout=60 * SECONDS)
    byte_counts = Counter(sizes) + Counter({WIRE: sent[0] - before})
    context.close()
    return byte_counts


def _kind(path: str) -> str:
    if not path.startswith("/static/"):
        return "the app's fonts" if path.startswith("/app/static/fonts/") else "other"
    if "plotly" in path.lower():
        return "Plotly"
    return "Streamlit's icon font" if path.startswith("/static/media/") else "Streamlit's scripts and sheets"
