"""A hundred kills of writers, builds, the model process, the server and the app, with their state counted afterwards.

    python -m tests.proofs.kills            # all rows, some minutes
    python -m tests.proofs.kills --share 10 --only build   # every tenth kill of these rows, at least one of each

Each row kills with SIGKILL at places or moments that chance chooses, starts again, and counts: what was acknowledged
before the kill, what of it is lost, and what is there twice. Databases are SQLite and a real PostgreSQL; clocks step by
hours; disks (a tmpfs of eight megabytes, which takes root) are full or read-only while something is killed on them.
Constraint: processes are killed by their id; PostgreSQL itself and the machine are not killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from tests.app_client import AppClient
from tests.app_server import running
from tests.building.test_build import contents
from tests.building.test_killed import SCRIPT
from tests.postgres import find_postgres, server
from tests.proofs.killed_writers import Row, count_palettes, writers, writers_on_a_disk
from tests.proofs.small_disks import Trouble, full, may_mount, read_only, small_disk
from tests.server.server_process import running_server
from tests.tiny_model import make_tiny_model

HOURS = 3600.0
#: The build of the tests of killed builds, with a shifted clock.
BUILD = "import time\nreal = time.time\ntime.time = lambda: real() + ({step})\n"


def build_once(out: Path, stop: int, step: float = 0.0) -> subprocess.CompletedProcess[str]:
    """Run the build and kill it before its ``stop``-th file is in place; 0 for never."""
    command = [sys.executable, "-c", BUILD.format(step=step) + SCRIPT, str(out), str(stop)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def builds(kills: int, expected_table: Path, what: str, step: float = 0.0, trouble: Trouble | None = None) -> Row:
    """Kill a build before one of its files is in place, and resume with the same command.

    Args:
        kills: their number.
        expected_table: of an undisturbed build.
        what: name of the row.
        step: largest shift of the clock of each run, in seconds.
        trouble: of the disk, between the kill and the run that resumes; a run meanwhile must end in words.
    """
    row = Row(what)
    for number in range(kills):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
            place = Path(folder) if trouble is None else opened.enter_context(small_disk(Path(folder)))
            out = place / "t.parquet"
            killed = build_once(out, 1 + 3 * number % 8, random.uniform(-step, step))
            row.expect(killed.returncode == -signal.SIGKILL, f"not killed: {killed.stderr[-300:]}")
            row.kills += 1
            parts = len(list(place.rglob("*.parquet")))
            if trouble is not None:
                with trouble(place):
                    meanwhile = build_once(out, 0)
                row.expect(meanwhile.returncode != 0, "a disk that takes nothing was written to")
                last_line = meanwhile.stderr.strip().splitlines()[-1:]
                row.expect(
                    "map_core.errors" in "".join(last_line) or "OSError" in "".join(last_line),
                    f"no reason: {last_line}",
                )
                row.expect(len(list(place.rglob("*.parquet"))) >= parts, "a part that was kept is gone")
            done = build_once(out, 0, random.uniform(-step, step))
            row.expect(done.returncode == 0, f"not resumed: {done.stderr[-300:]}")
            count_replies(row, out, expected_table, parts)
    return row


def count_replies(row: Row, out: Path, expected_table: Path, parts: int) -> None:
    """Compare a table with that of an undisturbed build; ``parts`` were kept at the kill."""
    row.acknowledged += parts
    if not out.exists():
        row.lost += 1
        return
    (table, about), (wanted, wanted_about) = contents(out), contents(expected_table)
    size, wanted_size = len(next(iter(table.values()))), len(next(iter(wanted.values())))
    row.lost += max(wanted_size - size, 0)
    row.doubled += max(size - wanted_size, 0)
    row.expect((table, about) == (wanted, wanted_about), "the table is not that of an undisturbed build")


def model_processes(kills: int, model: Path, what: str) -> Row:
    """Kill the app's model process while it answers; each request gets its reply exactly once."""
    row = Row(what)
    with GenerationService(str(model), "openvino", "float32") as service:

        def asked() -> list[list[str]]:
            generations = [
                service.submit(GenerationRequest(f"Question {n}: how are you?", candidates=4, seed=n)) for n in range(6)
            ]
            killed = None
            if kill:
                time.sleep(random.uniform(0.0, 0.3))
                while True:
                    with contextlib.suppress(ProcessLookupError, TypeError):  # the next process is starting
                        killed = service.status().pid
                        os.kill(killed, signal.SIGKILL)  # type: ignore[arg-type]
                        break
                    time.sleep(0.01)
                row.kills += 1
            replies = []
            for generation in generations:
                row.acknowledged += 1
                ended, error = generation.wait(120), generation.snapshot().error
                row.lost += not ended or error is not None
                row.expect(error is None, f"a request failed: {error}")
                replies.append([candidate.text for candidate in generation.snapshot().candidates])
            while kill and service.status().pid == killed:  # a request to a dead process would be killed twice
                time.sleep(0.01)
            return replies

        kill = False
        wanted = asked()
        kill = True
        for _ in range(kills):
            replies = asked()
            row.doubled += sum(len(seeds) > 4 for seeds in replies)
            row.expect(replies == wanted, "a reply is another one than without the kill")
            deadline = time.monotonic() + 60
            while service.status().state == "loading" and time.monotonic() < deadline:
                time.sleep(0.02)
    return row


