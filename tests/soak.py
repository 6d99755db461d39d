"""A soak of the app and the server: viewers, clients and kills, for as many minutes as are asked for.

    make soak MINUTES=30

Viewers come, look at palettes, vanish and come back; clients of ``serve`` ask with seeds, and the same seed must have
the same reply; the server's model process is killed at random moments. It prints memory of both (without pages of
files; with its slope after warm-up and a 95% interval), descriptors, visits, replies, and each line of the app's log
that nothing explains; the same is written to soak.txt, and what was measured every two seconds to soak.csv.
Constraint: processes of their own, with a database of their own; each is ended by its id. Streamlit keeps a visit for
two minutes after its end, so that warm-up is four minutes at least where there are so many. It ends by itself, three
minutes after the time asked for at the latest.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openai
import psutil
from scipy import stats
from websockets.exceptions import WebSocketException

from tests.app_client import AppClient
from tests.app_server import running
from tests.server.server_process import ServerProcess, running_server
from tests.tiny_model import make_tiny_model

PAGES = ("", "values", "tradeoffs", "palettes", "groups", "tables", "report", "how")
VALUES = ("helpfulness", "kindness", "humor")
#: Share of the time that is warm-up, the minutes that it takes at least (half the time where there are fewer), and
#: seconds between two measurements.
WARM_UP, LEAST_WARM_UP, INTERVAL = 0.3, 4.0, 2.0
#: Seconds between two kills on average, seeds that the clients ask with, and seconds that all have to come to an end.
KILLS_EVERY, SEEDS, ENDING = 20.0, 12, 120.0


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


@dataclass
class Answers:
    """What the clients of the server have got, in all."""

    texts: dict[int, set[str]] = field(default_factory=dict)
    replies: int = 0
    refused: list[str] = field(default_factory=list)
    kills: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask(server: ServerProcess, seed: int, over: threading.Event, answers: Answers) -> None:
    """Ask again and again, and keep what is answered."""
    chance = random.Random(seed)
    while not over.is_set():
        seed = chance.randrange(SEEDS)
        try:
            text = server.ask(max_tokens=8, seed=seed, candidates=4, weights={"diversity": 1.0})
            with answers.lock:
                answers.replies += 1
                answers.texts.setdefault(seed, set()).add(str(text.choices[0].message.content))
        except openai.OpenAIError as error:
            answers.refused.append(f"{type(error).__name__}: {error}"[:200])
        over.wait(chance.expovariate(0.5))


def kill(server: ServerProcess, over: threading.Event, answers: Answers) -> None:
    """Kill the server's model process now and then."""
    chance = random.Random(0)
    while not over.wait(chance.expovariate(1 / KILLS_EVERY)):
        for child in psutil.Process(server.process.pid).children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
                answers.kills += 1


def main() -> None:
    """Run the soak and print its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument(
        "--out", type=Path, default=Path("soak.txt"), help="the report; what was measured lies beside it"
    )
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(make_tiny_model(Path(folder) / "tiny")) as asked,
        running(Path(folder)) as server,
    ):
        over, answers = threading.Event(), Answers()
        process, other = psutil.Process(server.pid), psutil.Process(asked.process.pid)
        counts = [Counts() for _ in range(options.viewers)]
        viewers = [
            threading.Thread(target=view, args=(server.address, seed, over, one), daemon=True)
            for seed, one in enumerate(counts)
        ]
        viewers += [
            threading.Thread(target=ask, args=(asked, seed, over, answers), daemon=True)
            for seed in range(options.clients)
        ]
        viewers.append(threading.Thread(target=kill, args=(asked, over, answers), daemon=True))
        said_at_start = len(server.log.read_bytes())
        for viewer in viewers:
            viewer.start()
        began, rows = time.monotonic(), []
        while (passed := time.monotonic() - began) < 60 * options.minutes:
            measured = [(memory(running), running.num_fds()) for running in (process, other)]
            rows.append((passed, *measured[0], *measured[1], sum(count.runs for count in counts)))
            time.sleep(INTERVAL)
        over.set()
        end = time.monotonic() + ENDING
        for viewer in viewers:
            viewer.join(max(end - time.monotonic(), 0.0))
        log = server.log.read_bytes()[said_at_start:].decode(errors="replace")
        hung = sum(viewer.is_alive() for viewer in viewers)
        np.savetxt(
            options.out.with_suffix(".csv"),
            rows,
            "%.2f",
            ",",
            header="seconds,app_mb,app_fds,server_mb,server_fds,pages",
            comments="",
        )
        lines = report(np.array(rows), counts, answers, log, hung)
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(*lines, sep="\n")


def memory(process: psutil.Process) -> float:
    """Return the MB that are a process's own: pages of files and libraries come and go as the system likes."""
    info = process.memory_info()
    return float(info.rss - getattr(info, "shared", 0)) / 1e6


