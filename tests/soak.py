"""A soak of the app: viewers that come, look at palettes, vanish and come back, for as many minutes as are asked for.

    make soak MINUTES=30

It prints memory (with its slope after warm-up and a 95% interval), descriptors, visits, and what the log says.
Constraint: the app is a process of its own, with a database of its own; it is ended by its id.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy import stats
from websockets.exceptions import WebSocketException

from tests.app_client import AppClient
from tests.app_server import running

PAGES = ("", "values", "tradeoffs", "palettes", "groups", "tables", "report", "how")
VALUES = ("helpfulness", "kindness", "humor")
#: Share of the time that is warm-up, and seconds between two measurements.
WARM_UP, INTERVAL = 0.3, 2.0


@dataclass
class Counts:
    """What the viewers have done; each thread has its own."""

    runs: int = 0
    visits: int = 0
    vanished: int = 0
    failures: list[str] = field(default_factory=list)


def view(address: str, seed: int, over: threading.Event, counts: Counts) -> None:
    """Visit pages with random palettes; now and then leave without a word, as a browser that is killed does."""
    chance = random.Random(seed)
    while not over.is_set():
        try:
            visitor = AppClient(address)
            counts.visits += 1
            for _ in range(chance.randint(1, 6)):
                palette = ";".join(f"{name}:p{chance.randint(1, 99)}" for name in chance.sample(VALUES, 2))
                visitor.run(chance.choice(PAGES), f"palette={palette}")
                counts.runs += 1
                over.wait(chance.expovariate(1.0))
                if over.is_set():
                    break
            if chance.random() < 0.3:
                visitor.socket.socket.close()
                counts.vanished += 1
            else:
                visitor.socket.close()
        except (OSError, WebSocketException, TimeoutError) as error:
            counts.failures.append(f"{type(error).__name__}: {error}"[:200])
            over.wait(1.0)


def main() -> None:
    """Run the soak and print its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--viewers", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        process, over = psutil.Process(server.pid), threading.Event()
        counts = [Counts() for _ in range(options.viewers)]
        viewers = [
            threading.Thread(target=view, args=(server.address, seed, over, one)) for seed, one in enumerate(counts)
        ]
        for viewer in viewers:
            viewer.start()
        began, rows = time.monotonic(), []
        while (passed := time.monotonic() - began) < 60 * options.minutes:
            rows.append((passed, process.memory_info().rss / 1e6, process.num_fds()))
            time.sleep(INTERVAL)
        over.set()
        for viewer in viewers:
            viewer.join(90)
        log = (Path(folder) / "log").read_text(errors="replace")
    report(np.array(rows), counts, log)


def report(rows: np.ndarray, counts: list[Counts], log: str) -> None:
    """Print what was measured, (measurement, [seconds, MB, descriptors])."""
    late = rows[rows[:, 0] >= WARM_UP * rows[-1, 0]]
    fit = stats.linregress(late[:, 0] / 60, late[:, 1])
    width = stats.t.ppf(0.975, len(late) - 2) * fit.stderr
    runs, visits = sum(one.runs for one in counts), sum(one.visits for one in counts)
    failures = [text for one in counts for text in one.failures]
    errors = re.findall(r"^(?:\w*Error|\w*Exception|Traceback).*", log, re.MULTILINE)
    print(f"{rows[-1, 0] / 60:.1f} minutes, {len(counts)} viewers: {visits} visits, {runs} pages, ", end="")
    print(f"{sum(one.vanished for one in counts)} vanished, {len(failures)} failures of viewers")
    print(f"memory: {rows[0, 1]:.0f} MB at first, {late[0, 1]:.0f} after warm-up, {rows[:, 1].max():.0f} at most")
    print(
        f"slope after warm-up: {fit.slope:+.2f} MB a minute (95%: {fit.slope - width:+.2f} to {fit.slope + width:+.2f})"
    )
    print(f"descriptors: {late[:, 2].min():.0f} to {late[:, 2].max():.0f} after warm-up")
    print(f"errors in the log: {len(errors)}")
    for text in [*dict.fromkeys(failures), *dict.fromkeys(errors)][:10]:
        print(f"  {text}")


if __name__ == "__main__":
    main()
