"""Files that expand, uploaded to a running app while another visitor opens its pages.

    python -m tests.proofs.bombs

Each of the files of ``tests.data.bombs`` comes through the page's own uploader. Counted are the seconds to the sentence
that refuses it, the memory of the process that looks into it, how much the app itself grows, and how long another
visitor waits for a page meanwhile. It fails where a file is taken, or refused later than 10 s or above 500 MB, or the
other visitor waits longer than 1 s, which takes a machine with little other work.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.app_client import AppClient
from tests.app_server import Server, running
from tests.data.bombs import BOMBS, MEGABYTE
from tests.data.test_bombs import watching

#: The page of the other visitor, and the limits: seconds, bytes, and seconds of the other visitor.
OTHER_PAGE, MOST_SECONDS, MOST_MEMORY, MOST_WAIT = "values", 10.0, 500 * MEGABYTE, 1.0


@dataclass(frozen=True)
class Refused:
    """The result of one file: seconds, bytes outside and inside the app, the other visitor's longest wait, message.

    Args:
        size: of the file in bytes.
        sentence: the refusal; "" if the file was accepted.
    """

    name: str
    size: int
    seconds: float
    outside: int
    inside: int
    wait: float
    sentence: str

    @property
    def holds(self) -> bool:
        """Return whether the file was refused within the limits of time and memory."""
        return bool(self.sentence) and self.seconds < MOST_SECONDS and self.outside < MOST_MEMORY


def look(address: str, over: threading.Event, waits: list[float]) -> None:
    """Open a page repeatedly and record how long it takes."""
    with AppClient(address) as visitor:
        while not over.is_set():
            began = time.monotonic()
            visitor.run(OTHER_PAGE)
            waits.append(time.monotonic() - began)
            over.wait(0.1)


def upload(server: Server, bomb: Callable[[Path], Path], folder: Path) -> Refused:
    """Upload one file and measure."""
    path = bomb(folder)
    over, waits = threading.Event(), list[float]()
    watcher = threading.Thread(target=look, args=(server.address, over, waits))
    with AppClient(server.address) as visitor:
        visitor.run("tables", "view=file")
        watcher.start()
        while len(waits) < 2:
            time.sleep(0.01)
        waits.clear()
        with watching(psutil.Process(server.pid)) as watched:
            began = time.monotonic()
            sent = visitor.give("tables", "tables_file_0", path.read_bytes(), path.name)
            seconds = time.monotonic() - began
        over.set()
        watcher.join()
    drawn = [message.delta.new_element for message in sent if message.WhichOneof("type") == "delta"]
    texts = [element.text.body for element in drawn if element.WhichOneof("type") == "text"]
    accepted = any(element.WhichOneof("type") == "arrow_data_frame" for element in drawn)
    return Refused(
        bomb.__name__,
        path.stat().st_size,
        seconds,
        watched.outside,
        watched.inside,
        max(waits),
        "" if accepted or not texts else texts[-1],
    )


def main() -> None:
    """Upload all files and print a line for each."""
    done: list[Refused] = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        for bomb in BOMBS:
            outcome = upload(server, bomb, Path(folder))
            done.append(outcome)
            print(
                f"{outcome.name}: {outcome.size / 1000:,.0f} kB, {outcome.seconds:.1f} s, "
                f"{outcome.outside / MEGABYTE:.0f} MB outside, {outcome.inside / MEGABYTE:+.0f} MB inside, "
                f"another page {outcome.wait:.2f} s: {outcome.sentence or 'TAKEN'}",
                flush=True,
            )
    seconds, wait = max(outcome.seconds for outcome in done), max(outcome.wait for outcome in done)
    outside, inside = (
        max(sizes) / MEGABYTE for sizes in zip(*((outcome.outside, outcome.inside) for outcome in done), strict=True)
    )
    print(
        f"{sum(outcome.holds for outcome in done)} of {len(done)} refused; at most {seconds:.1f} s, "
        f"{outside:.0f} MB outside and {inside:.0f} MB inside the app; another page {wait:.2f} s"
    )
    sys.exit(not all(outcome.holds and outcome.wait < MOST_WAIT for outcome in done))


if __name__ == "__main__":
    main()