def servers(kills: int, model: Path, what: str) -> Row:
    """Kill ``serve`` while clients send requests; the next process gives the same answers."""
    row, replies = Row(what), dict[int, set[str]]()
    for _ in range(kills):
        with running_server(model) as server:
            children = psutil.Process(server.process.pid).children(recursive=True)

            def ask(seed: int, over: threading.Event, answers: list[tuple[int, str]], running=server) -> None:
                while not over.is_set():
                    with contextlib.suppress(Exception):  # the connection ends with the server
                        answers.append((seed, running.ask(max_tokens=8, seed=seed).choices[0].message.content))
                    seed = 1 + seed % 12

            over, answers = threading.Event(), list[tuple[int, str]]()
            clients = [threading.Thread(target=ask, args=(3 * n + 1, over, answers)) for n in range(4)]
            for client in clients:
                client.start()
            deadline = time.monotonic() + 60
            while len(answers) < 12 and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(server.process.pid, signal.SIGKILL)
            row.kills += 1
            over.set()
            for client in clients:
                client.join(60)
            _, alive = psutil.wait_procs(children, 20)
            row.expect(not alive, "the model process outlived its server")
        row.acknowledged += len(answers)
        row.expect(len(answers) >= 12, "the server answered too little to count")
        for seed, text in answers:
            replies.setdefault(seed, set()).add(text)
    row.lost = sum(len(texts) > 1 for texts in replies.values())
    return row


def apps(kills: int, what: str) -> Row:
    """Kill the app while a visitor saves palettes; the next process has everything that the page confirmed."""
    row, acknowledged = Row(what), list[int]()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(kills):
            with running(Path(folder)) as started, AppClient(started.address) as visitor:
                killer = threading.Timer(random.uniform(4, 8), os.kill, (started.pid, signal.SIGKILL))
                visitor.run("palettes", "palette=humor:p60")
                killer.start()
                number = 1000 * (row.kills + 1)
                with contextlib.suppress(Exception):  # the socket ends with the app
                    while True:
                        confirmation = f"n{number} is saved."
                        visitor.press("palettes", "save", {"save_name": f"n{number}"}, until=confirmation, timeout=20)
                        acknowledged.append(number)
                        number += 1
                killer.join()
                row.kills += 1
        row.expect(bool(acknowledged), "nothing was saved")
        count_palettes(row, f"sqlite:///{folder}/kept.sqlite", acknowledged)
    return row


def rows(share: int, folder: Path, only: str = "") -> Iterator[Row]:
    """Run every row whose name contains ``only``, with one in ``share`` of its kills."""

    def some(kills: int) -> int:
        return max(1, kills // share)

    mounts, binaries, expected_table = may_mount(folder), find_postgres(), folder / "whole.parquet"

    def on_postgresql(kills: int, what: str, step: float = 0.0) -> Row:
        assert binaries is not None
        with server(binaries) as address:
            return writers(some(kills), address, what, step)

    def undisturbed() -> Path:
        if not expected_table.exists():
            assert build_once(expected_table, 0).returncode == 0
        return expected_table

    def tiny() -> Path:
        return make_tiny_model(folder / "tiny")

    steps = 5 * HOURS
    # Name, whether it is possible here, and function of each row.
    table: tuple[tuple[str, bool, Callable[[str], Row]], ...] = (
        ("writer, SQLite", True, lambda what: writers(some(15), f"sqlite:///{folder / 'a.sqlite'}", what)),
        (
            "writer, SQLite, clock steps",
            True,
            lambda what: writers(some(10), f"sqlite:///{folder / 'b.sqlite'}", what, steps),
        ),
        ("writer, PostgreSQL", binaries is not None, lambda what: on_postgresql(15, what)),
        ("writer, PostgreSQL, clock steps", binaries is not None, lambda what: on_postgresql(10, what, steps)),
        ("writer, SQLite, full disk", mounts, lambda what: writers_on_a_disk(some(6), full, what)),
        ("writer, SQLite, read-only disk", mounts, lambda what: writers_on_a_disk(some(6), read_only, what)),
        ("build", True, lambda what: builds(some(16), undisturbed(), what)),
        ("build, clock steps", True, lambda what: builds(some(4), undisturbed(), what, steps)),
        ("build, full disk", mounts, lambda what: builds(some(3), undisturbed(), what, trouble=full)),
        ("build, read-only disk", mounts, lambda what: builds(some(3), undisturbed(), what, trouble=read_only)),
        ("model process, six requests at once", True, lambda what: model_processes(some(6), tiny(), what)),
        ("serve, four clients at once", True, lambda what: servers(some(3), tiny(), what)),
        ("app, a visitor saving on its page", True, lambda what: apps(some(3), what)),
    )
    for what, possible, done in table:
        if only in what:
            yield done(what) if possible else Row(f"{what}: not possible here")


def main() -> None:
    """Kill, count and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    began, done = time.monotonic(), list[Row]()
    print("| what is killed | kills | acknowledged | lost | doubled |\n| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(options.share, Path(folder), options.only):
            done.append(row)
            print(f"| {row.what} | {row.kills} | {row.acknowledged:,} | {row.lost} | {row.doubled} |", flush=True)
            for fault in dict.fromkeys(row.faults):
                print(f"  FAULT: {fault}", flush=True)
    print(f"{sum(row.kills for row in done)} kills in {(time.monotonic() - began) / 60:.1f} minutes")
    sys.exit(any(row.lost or row.doubled or row.faults for row in done))


if __name__ == "__main__":
    main()