def report(rows: np.ndarray, counts: list[Counts], answers: Answers, log: str, hung: int) -> list[str]:
    """Put into lines what was measured.

    Args:
        rows: (measurement, 6) seconds, MB and descriptors of the app, of the server, and pages so far.
        counts: of the viewers.
        answers: of the server.
        log: of the app.
        hung: viewers and clients that did not come to an end.
    """
    warm_up = max(WARM_UP * rows[-1, 0], min(60 * LEAST_WARM_UP, rows[-1, 0] / 2))
    late = rows[rows[:, 0] >= warm_up]
    runs, visits, vanished = (sum(getattr(count, what) for count in counts) for what in ("runs", "visits", "vanished"))
    failures = [text for count in counts for text in count.failures] + answers.refused
    unexplained = [line for line in log.splitlines() if line.strip()]
    differing = sum(len(texts) > 1 for texts in answers.texts.values())
    minutes = rows[-1, 0] / 60
    by_minute = np.diff([rows[rows[:, 0] < 60 * minute, 5].max(initial=0) for minute in range(int(minutes) + 1)])
    lines = [
        f"{minutes:.1f} minutes, {len(counts)} viewers: {visits} visits, {runs} pages, {vanished} vanished, "
        f"{sum(len(count.failures) for count in counts)} failures of viewers",
        f"{answers.replies} replies of the server to {len(answers.texts)} requests, {differing} of which had more than "
        f"one; {answers.kills} kills of its model process, {len(answers.refused)} requests refused",
        f"warm-up: {warm_up / 60:.1f} minutes; viewers and clients that did not come to an end: {hung}",
    ]
    for name, column, events, event in (("app", 1, visits, "visit"), ("server", 3, answers.replies, "reply")):
        slope, width = trend(late[:, 0] / 60, late[:, column])
        lines.append(
            f"memory of the {name}: {late[0, column]:.0f} MB after warm-up, {late[-1, column]:.0f} at the end, "
            f"{rows[:, column].max():.0f} at most; {slope:+.2f} MB a minute (95%: {slope - width:+.2f} to "
            f"{slope + width:+.2f}), {1e3 * slope * minutes / max(events, 1):+.1f} kB a {event}"
        )
        first, last = np.array_split(late[:, column + 1], 2)
        lines.append(
            f"descriptors of the {name}: {first.mean():.0f} in the first half after warm-up, {last.mean():.0f} in the "
            f"second, {late[:, column + 1].max():.0f} at most"
        )
    lines.append("pages in each minute: " + " ".join(f"{pages:.0f}" for pages in by_minute))
    lines.append(f"lines of the app's log that nothing explains: {len(unexplained)}")
    return lines + [f"  {text}" for text in [*dict.fromkeys(failures), *dict.fromkeys(unexplained)][:20]]


def trend(minutes: np.ndarray, memory: np.ndarray) -> tuple[float, float]:
    """Return the slope, and half of its 95% interval.

    Measurements that follow each other hang together, so the interval is that of means over half minutes.
    """
    blocks = np.floor(2 * minutes)
    means = np.array([[minutes[blocks == n].mean(), memory[blocks == n].mean()] for n in np.unique(blocks)])
    fit = stats.linregress(means[:, 0], means[:, 1])
    return fit.slope, float(stats.t.ppf(0.975, max(len(means) - 2, 1)) * fit.stderr)


if __name__ == "__main__":
    main()
