"""What a run of the page *Set* costs beside the open visits of others, with and without a collection after each run.

``python -m tests.benchmarks visits``. Visitors are clients without a browser, so all processor time is that of the app.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import psutil

from map_core.core import limits
from tests.app_client import AppClient
from tests.app_server import running

VISITS = (0, 20, 60, 120, 200)
RUNS = 30


def run() -> dict[str, Any]:
    """Measure and print."""
    figures: dict[str, Any] = {}
    for collects in (True, False):
        with (
            tempfile.TemporaryDirectory() as folder,
            running(
                Path(folder),
                options=[f"--runner.postScriptGC={str(collects).lower()}"],
                settings={limits.SOCKETS_OF_ADDRESS.variable: str(max(VISITS) + 1)},
            ) as server,
        ):
            figures["collected" if collects else "not collected"] = _measure(server.address, server.pid)
    rows = zip(*figures.values(), strict=True)
    for visits, (collected, without) in zip(VISITS, rows, strict=True):
        print(f"{visits:4} open visits: {collected['ms']:.0f} ms of processor a run with a collection, ", end="")
        print(
            f"{without['ms']:.0f} without ({collected['ms'] / without['ms']:.1f}); "
            f"{collected['mb']}, {without['mb']} MB"
        )
    return figures


def _measure(address: str, pid: int) -> list[dict[str, float]]:
    """Return the processor time of a run, in ms, and the memory of the app, in MB, for each number of visits."""
    process, visitors, measured = psutil.Process(pid), [], []
    client = AppClient(address)
    for _ in range(5):
        client.run()
    for visits in VISITS:
        while len(visitors) < visits:
            visitors.append(AppClient(address))
            visitors[-1].run()
        before = sum(process.cpu_times()[:2])
        for _ in range(RUNS):
            client.run()
        spent = (sum(process.cpu_times()[:2]) - before) / RUNS
        measured.append({"ms": spent * 1000, "mb": process.memory_info().rss // 2**20})
    for visitor in (client, *visitors):
        visitor.socket.close()
    return measured


if __name__ == "__main__":
    run()
