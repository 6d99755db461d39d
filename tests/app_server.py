"""The app in its own process and a Chromium: fixtures that all browser tests share.

One server serves the whole run, on loopback, on a free port and on a small table, and is ended by its process id; a
browser serves one file of tests, because Playwright keeps an event loop running for as long as it is there.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

from map_core.data import table_format
from tests import ROOT
from tests.browser_setup import TEST_OPTIONS, find_chromium
from tests.tables import make_table

SECONDS = 1000
#: In every reply of the shared table: a script that would be noticed if it ran.
MARKUP = '<img src=x onerror="window.ran = true"><script>window.ran = true</script> **bold** $x$'


@dataclass(frozen=True)
class Server:
    """A running app: its address, its process id, and the file of its log."""

    address: str
    pid: int
    log: Path


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    folder: Path,
    table: Path | None = None,
    numbers: bool = False,
    port: int | None = None,
    options: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the app for a ``with`` block.

    Args:
        folder: for its log.
        table: what it opens; the embedded table when None.
        numbers: whether somebody who has chosen nothing is shown numbers.
        port: where it answers; any that is free when None.
        options: of Streamlit, beside those of all tests.
        settings: of the app, in its environment.
    """
    port = free_port() if port is None else port
    options = (f"--server.port={port}", "--server.headless=true", "--client.showErrorDetails=full", *options)
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    environment = dict(os.environ)
    environment.pop("VALUE_PALETTE_TABLE", None)
    environment.pop("HF_DEACTIVATE_ASYNC_LOAD", None)  # of the tests; the app reads its models as it does for people
    environment["VALUE_PALETTE_NUMBERS"] = "on" if numbers else "off"
    environment["VALUE_PALETTE_DATABASE"] = f"sqlite:///{folder / 'kept.sqlite'}"
    environment["VALUE_PALETTE_TABLES"] = str(folder / "tables")
    if table is not None:
        environment["VALUE_PALETTE_TABLE"] = str(table)
    environment |= settings or {}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://localhost:{port}/_stcore/health", process, folder / "log")
        yield Server(f"http://localhost:{port}", process.pid, folder / "log")
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers.

    Raises:
        RuntimeError: it has ended, or does not answer within a minute.
    """
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"The server ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"The server does not answer: {log.read_text()[-2000:]}")


def model_processes(server: Server) -> list[psutil.Process]:
    """Return the model processes of a server: one, or none before the first request."""
    children = psutil.Process(server.pid).children()
    return [process for process in children if "map_core.service.worker" in process.cmdline()]


@contextmanager
def slow_model(server: Server, runs: float = 0.1, pause: float = 0.2) -> Iterator[None]:
    """Slow down the models of a server for a ``with`` block, by stopping their processes in between.

    A page then shows replies while they are written even on a fast machine, without replies so long that a busy one
    needs a minute for them.

    Args:
        server: whose models are slowed; loading is slow too, unless they are loaded.
        runs: seconds of each running interval.
        pause: seconds of each stop in between.
    """
    ended = threading.Event()

    def alternate() -> None:
        while not ended.wait(runs):
            for process in model_processes(server):
                process.send_signal(signal.SIGSTOP)
                ended.wait(pause)
                process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """The app on a small table, shared by all test files."""
    folder = tmp_path_factory.mktemp("app")
    table = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(
        replace(table, replies=tuple(f"{text} {MARKUP}" for text in table.replies)), folder / "table.parquet"
    )
    with running(folder, folder / "table.parquet", numbers=True) as started:
        yield started


@pytest.fixture(scope="session")
def address(server) -> str:
    """The address of the app."""
    return server.address


@pytest.fixture(scope="module")
def browser():
    """A Chromium for one test file."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium here; python -m tests.browser_setup brings one")
    # Longer than Playwright's default of 5 seconds, for busy machines.
    expect.set_options(timeout=30 * SECONDS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(TEST_OPTIONS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def context(browser, address) -> Iterator[BrowserContext]:
    """A browser context shared by the pages of one test file, so that scripts are fetched and compiled once.

    The app keeps nothing in a browser but the address, what each tab has stored and whether numbers are shown, so that
    its pages know nothing else of each other. A page that stays open keeps their process, which has compiled scripts.
    """
    opened = browser.new_context(viewport={"width": 1440, "height": 900})
    opened.new_page().goto(f"{address}/_stcore/health")
    yield opened
    opened.close()
