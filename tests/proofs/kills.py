"""A hundred kills: writers, builds, the model process, the server and the app, each with its state counted afterwards.

    python -m tests.proofs.kills            # all rows, some minutes
    python -m tests.proofs.kills --share 10 --only build   # every tenth kill of these rows, at least one of each

Each row kills with SIGKILL at places or moments that chance chooses, starts again, and counts: what was acknowledged
before the kill, what of it is lost, and what is there twice. Databases are SQLite and a real PostgreSQL; clocks step by
hours; disks (a tmpfs of two megabytes, which takes root) are full or read-only while something is killed on them.
Constraint: processes are killed by their id; PostgreSQL itself and the machine are not killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from map_core.generation.request import GenerationRequest
from map_core.service.service import GenerationService
from map_core.store import open_database, palettes
from tests.app_client import AppClient
from tests.app_server import running
from tests.building.test_build import contents
from tests.building.test_killed import SCRIPT
from tests.postgres import find_postgres, server
from tests.server.server_process import serving
from tests.tiny_model import make_tiny_model

HOURS = 3600.0
#: Saves palettes without end; a number is printed once its save was acknowledged, and "refused" where it was not.
WRITER = """
import itertools, random, sys, time
from datetime import datetime, timedelta
from map_core.errors import PaletteError
from map_core.palettes.palette import Palette, Target
from map_core.store import open_database, palettes

address, first, step = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if step:
    class Stepping(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(seconds=random.uniform(-step, step))
    palettes.datetime = Stepping
try:
    opened = open_database(address)
except PaletteError as error:
    print("refused", error, flush=True)
    time.sleep(60)
for number in itertools.count(first):
    try:
        palettes.save(opened, Palette(targets={"humor": Target(number % 100)}), f"n{number}")
        print(number, flush=True)
    except PaletteError as error:
        print("refused", error, flush=True)
        time.sleep(0.02)
"""
#: The same build as in the tests of killed builds, with a clock that is off.
BUILD = "import time\nreal = time.time\ntime.time = lambda: real() + ({step})\n"


@dataclass
class Row:
    """What one kind of kill came to."""

    what: str
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def expect(self, true: bool, what: str) -> None:
        """Note what does not hold."""
        if not true:
            self.faults.append(what)


def write_and_kill(
    row: Row, address: str, first: int, count: int, step: float = 0.0, until_refused: bool = False
) -> tuple[list[int], list[str]]:
    """Let a writer write, and kill it a moment after it printed so many lines, or a refusal.

    Returns:
        The numbers that it was told are saved, and what it was refused.
    """
    command = [sys.executable, "-c", WRITER, address, str(first), str(step)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    told: list[str] = []
    try:
        while len(told) < count and not (until_refused and told and told[-1].startswith("refused")):
            told.append(process.stdout.readline())
            assert told[-1], "the writer ended by itself: " + "".join(told)
        time.sleep(random.uniform(0, 0.01))
    finally:
        process.kill()
        rest, _ = process.communicate()
    row.kills += 1
    # A line that the kill cut off was not told.
    told += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return [int(line) for line in told if line.strip().isdigit()], [line for line in told if not line.strip().isdigit()]


def count_palettes(row: Row, address: str, acknowledged: list[int]) -> None:
    """Count what is lost and doubled of what was acknowledged."""
    opened = open_database(address)
    try:
        names = [saved.name for saved in palettes.list_palettes(opened)]
        versions = {saved.name: saved.version for saved in palettes.list_palettes(opened)}
    finally:
        opened.close()
    row.acknowledged += len(acknowledged)
    row.lost += len({f"n{number}" for number in acknowledged} - set(names))
    row.doubled += len(names) - len(set(names)) + sum(not re.fullmatch(r"n\d+", name) for name in names)
    row.expect(len(names) - len(acknowledged) <= row.kills, "more is there than was being saved at a kill")
    row.expect(set(versions.values()) <= {1}, "a palette has versions that nobody saved")


def writers(kills: int, address: str, what: str, step: float = 0.0) -> Row:
    """Kill a process that saves palettes, in the middle of it."""
    row, acknowledged = Row(what), list[int]()
    for _ in range(kills):
        told, refused = write_and_kill(row, address, 10_000 * (row.kills + 1), random.randint(1, 60), step)
        acknowledged += told
        row.expect(not refused, f"refused: {refused[:1]}")
    count_palettes(row, address, acknowledged)
    return row


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of two megabytes of its own."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """The disk has no room left."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    yield
    ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Nothing can be written to the disk."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, capture_output=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True, capture_output=True)


Trouble = Callable[[Path], contextlib.AbstractContextManager[None]]


def writers_on_a_disk(kills: int, trouble: Trouble, what: str) -> Row:
    """Kill a writer, and another one while the disk takes nothing more; afterwards it does."""
    row, acknowledged = Row(what), list[int]()
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
        address = f"sqlite:///{disk / 'kept.sqlite'}"
        while row.kills < kills:
            told, refused = write_and_kill(row, address, 10_000 * (row.kills + 1), random.randint(1, 20))
            acknowledged += told
            row.expect(not refused, f"refused: {refused[:1]}")
            if row.kills < kills:
                with trouble(disk):
                    told, refused = write_and_kill(row, address, 10_000 * (row.kills + 1), 5000, until_refused=True)
                acknowledged += told
                row.expect(bool(refused), "nothing was refused")
                row.expect(not any("Traceback" in line for line in refused), "a traceback instead of a sentence")
        count_palettes(row, address, acknowledged)
    return row


def build_once(out: Path, stop: int, step: float = 0.0) -> subprocess.CompletedProcess[str]:
    """Run the build, killed before its ``stop``-th file is in its place; 0 for never."""
    command = [sys.executable, "-c", BUILD.format(step=step) + SCRIPT, str(out), str(stop)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def builds(kills: int, whole: Path, what: str, step: float = 0.0, trouble: Trouble | None = None) -> Row:
    """Kill a build before one of its files is in its place, and let the same command resume.

    Args:
        kills: how many.
        whole: the table of an undisturbed build.
        what: the row.
        step: seconds by which the clock of each run is off, at most.
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
                said = meanwhile.stderr.strip().splitlines()[-1:]
                row.expect("map_core.errors" in "".join(said) or "OSError" in "".join(said), f"no reason: {said}")
                row.expect(len(list(place.rglob("*.parquet"))) >= parts, "a part that was kept is gone")
            done = build_once(out, 0, random.uniform(-step, step))
            row.expect(done.returncode == 0, f"not resumed: {done.stderr[-300:]}")
            count_replies(row, out, whole, parts)
    return row


def count_replies(row: Row, out: Path, whole: Path, parts: int) -> None:
    """Compare a table with that of an undisturbed build; ``parts`` were kept at the kill."""
    row.acknowledged += parts
    if not out.exists():
        row.lost += 1
        return
    (made, about), (wanted, wanted_about) = contents(out), contents(whole)
    size, wanted_size = len(next(iter(made.values()))), len(next(iter(wanted.values())))
    row.lost += max(wanted_size - size, 0)
    row.doubled += max(size - wanted_size, 0)
    row.expect((made, about) == (wanted, wanted_about), "the table is not that of an undisturbed build")


def model_processes(kills: int, model: Path, what: str) -> Row:
    """Kill the app's model process while it answers; each request has the reply that it would have had, once."""
    row = Row(what)
    with GenerationService(str(model), "openvino", "float32") as service:

        def asked() -> list[list[str]]:
            made = [
                service.submit(GenerationRequest(f"Question {n}: how are you?", candidates=4, seed=n)) for n in range(6)
            ]
            if kill:
                time.sleep(random.uniform(0.0, 0.3))
                while True:
                    with contextlib.suppress(ProcessLookupError, TypeError):  # the next one starts at the moment
                        os.kill(service.status().pid, signal.SIGKILL)  # type: ignore[arg-type]
                        break
                    time.sleep(0.01)
                row.kills += 1
            replies = []
            for one in made:
                row.acknowledged += 1
                ended, error = one.wait(120), one.snapshot().error
                row.lost += not ended or error is not None
                row.expect(error is None, f"a request failed: {error}")
                replies.append([candidate.text for candidate in one.snapshot().candidates])
            return replies

        kill = False
        wanted = asked()
        kill = True
        for _ in range(kills):
            replies = asked()
            row.doubled += sum(len(one) > 4 for one in replies)
            row.expect(replies == wanted, "a reply is another one than without the kill")
            deadline = time.monotonic() + 60
            while service.status().state != "ready" and time.monotonic() < deadline:
                time.sleep(0.02)
    return row


def servers(kills: int, model: Path, what: str) -> Row:
    """Kill ``serve`` while clients ask; what was answered is answered the same by the next one."""
    row, replies = Row(what), dict[int, set[str]]()
    for _ in range(kills):
        with serving(model) as running_server:
            children = psutil.Process(running_server.process.pid).children(recursive=True)

            def ask(seed: int, over: threading.Event, told: list[tuple[int, str]], one=running_server) -> None:
                while not over.is_set():
                    with contextlib.suppress(Exception):  # the connection ends with the server
                        told.append((seed, one.ask(max_tokens=8, seed=seed).choices[0].message.content))
                    seed = 1 + seed % 12

            over, told = threading.Event(), list[tuple[int, str]]()
            clients = [threading.Thread(target=ask, args=(3 * n + 1, over, told)) for n in range(4)]
            for client in clients:
                client.start()
            deadline = time.monotonic() + 60
            while len(told) < 12 and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(running_server.process.pid, signal.SIGKILL)
            row.kills += 1
            over.set()
            for client in clients:
                client.join(60)
            _, alive = psutil.wait_procs(children, 20)
            row.expect(not alive, "the model process outlived its server")
        row.acknowledged += len(told)
        row.expect(len(told) >= 12, "the server answered too little to count")
        for seed, text in told:
            replies.setdefault(seed, set()).add(text)
    row.lost = sum(len(texts) > 1 for texts in replies.values())
    return row


def apps(kills: int, what: str) -> Row:
    """Kill the app while a visitor saves palettes on its page; the next one has all that the page said is saved."""
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
                        sent = visitor.press("palettes", "save", {"save_name": f"n{number}"}, timeout=20)
                        if any(f"n{number} is saved." in message for message in sent):
                            acknowledged.append(number)
                        number += 1
                killer.join()
                row.kills += 1
        row.expect(bool(acknowledged), "nothing was saved")
        count_palettes(row, f"sqlite:///{folder}/kept.sqlite", acknowledged)
    return row


def rows(share: int, folder: Path, only: str = "") -> Iterator[Row]:
    """Every row whose name holds ``only``, of one in ``share`` of its kills."""

    def some(kills: int) -> int:
        return max(1, kills // share)

    mounts, binaries, whole = may_mount(folder), find_postgres(), folder / "whole.parquet"

    def on_postgresql(kills: int, what: str, step: float = 0.0) -> Row:
        assert binaries is not None
        with server(binaries) as address:
            return writers(some(kills), address, what, step)

    def undisturbed() -> Path:
        if not whole.exists():
            assert build_once(whole, 0).returncode == 0
        return whole

    def tiny() -> Path:
        return make_tiny_model(folder / "tiny")

    steps = 5 * HOURS
    # What is killed, whether that is possible here, and how.
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


def may_mount(folder: Path) -> bool:
    """Whether a disk of one's own can be had here."""
    place = folder / "try"
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", place], check=True)
    return done.returncode == 0


def main() -> None:
    """Kill, count, and print the table."""
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
